"""Sweeps and searches of a small app: killed, gone on with, and equal to the runs' own figures."""

import json
import re
import signal
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean

import pytest

import frugalfl
from frugalfl.errors import Interrupted, UsageError
from frugalfl_server.report.texts import whole_energy
from frugalfl_sim.sweep.grid import read_grid
from frugalfl_sim.sweep.page import sweep_page
from frugalfl_sim.sweep.place import Place
from frugalfl_sim.sweep.points import points_of
from frugalfl_sim.sweep.sweep import Sweep
from frugalfl_sim.sweep.table import as_json

from .conftest import frugalfl as command

PROJECT = """
[project]
name = "toy"
version = "0.1.0"
[tool.flwr.app]
publisher = "me"
[tool.flwr.app.components]
serverapp = "frugalfl_server.app:app"
clientapp = "spy:app"
[tool.flwr.app.config]
task = "task:task"
clients = 3
clients-per-round = 2
rounds = 3
local-epochs = 1
prune = 0.0
export = false
initial = "seeded"
trainer = "torch"
refresh = "full"
uplink = "zstd"
"""
TASK = """
import numpy as np
from frugalfl import Examples, PublicData, Task

def rows(seed):
    y = np.arange(48) % 3
    x = np.random.default_rng(seed).standard_normal((48, 6)) + np.eye(3)[y].repeat(2, 1)
    return Examples(x.astype(np.float32), y)

def model():
    from torch import nn

    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

task = Task(
    "toy", model=model, client_data=lambda client, _: rows(client),
    public_data=lambda: PublicData(rows(99)),
)
"""
#: Our ClientApp; at the message whose number is in a file it ends the process, or as Ctrl-C does.
SPY = """
import os, signal
from pathlib import Path
from flwr.clientapp import ClientApp
from frugalfl_client.app import app as ours

HERE = Path(__file__).parents[1]
SEEN = HERE / "seen"

class Spy(ClientApp):
    def __call__(self, message, context):
        with SEEN.open("a") as file:
            file.write("x")
        for name in ("kill", "stop"):
            if (HERE / name).exists() and SEEN.stat().st_size >= int((HERE / name).read_text()):
                (HERE / name).unlink()
                if name == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise KeyboardInterrupt
        return ours(message, context)

app = Spy()
"""


def write_toy(folder):
    (folder / "toy").mkdir()
    for name, text in (("pyproject.toml", PROJECT), ("task.py", TASK), ("spy.py", SPY)):
        (folder / "toy" / name).write_text(text)
    return folder / "toy"


@pytest.fixture
def toy(tmp_path):
    return write_toy(tmp_path)


def sweep_of(app, *words, jobs=1, target=None):
    points = points_of(app, read_grid(words))
    return Sweep(app, Place(app.parent / "sweep"), points, jobs, target)


def summary_of(run):
    return json.loads((run / "summary.json").read_text())


