"""Whole runs of trees over the in-process Grid, with clients that a test may change."""

import numpy as np
from attacking.trees_and_counters import devices

from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl.trees import Bins, Forest, decode_forest
from frugalfl.trees.parcel import Parcel
from frugalfl_client.app import app as client_app
from frugalfl_server.app import keeping_status
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.trees.federation import grow
from frugalfl_sim.engine.grid import InProcessGrid

CLIENTS = 4
GROWTH = "rate 0.3, leaves 5, rows 5, bins 16"
#: Each way with as little as it takes to learn something.
WAYS = {
    "bagging": {"trees": f"bagging(4, {GROWTH})", "rounds": 2},
    "cyclic": {"trees": f"cyclic(4, {GROWTH})", "rounds": 4},
    "refit": {"trees": f"refit(4, {GROWTH})", "rounds": 2},
    "histogram": {"trees": f"histogram(6, {GROWTH})"},
}


def settings_of(way, task="task", **changes):
    return Settings.of(
        task=f"toy_rare:{task}", clients=CLIENTS, clients_per_round=CLIENTS, **WAYS[way] | changes
    )


def run_of(folder, settings, client=client_app):
    """Run to the end; return the run directory, which is there after an error, too."""
    with devices():
        task = load_task(settings.run.task)
        run = RunDirectory.create(folder, task.name, settings, app=None)
        grid = InProcessGrid(
            client, settings.simulation.clients, settings.as_config(), run.path / "devices"
        )
        with keeping_status(run):
            grow(grid, settings, task, run)
    return run


def model_of(run):
    """Return bins and forest of a run's file."""
    parcel = Parcel.unpack((run.path / "model" / "trees.bin").read_bytes())
    bins = Bins.from_bytes(parcel.bins)
    whole = Forest()
    for segment in parcel.segments:
        whole += decode_forest(segment, len(bins))
    return bins, whole


def said(run):
    return (run.path / "progress.log").read_text()


def scores_of(run, x):
    bins, forest = model_of(run)
    return forest.raw_scores(bins.of(x)).astype(np.float64)
