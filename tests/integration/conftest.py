"""A small federation that integration tests share, and ways to change its task."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "simulations" / "digits"
COMMAND = Path(sys.executable).with_name("frugalfl")
#: Small enough for a test, large enough to learn something.
SMALL = ("rounds=6", "clients=8", "clients-per-round=4", "local-epochs=3", "recover-rounds=3")


def frugalfl(*arguments, cwd, **options):
    """Run the installed command as a user does."""
    environment = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False, **options,
    )  # fmt: skip


@pytest.fixture
def app(tmp_path):
    """A copy of the digits app whose ``task.py`` a test may change: ``app(old, new)``."""

    def change(old="", new=""):
        folder = tmp_path / "app"
        folder.mkdir(exist_ok=True)
        for name in ("pyproject.toml", "task.py"):
            text = (DIGITS / name).read_text()
            assert old in text or name != "task.py"
            (folder / name).write_text(
                text.replace(old, new) if name == "task.py" and old else text
            )
        return folder

    return change


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """One finished run of the small federation, with its baseline; and what the command printed."""
    folder = tmp_path_factory.mktemp("finished")
    result = frugalfl("simulate", DIGITS, *SMALL, "--baseline", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder / "runs" / "latest", result
