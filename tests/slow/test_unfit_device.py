"""A real fleet of which one device's rows are wrong: it is named, the others train on."""

import json
import shutil
from pathlib import Path

import pytest
from machines import Machines

CASE = Path(__file__).parents[1] / "cases" / "data"

pytestmark = pytest.mark.slow


@pytest.fixture
def machines(tmp_path, monkeypatch):
    monkeypatch.setenv("KIND", "out_of_range")  # client 1, a stock SuperNode
    started = Machines(tmp_path / "machines", tls=True)
    yield started
    started.stop()


def test_it_costs_its_own_rounds(machines):
    machines.superlink()
    keys = [machines.register(f"node{number}") for number in range(3)]
    lean = [machines.lean(number, 3, keys[number]) for number in (0, 2)]
    stock = machines.stock(1, 3, keys[1])
    for node in lean:
        node.wait_for("connected as node")
    stock.wait_for("SuperNode ID")
    app = shutil.copytree(CASE, machines.folder / "app")
    with (app / "pyproject.toml").open("a") as config:
        config.write("rounds = 2\nclients = 3\nclients-per-round = 3\nprune = 0.0\n")
        config.write("recover-rounds = 0\nbatch-size = 8\n")
    run = machines.run(app)
    assert run.wait(300) == 0, run.said
    result = json.loads((machines.folder / "runs" / "latest" / "summary.json").read_text())
    assert result["updates"] == 4 and result["status"] == "finished"
    (idle,) = result["never_trained"]
    assert "client 1 of 3: classes go from 0 to 4, the model has 0 to 3" in idle["why"]
