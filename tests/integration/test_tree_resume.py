"""A server that grows trees, killed again and again: it goes on, and ends with the same model."""

import json

import pytest

from frugalfl.errors import RunError
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_server.app import keeping_status
from frugalfl_server.run.checkpoint import FILE
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.resume import settings_of as settings_in
from frugalfl_server.run.resume import to_resume
from frugalfl_server.trees.federation import grow
from frugalfl_sim.engine.grid import InProcessGrid

from .tree_runs import WAYS, devices, run_of, said, settings_of

pytest.importorskip("lightgbm")
#: Refit has a test of its own below.
EVERY = [
    pytest.param(way, marks=pytest.mark.slow if way in ("cyclic", "refit") else ()) for way in WAYS
]
#: Of a row, what a kill may change: the time that was lost, and the joules of it.
PASSING = {"wall_s", "energy_measured_j", "energy_estimated_j", "server_measured_j",
           "server_estimated_j"}  # fmt: skip


class Killed(BaseException):
    """The server's process is gone: nothing is flushed, nothing is said."""


class DyingGrid(InProcessGrid):
    """Delivers a number of exchanges; the server dies when the devices have done the last one."""

    left = 0

    def push_messages(self, messages):
        """Have the devices work; die before their answers are seen."""
        names = super().push_messages(messages)
        self.left -= bool(names)
        if names and not self.left:
            raise Killed
        return names


def attempt(run, settings, lives):
    """Go on with a run for so many exchanges; say whether it came to its end."""
    with devices():
        grid = DyingGrid(
            client_app, settings.simulation.clients, settings.as_config(), run.path / "devices"
        )
        grid.left = lives
        try:
            grow(grid, settings, load_task(settings.run.task), run)
        except Killed:
            return False
    return True


def rows_of(run, way):
    """Return what a kill does not change in the table of a run."""
    # Devices keep trees of histograms in memory only: after a restart they are sent them again.
    passing = PASSING | (
        {"uplink_bytes", "downlink_bytes", "uploads"} if way == "histogram" else set()
    )
    return [{k: v for k, v in one.as_row().items() if k not in passing} for one in run.rounds]


@pytest.mark.parametrize("way", EVERY)
def test_killed_at_any_exchange_it_ends_with_the_same_model(way, tmp_path):
    settings = settings_of(way)
    unbroken = run_of(tmp_path / "unbroken", settings)
    run = RunDirectory.create(tmp_path / "killed", "rare", settings, app=None)
    path, attempts = run.path, 1
    # While bins are agreed on; when they are sent, twice; then after a step, or within one.
    for lives in (1, 2, 1, 2, 6, 9, 0):
        if attempt(run, settings, lives):
            break
        attempts += 1
        run = to_resume(path, settings)
    for name in ("trees.bin", "trees.txt", "outcomes.json"):
        ours, theirs = ((one.path / "model" / name).read_bytes() for one in (run, unbroken))
        assert ours == theirs, name
    assert attempts > 3
    run = RunDirectory.open(path)
    assert rows_of(run, way) == rows_of(unbroken, way)
    assert json.loads((path / "attempts.json").read_text())["first_rounds"][0] == 1
    assert "resume after" in said(run)
    assert "holds version" not in said(run)
    assert "warning" not in said(run)


def test_what_devices_hold_of_a_killed_exchange_is_on_their_disks(tmp_path):
    """Each resumed server finds devices that have lost their memory as well."""
    settings = settings_of("refit", rounds=3)
    unbroken = run_of(tmp_path / "unbroken", settings)
    run = RunDirectory.create(tmp_path / "killed", "rare", settings, app=None)
    for lives in (4, 3, 2):
        assert not attempt(run, settings, lives)
        forget_devices()
        run = to_resume(run.path, settings)
    assert attempt(run, settings, 0)
    model = [(one.path / "model" / "trees.bin").read_bytes() for one in (run, unbroken)]
    assert model[0] == model[1]


def test_a_run_from_before_trees_had_checkpoints_is_refused_in_one_line(tmp_path):
    settings = settings_of("bagging")
    run = RunDirectory.create(tmp_path, "rare", settings, app=None)
    assert not attempt(run, settings, 3)
    run = RunDirectory.open(run.path)
    with keeping_status(run):
        pass  # its tables are on the disk
    whole = run_of(tmp_path / "whole", settings)
    for name in ("rounds.parquet", "heads.parquet", "energy.parquet"):
        (run.path / name).write_bytes((whole.path / name).read_bytes())
    (run.path / FILE).unlink()
    (run.path / "summary.json").unlink()
    with pytest.raises(RunError, match=r"rounds and no checkpoints/resume\.npz.*begin a new one"):
        attempt(to_resume(run.path, settings), settings, 0)


def test_a_finished_run_of_trees_has_nothing_to_resume(tmp_path):
    run = run_of(tmp_path, settings_of("bagging"))
    assert settings_in(run.path)[1] == Settings.of(run.read_json("run.json")["settings"])
    with pytest.raises(RunError, match="is finished: there is nothing to resume"):
        to_resume(run.path, settings_of("bagging"))
