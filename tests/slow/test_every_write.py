"""A run that is killed at any change of its directory, and resumed, is the run that was not.

Every window between two changes is tried, in a simulation whose last round, pruning, recovery,
calibration, export, tables, summary and report are all in it.
"""

import json
import os
import pickle
import signal
from pathlib import Path

import litert_torch  # noqa: F401 - once, before anything is forked
import pytest
from every_write import Countdown, in_child

from frugalfl.energy.verify_ledgers import verify_run
from frugalfl_server.phases.kept_ranges import kept_ranges
from frugalfl_server.report import write_report
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.apps import read_settings
from frugalfl_sim.simulate import simulate_app

DIGITS = Path(__file__).parents[2] / "simulations" / "digits"
SMALL = ("clients=3", "clients-per-round=2", "rounds=2", "local-epochs=1")
#: Each ends in another way: recovered, pruned and not recovered, and with what clients keep alone.
RUNS = {
    "recovered": ("recover-rounds=1", "strategy=fedadam(0.01)"),
    "only pruned": ("recover-rounds=0",),
    "plain": ("prune=0.0", "uplink=feedback | topk(5%) | sign | golomb", "initial=exact"),
}
COLUMNS = (
    "phase", "round", "accuracy", "loss", "clients", "updates", "uplink_bytes", "downlink_bytes",
    "skipped", "program_bytes", "metrics",
)  # fmt: skip
#: Joules and seconds are each run's own.
OWN = ("run", "wall_s", "energy_j", "energy_idle_j", "server_energy_j", "carbon_g",
       "server_carbon_g")  # fmt: skip


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The digits with a model of 1,210 parameters."""
    folder = tmp_path_factory.mktemp("every-write") / "app"
    folder.mkdir()
    (folder / "pyproject.toml").write_text((DIGITS / "pyproject.toml").read_text())
    task = (DIGITS / "task.py").read_text()
    layers = "nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)"
    begin, end = task.index("    return nn.Sequential("), task.index("task = Task(")
    small = f"    return nn.Sequential({layers})\n\n\n"
    (folder / "task.py").write_text(task[:begin] + small + task[end:])
    return folder


def simulate(app, settings, runs, at=None):
    """Begin a run in a child, or go on with the one that is there; return how it ended.

    This process itself runs none: threads that PyTorch, LiteRT or Arrow start are not forked, and
    a child would wait for them.
    """

    def work():
        changes = Countdown(runs, at)
        latest = runs / "latest"
        resume = latest if (latest / "run.json").exists() else None
        simulate_app(app, read_settings(app, settings), runs, baseline=False, resume=resume)
        (runs.parent / f"{runs.name}.changes").write_text("\n".join(changes.seen))

    return in_child(work)


def facts(run):
    """Return everything that may not differ between two runs."""
    summary = run.read_json("summary.json")
    model = run.load_checkpoint()
    kept_ranges(run, model)  # of exactly this model, so that `frugalfl export` works
    return {
        "rounds": [tuple(getattr(record, name) for name in COLUMNS) for record in run.rounds],
        "model": {name: tensor.tobytes() for name, tensor in model.items()},
        "of": run.read_json("checkpoints/model.json"),
        "ranges": run.read_json("checkpoints/ranges.json"),
        "files": {p.name: p.read_bytes() for p in sorted(run.path.glob("model/*.tflite"))},
        "energy": sorted((e.client, e.round, e.phase) for e in run.energy),
        "heads": sorted((head.client, head.round) for head in run.heads),
        "summary": {name: value for name, value in summary.items() if name not in OWN},
    }


def facts_of(runs):
    """Return the facts of the newest run and whether it is as a finished one should be."""

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
@pytest.mark.parametrize("kind", RUNS)
def test_killed_at_any_change_and_resumed_it_is_the_same_run(app, tmp_path, kind):
    settings = [*SMALL, *RUNS[kind]]
    assert simulate(app, settings, tmp_path / "plain") == 0
    wanted = facts_of(tmp_path / "plain")
    changes = (tmp_path / "plain.changes").read_text().splitlines()
    assert any("model.npz" in one for one in changes) and len(changes) > 50
    for number in range(1, len(changes) + 1, int(os.environ.get("FRUGALFL_EVERY", "1"))):
        runs = tmp_path / f"at-{number}"
        told = f"{kind}, killed at {number} of {len(changes)}: {changes[number - 1]}"
        assert simulate(app, settings, runs, number) == -signal.SIGKILL, told
        assert is_finished(runs) or simulate(app, settings, runs) == 0, told
        found = facts_of(runs)
        for name, value in wanted.items():
            assert found[name] == value, f"{told}: {name}"
