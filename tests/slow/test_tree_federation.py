"""Trees and shared counters through a real SuperLink, with lean nodes, one of them killed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import toy_rare

from frugalfl.metrics import two_class_average_precision
from frugalfl.trees import Bins, Forest, decode_forest
from frugalfl.trees.parcel import Parcel
from frugalfl_client.kept_totals import totals_of

pytest.importorskip("lightgbm")
DIGITS = Path(__file__).parents[2] / "simulations" / "digits"
NODES = 2

pytestmark = pytest.mark.slow


def test_two_lean_nodes_share_counters_and_grow_trees(machines, tmp_path):
    app = tmp_path / "app"
    app.mkdir()
    text = (DIGITS / "pyproject.toml").read_text()
    trees = "refit(4, rate 0.3, leaves 5, rows 5, bins 16)"
    heading = "[tool.flwr.app.config]\n"
    assert heading in text
    changed = f'{heading}counters = "shared"\ncounters-at-least = 2\ntrees = "{trees}"\n'
    (app / "pyproject.toml").write_text(text.replace(heading, changed))
    shutil.copy(toy_rare.__file__, app / "task.py")
    machines.superlink()
    nodes = [machines.lean(number, NODES) for number in range(NODES)]
    for node in nodes:
        node.wait_for("connected as node")
    run = machines.run(
        app, task="'task:counting'", rounds=3, clients=NODES, clients_per_round=NODES,
        # Trees have no use for the digits'.
        initial="'exact'", refresh="'full'", evaluate_rows=0, prune=0.0, recover_rounds=0,
    )  # fmt: skip
    run.wait_for(r"counters: summed over 2 clients", 300)
    nodes[0].wait_for("round 2: train.trees begins", 300)
    nodes[0].kill()
    nodes[0] = machines.lean(0, NODES)
    run.wait_for(r"train +3/3", 300)
    assert run.wait(300) == 0, run.said

    (path,) = [one for one in (machines.folder / "runs").iterdir() if not one.is_symlink()]
    result = json.loads((path / "summary.json").read_text())
    assert result["status"] == "finished"
    # What was lost is one answer, or none if it was just on its way.
    assert 3 * NODES - 1 <= result["updates"] <= 3 * NODES
    parcel = Parcel.unpack((path / "model" / "trees.bin").read_bytes())
    bins, forest = Bins.from_bytes(parcel.bins), Forest()
    for segment in parcel.segments:
        forest += decode_forest(segment, len(bins))
    test = toy_rare.held_back_with_counters(True).test
    scores = forest.raw_scores(bins.of(test.x))
    outputs = np.stack([np.zeros(len(test)), scores], axis=1)
    assert two_class_average_precision(outputs, test.y) > toy_rare.RATE + 0.2

    both = np.zeros((toy_rare.PLACES, toy_rare.PERIODS), np.int64)
    for number in range(NODES):
        keys, counts = toy_rare.counted(number)
        both[keys] += counts
    for number in range(NODES):
        keys, _ = toy_rare.counted(number)
        tables = totals_of(machines.folder / f"device-{number}", path.name)
        np.testing.assert_array_equal(tables["seen"].keys, keys)
        np.testing.assert_array_equal(tables["seen"].counts, both[keys])
    assert all("Traceback" not in node.said for node in nodes)
    assert (path / "report.html").is_file()
