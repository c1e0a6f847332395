"""What happens to a lean node: kill -9, a cut line, a SuperLink that forgets it, a full disk."""

from pathlib import Path

import pytest
from tcp_proxy import TcpProxy

ECHO = Path(__file__).parents[2] / "benchmarks" / "echo"

pytestmark = pytest.mark.slow


def test_a_node_that_is_killed_at_work_says_so_when_it_is_back(machines):
    machines.superlink()
    node = machines.lean(0)
    name = node.wait_for("connected as node").split()[-1]
    run = machines.run(ECHO, nodes=1, rounds=1, work=300.0)
    node.wait_for("query.echo begins")
    node.kill()
    node = machines.lean(0)
    assert node.wait_for("connected as node").split()[-1] == name
    # The round does not wait for its deadline, nor for the heartbeat that is missing.
    run.wait_for("echo 1: .* 1 answers, errors .'the node was killed while it worked", 25)


def test_a_superlink_that_forgot_everything(machines):
    link = machines.superlink()
    node = machines.lean(0, 1, None, "--idle-poll", "0.5")
    node.wait_for("connected as node")
    link.kill()
    node.wait_for("(nothing listens at|closed the connection without an answer).*; trying again")
    machines.superlink()
    node.wait_for("connected again after")
    machines.run(ECHO, nodes=1, rounds=1).wait_for(r"echo 1: .* 1 answers, errors \[\]")


def test_a_full_disk_is_an_answer(machines):
    machines.superlink()
    node = machines.lean(0, largest=65536)
    node.wait_for("connected as node")
    run = machines.run(ECHO, nodes=1, rounds=2, fill=100_000)
    run.wait_for("echo 2: .* 1 answers, errors .*File too large")
    assert len([line for line in node.lines if "query.echo failed" in line]) == 2
    assert (
        node.said.count("Traceback") == 2
    )  # the app's own, for whoever mends it; the node goes on


def test_an_answer_that_a_cut_line_held_up_arrives_later(machines):
    machines.superlink()
    proxy = TcpProxy(machines.port)
    node = machines.lean(0, superlink=proxy.address)
    node.wait_for("connected as node")
    run = machines.run(ECHO, nodes=1, rounds=2, work=3.0)
    node.wait_for("round 1: query.echo begins")
    proxy.cut()
    node.wait_for("trying again")
    assert "sent" not in node.said
    proxy.mend()
    node.wait_for("connected again after")
    node.wait_for("answer of .* sent")
    run.wait_for(r"echo 2: .* 1 answers, errors \[\]")
    assert "echo 1:" in run.said and "errors []" in run.wait_for("echo 1:")
    # The work was done once a round.
    assert len([line for line in node.lines if "begins" in line]) == 2
    proxy.close()
