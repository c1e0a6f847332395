"""Who may import whom, and what a small device is spared."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_imports_run_one_way():
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("modules", "spared"),
    [
        (
            "frugalfl, frugalfl.codec, frugalfl.energy, frugalfl.settings",
            {"torch", "flwr", "pyarrow"},
        ),
        ("frugalfl.energy", {"dataclasses", "pathlib", "typing"}),
        ("frugalfl.energy.choose", {"sqlite3", "datetime", "typing", "numpy"}),
        ("frugalfl_edge", {"torch", "flwr", "tensorflow", "pyarrow"}),
        ("frugalfl.cli, frugalfl_sim.cli.simulate, frugalfl_server.cli.export", {"torch", "flwr"}),
        (
            "frugalfl_client.cli.node, frugalfl_client.node.node",
            {"torch", "fastapi", "uvicorn", "sqlalchemy", "ray", "pyarrow"},
        ),
        ("frugalfl_client.app", {"torch", "litert_torch", "pyarrow"}),
        (
            "frugalfl_server.export, frugalfl_server.report",
            {"litert_torch", "matplotlib", "jinja2"},
        ),
    ],
)
def test_what_is_not_loaded(modules, spared):
    program = (
        f"import sys, {modules}; print(*sorted(set(m.partition('.')[0] for m in sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not spared & set(result.stdout.split())


def test_every_public_name_of_the_energy_part_is_found_where_it_is_said_to_be():
    program = "from frugalfl.energy import *; print(callable(totals))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["True"]
