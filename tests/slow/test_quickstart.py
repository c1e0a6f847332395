"""Flower's own first example, of which nothing is ours, on lean nodes."""

from pathlib import Path

import numpy as np
import pytest

APP = Path(__file__).parents[1] / "cases" / "quickstart_numpy"

pytestmark = pytest.mark.slow


def test_lean_nodes_run_flowers_quickstart(machines):
    machines.superlink()
    nodes = [machines.lean(number) for number in range(2)]
    for node in nodes:
        node.wait_for("connected as node")
    run = machines.run(APP)
    assert run.wait(300) == 0, run.said
    with np.load(machines.folder / "final_model.npz") as model:
        (number,) = (float(array[0, 0]) for array in model.values())
    assert 1.5 < number < 4  # 1, and in each of three rounds the mean of two draws from [0, 1)
    assert all("Traceback" not in one.said for one in [*nodes, run])
