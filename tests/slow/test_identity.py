"""Real nodes: a second one claims a number, one comes back with a new key, an owner keeps back."""

import signal
from pathlib import Path

import pytest
from machines import Machines, free_port, until

DIGITS = Path(__file__).parents[2] / "simulations" / "digits"

pytestmark = pytest.mark.slow


@pytest.fixture
def machines(tmp_path):
    started = Machines(tmp_path / "machines")
    yield started
    started.stop()


def test_nodes_keep_their_numbers_and_owners_their_word(machines):
    machines.superlink()
    nodes = [
        machines.lean(0, 2, None, "--idle-poll", "1", config="local-epochs=1"),
        machines.lean(1, 2, None, "--idle-poll", "1"),
    ]
    first = nodes[1].wait_for("connected as node").split()[-1]
    run = machines.run(DIGITS, clients=2, clients_per_round=2, rounds=40, local_epochs=2, prune=0)
    log = machines.folder / "runs" / "latest" / "progress.log"

    def said(*words):
        lines = log.read_text().splitlines() if log.exists() else []
        return next((line for line in lines if all(word in line for word in words)), "")

    until(lambda: said("train", "2/40"))
    assert "local-epochs = 2" in nodes[0].wait_for("1 at most: it does 1")
    assert said("local-epochs = 2", "1 at most: it does 1")

    # Flower's own node, with a disk of its own, says that it is client 1.
    state = machines.folder / "another"
    other = machines.start(
        "flower-supernode", "--superlink", machines.address, "--insecure", "--port", free_port(),
        "--node-config", f'partition-id=1 num-partitions=2 state-dir="{state}"',
    )  # fmt: skip
    line = until(lambda: said("client 1", f"which node {first} is since round 1"))
    assert "its answer does not count" in line
    other.kill()

    # Client 1's node ends, which costs it its key, and comes back with its disk.
    nodes[1].signal(signal.SIGTERM)
    nodes[1].wait_for("signed off")
    nodes[1].wait()
    again = machines.lean(1, 2, None, "--idle-poll", "1")
    second = again.wait_for("connected as node").split()[-1]
    assert second != first
    until(lambda: said(f"node {second} is client 1 from now on", "its ledger goes on"))
    assert run.alive
    assert "Traceback" not in run.said + nodes[0].said + again.said


def test_a_misspelled_key_ends_a_node_before_it_connects(machines):
    node = machines.lean(0, 2, None, config="local-epoch=1")
    node.wait_for("unknown node-config key 'local-epoch'; did you mean 'local-epochs'")
    assert node.wait() == 2
