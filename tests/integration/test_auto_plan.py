"""Runs with ``refresh = auto``: what the clients see, what a person reads, and what resuming does."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.devices import stores
from tests.wide_app import write_wide_app

from frugalfl.errors import Interrupted
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.progress import LOG
from frugalfl_sim.apps import read_settings
from frugalfl_sim.simulate import simulate_app

PLAN = "subspace(1024, fold 5)"
ASKED = 8  # clients of a round
LINE = (
    f"refresh = auto: {PLAN}, since 24 of 32 clients miss a round and 60 rounds are long enough for "
    "it: it should take 5.2 times fewer bytes than full, and on digits it ended 0.6 points lower; set "
    "refresh = full for all weights"
)


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    return write_wide_app(tmp_path / "app")


def simulated(app: Path, name: str, *changes: str, resume: Path | None = None) -> RunDirectory:
    settings, runs = read_settings(app, changes), app.parent / name
    return simulate_app(app, settings, runs, baseline=False, resume=resume)


def seen(app: Path) -> list[str]:
    """Return the plans that clients were told since this was last asked for."""
    told = (app.parent / "seen").read_text().splitlines()
    (app.parent / "seen").unlink()
    return told


def lines(run: RunDirectory) -> list[str]:
    return [one for one in (run.path / LOG).read_text().splitlines() if "refresh = " in one]


def folds(run: RunDirectory) -> Iterator[int]:
    """Yield the number of the subspace that each device is in, if it was asked at all."""
    for store in stores(run.path).values():
        yield from store.load(run.name).fold[:1]
        store.close()


def test_a_long_run_trains_a_subspace_says_so_and_is_resumed_with_it(wide: Path) -> None:
    plain = simulated(wide, "plain")
    assert lines(plain) == [LINE]
    assert f"refresh = {plain.chosen['refresh']}" == LINE
    assert plain.read_json("run.json")["settings"]["refresh"] == PLAN
    told = seen(wide)
    assert len(told) == ASKED * len(plain.rounds) and set(told) == {PLAN}
    assert max(folds(plain)) > 0
    page = (plain.path / "report.html").read_text()
    assert LINE.removeprefix("refresh = ") in page

    (wide.parent / "stop").touch()
    with pytest.raises(Interrupted):
        simulated(wide, "stopped")
    stopped = (wide.parent / "stopped" / "latest").resolve()
    assert 0 < len(RunDirectory.open(stopped).rounds) < len(plain.rounds)
    resumed = simulated(wide, "stopped", resume=stopped)  # the app still says auto
    assert lines(resumed) == [LINE, LINE]
    assert set(seen(wide)) == {PLAN}
    ours, other = plain.load_checkpoint(), resumed.load_checkpoint()
    assert all(np.array_equal(ours[name], other[name]) for name in ours | other)


def test_a_short_run_trains_all_weights_and_says_why(wide: Path) -> None:
    run = simulated(wide, "short", "rounds=2")
    assert lines(run) == [
        "refresh = auto: full, since 2 rounds are few: a subspace takes at least 60"
    ]
    assert set(seen(wide)) == {"full"}
    assert "refresh" not in simulated(wide, "set", "rounds=2", "refresh=full").chosen
    assert lines(RunDirectory.open(wide.parent / "set" / "latest")) == []
    begun = RunDirectory.open(wide.parent / "set" / "latest").load_checkpoint()
    same = run.load_checkpoint()
    assert all(np.array_equal(begun[name], same[name]) for name in begun | same)
