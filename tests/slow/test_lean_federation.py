"""Lean and stock nodes in one federation over TLS with registered keys, one of them killed."""

import json
from pathlib import Path

import pytest
from machines import Machines

from frugalfl_client.store import Store

DIGITS = Path(__file__).parents[2] / "simulations" / "digits"

pytestmark = pytest.mark.slow


@pytest.fixture
def machines(tmp_path):
    started = Machines(tmp_path / "machines", tls=True)
    yield started
    started.stop()


def test_two_lean_nodes_and_a_stock_one_learn_digits(machines):
    machines.superlink()
    keys = [machines.register(f"node{number}") for number in range(3)]
    lean = [machines.lean(number, 3, keys[number]) for number in range(2)]
    stock = machines.stock(2, 3, keys[2])
    for node in lean:
        node.wait_for("connected as node")
    stock.wait_for("SuperNode ID")
    name = lean[0].wait_for("connected as node").split()[-1]
    run = machines.run(
        DIGITS, rounds=4, clients=3, clients_per_round=3, prune=0, local_epochs=2,
        uplink="'feedback | topk(20%) | sign | golomb'",
    )  # fmt: skip

    lean[0].wait_for("round 2: train begins", 300)
    lean[0].kill()
    before = held_by(machines.folder / "device-0")
    lean[0] = machines.lean(0, 3, keys[0])
    assert lean[0].wait_for("connected as node").split()[-1] == name
    lean[0].wait_for("round 3: trained", 300)
    assert before.version == 1 and before.model and before.residual and not before.damage
    assert held_by(machines.folder / "device-0").version > before.version

    run.wait_for(r"train +4/4", 300)
    assert run.wait(300) == 0
    result = json.loads((machines.folder / "runs" / "latest" / "summary.json").read_text())
    # What was lost is the update of one node in one round, or none if it was just on its way.
    assert 11 <= result["updates"] <= 12
    assert result["accuracy"] > 0.5
    assert all("Traceback" not in node.said for node in [*lean, stock])


def held_by(folder):
    store = Store(folder / "store.sqlite")
    (run,) = store.runs()
    held = store.load(run)
    store.close()
    return held
