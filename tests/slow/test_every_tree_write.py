"""A run of trees that is killed at any change of its directory, and resumed, is the run that was not.

As `test_every_write.py` does with networks: every window between two changes is tried.
"""

import json
import os
import pickle
import signal
from pathlib import Path

import pytest
from every_write import Countdown, in_child

from frugalfl.energy.verify_ledgers import verify_run
from frugalfl_server.report import write_report
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.apps import read_settings
from frugalfl_sim.simulate import simulate_app

pytest.importorskip("lightgbm")
ROOT = Path(__file__).parents[2]
SETTINGS = (
    "clients=3", "clients-per-round=3", "rounds=2", "prune=0.0", "recover-rounds=0",
    "trees=refit(2, rate 0.3, leaves 4, rows 5, bins 8)",
    "task=task:counting", "counters=shared", "counters-at-least=1",
)  # fmt: skip
COLUMNS = (
    "phase", "round", "accuracy", "loss", "clients", "updates", "uplink_bytes", "downlink_bytes",
    "metrics",
)  # fmt: skip
#: Joules and seconds are each run's own.
OWN = ("run", "wall_s", "energy_j", "energy_idle_j", "server_energy_j", "carbon_g",
       "server_carbon_g")  # fmt: skip


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Rare cases whose rows are made with everybody's counters."""
    folder = tmp_path_factory.mktemp("every-tree-write") / "app"
    folder.mkdir()
    fraud = ROOT / "simulations" / "fraud" / "pyproject.toml"
    (folder / "pyproject.toml").write_text(fraud.read_text())
    (folder / "task.py").write_text((ROOT / "tests" / "toy_rare.py").read_text())
    return folder


def simulate(app, runs, at=None):
    """Begin a run in a child, or go on with the one that is there; return how it ended."""

    def work():
        changes = Countdown(runs, at)
        latest = runs / "latest"
        resume = latest if (latest / "run.json").exists() else None
        simulate_app(app, read_settings(app, SETTINGS), runs, baseline=False, resume=resume)
        (runs.parent / f"{runs.name}.changes").write_text("\n".join(changes.seen))

    return in_child(work)


def facts(run):
    """Return everything that may not differ between two runs."""
    summary = run.read_json("summary.json")
    return {
        "rounds": [tuple(getattr(record, name) for name in COLUMNS) for record in run.rounds],
        "files": {p.name: p.read_bytes() for p in sorted(run.path.glob("model/trees.*"))},
        "energy": sorted((e.client, e.round, e.phase) for e in run.energy),
        "heads": sorted((head.client, head.round) for head in run.heads),
        "summary": {name: value for name, value in summary.items() if name not in OWN},
    }


def facts_of(runs):
    """Return the facts of the newest run, which is as a finished one should be."""

    def work():
        run = RunDirectory.open(runs / "latest")
        write_report(run)
        assert not verify_run(run.path).faults
        assert run.read_json("attempts.json")["first_rounds"][0] == 1
        (runs.parent / f"{runs.name}.facts").write_bytes(pickle.dumps(facts(run)))

    assert in_child(work) == 0
    return pickle.loads((runs.parent / f"{runs.name}.facts").read_bytes())


def is_finished(runs):
    path = runs / "latest" / "summary.json"
    return path.exists() and json.loads(path.read_text())["status"] == "finished"


@pytest.mark.slow
def test_killed_at_any_change_and_resumed_it_is_the_same_run(app, tmp_path):
    assert simulate(app, tmp_path / "plain") == 0
    wanted = facts_of(tmp_path / "plain")
    changes = (tmp_path / "plain.changes").read_text().splitlines()
    assert any("trees.bin" in one for one in changes) and len(changes) > 30
    for number in range(1, len(changes) + 1, int(os.environ.get("FRUGALFL_EVERY", "1"))):
        runs = tmp_path / f"at-{number}"
        told = f"killed at {number} of {len(changes)}: {changes[number - 1]}"
        assert simulate(app, runs, number) == -signal.SIGKILL, told
        assert is_finished(runs) or simulate(app, runs) == 0, told
        found = facts_of(runs)
        for name, value in wanted.items():
            assert found[name] == value, f"{told}: {name}"