def attempts(run):
    return json.loads((run / "attempts.json").read_text())["first_rounds"]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A sweep of two runs that was killed in the second round of the second one; then gone on."""
    folder = tmp_path_factory.mktemp("killed")
    app = write_toy(folder)
    (folder / "kill").write_text("10")  # 6 messages a run, and what asks for facts
    words = ("sweep", app, "seed=1,2", "--out", folder / "sweep", "--json", folder / "s.json")
    first = command(*words, "--to", "0.1", cwd=folder)
    assert first.returncode == -signal.SIGKILL, first.stderr
    before = {path: path.stat().st_mtime_ns for path in folder.glob("sweep/runs/*/*/summary.json")}
    again = command(*words, "--to", "0.1", cwd=folder)
    return app, first, again, before


def test_a_killed_sweep_goes_on(killed):
    app, first, again, before = killed
    assert again.returncode == 0, again.stderr
    assert "runs/min" in first.stderr
    assert "1 of 2 runs are finished already" in again.stderr
    done = {path: path.stat().st_mtime_ns for path in before if not path.parent.is_symlink()}
    assert len(done) == 1 and all(before[path] == time for path, time in done.items())
    runs = [
        one for one in app.parent.glob("sweep/runs/*/*") if one.is_dir() and not one.is_symlink()
    ]
    assert sorted(len(attempts(run)) for run in runs) == [1, 2]  # one of each point, one resumed
    assert [summary_of(run)["status"] for run in runs] == ["finished"] * 2


def test_its_figures_are_those_of_the_runs(killed):
    app, _, again, _ = killed
    told = json.loads((app.parent / "s.json").read_text())
    summaries = [summary_of(Path(one["run"])) for one in told["runs"]]
    for one, own in zip(told["runs"], summaries, strict=True):
        assert one["value"] == own["accuracy"]
        assert (one["uplink_bytes"], one["downlink_bytes"]) == (
            own["uplink_bytes"], own["downlink_bytes"],
        )  # fmt: skip
        assert one["estimated_j"] == own["energy_j"]["estimated"] > 0
        assert one["measured_j"] is None
        assert one["rounds_to_target"] == 1
    (row,) = told["table"]
    values = [own["accuracy"] for own in summaries]
    assert row["value"] == {"mean": fmean(values), "least": min(values), "most": max(values)}
    assert f"{fmean(values) * 100:.1f} %" in again.stdout
    assert "estimated" in again.stdout
    page = (app.parent / "sweep" / "sweep.html").read_text()
    assert "Against joules (estimated)" in page
    assert page.count("<svg") == 2 and "http://" not in page.replace("http://www.w3.org", "")


def test_a_run_of_a_sweep_is_what_simulate_makes(killed):
    """Resumed after a kill, and after another run in the same process: the same bits."""
    app, *_ = killed
    told = json.loads((app.parent / "s.json").read_text())
    alone = frugalfl.simulate(app, "seed=2", runs=app.parent / "alone")
    own = summary_of(alone.path)
    second = told["runs"][1]
    assert second["settings"] == {"seed": "2"}
    assert (second["value"], second["bytes"]) == (
        own["accuracy"], own["uplink_bytes"] + own["downlink_bytes"],
    )  # fmt: skip


def test_a_changed_app_is_noticed_and_a_changed_grid_is_not_run_anew(killed, capsys):
    app, *_ = killed
    before = (app / "task.py").read_text()
    wider = sweep_of(app, "seed=1..3")
    seen = (app.parent / "seen").stat().st_size
    assert [one.reason for one in wider.run()] == ["", "", ""]
    assert "the grid changed since: 2 of 3 runs are finished already" in capsys.readouterr().err
    assert (app.parent / "seen").stat().st_size - seen == 6  # the messages of one run
    (app / "task.py").write_text(before + "\n# better\n")
    with pytest.raises(UsageError, match=r"task\.py of .* changed since .* --out"):
        wider.run()
    (app / "task.py").write_text(before)


def test_ctrl_c_says_how_to_go_on_and_a_failure_stops_nothing(toy):
    # 1e30 as a step size diverges in every client, and that is an outcome.
    sweep = sweep_of(toy, "learning-rate=1e30,0.1", "rounds=2")
    (toy.parent / "stop").write_text("6")
    with pytest.raises(Interrupted, match=r"of 2 runs are finished in .*the same command goes on"):
        sweep.run()
    bad, good = sweep.run()
    assert bad.reason and not good.reason
    told = as_json([bad, good], None)
    assert [row["failed"] for row in told["table"]] == [1, 0]
    assert told["table"][0]["value"] is None
    page = sweep_page("toy", [bad, good], None)
    assert "learning-rate=1e30 failed" in re.sub(r"\s+", " ", page)


@pytest.mark.skipif(find_spec("optuna") is None, reason="optuna is not installed (frugalfl[sim])")
def test_a_search_goes_on_and_says_what_it_took(toy):
    from frugalfl_sim.sweep import tune_table
    from frugalfl_sim.sweep.search import Search, directions
    from frugalfl_sim.sweep.space import read_space
    from frugalfl_sim.sweep.tune import tune

    place = Place(toy.parent / "tuned")
    space = read_space(["learning-rate=0.01..0.3:log", "rounds=2"])
    metrics = ("accuracy", "joules")
    search = Search(toy, place, space, metrics, directions(toy, "task:task", metrics))
    assert search.better == ("higher", "lower")
    (toy.parent / "stop").write_text("7")  # in the second trial
    with pytest.raises(Interrupted, match="goes on from there"):
        tune(search, 3, 1, compare_random=False)
    found = tune(search, 3, 1, compare_random=True)
    assert [one.state.name for one in found.trials] == ["COMPLETE"] * 3
    names = [one.user_attrs["point"] for one in found.trials]
    runs = [run for name in set(names) for run in (place.path / "runs" / name).glob("2*")]
    assert len(runs) == len(set(names)) == found.spent.runs
    assert sorted(len(attempts(run)) for run in runs) == [1, 1, 2]
    joules = [whole_energy(summary_of(run))["estimated"] for run in runs]
    assert found.spent.estimated_j == pytest.approx(sum(joules))
    assert found.spent.measured_j is None
    assert found.random is not None and found.random.spent.runs == 3
    for best in found.best:
        assert best.seeds == (1,)  # chosen on seed 0
        folder = next((place.path / "runs").glob("seed-1-*"))
        assert folder.is_dir() and best.again[0] is not None
    assert "rounds = 2" in tune_table.lines_to_paste(found, found.best[0])
    tune_table.print_found(found)


@pytest.mark.skipif(find_spec("optuna") is None, reason="optuna is not installed (frugalfl[sim])")
def test_what_cannot_be_searched_is_told(toy):
    from frugalfl_sim.sweep.search import directions

    with pytest.raises(UsageError, match="did you mean 'accuracy'"):
        directions(toy, "task:task", ["acuracy"])
