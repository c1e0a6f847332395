"""Faults of real federations, done to real processes: SuperLink, ServerApp and lean nodes."""

import os
import signal
import time

import faults_of_nodes
import faults_of_servers
import pytest
from federations import DIGITS, LEAN, PATIENCE_S, process_of
from tcp_proxy import TcpProxy

from frugalfl_server.run.directory import RunDirectory

pytestmark = pytest.mark.slow


def carried(requests):
    """Say whether a node sent answers, and nothing went as objects in either direction."""
    words = {path.rpartition("/")[2] for path in requests}
    return "push-messages" in words and not words & {"push-object", "pull-object"}


def test_a_node_that_is_killed_in_mid_training(machines):
    seen = faults_of_nodes.kill_node(machines, LEAN, deadline_s=20.0)
    # The quorum is one of two. Later than its deadline a round ends by what the server itself does.
    assert seen.closed_s <= seen.deadline_s + 5
    assert seen.updates[:3] == [2, 1, 2]
    assert seen.same_node
    assert seen.before.version == 1
    assert seen.intact
    # In its first round it was sent a model of 150 kB, an app and a training program.
    assert seen.next_down < 0.25 * seen.first_down


def test_an_answer_that_a_cut_line_holds_up_for_half_a_minute_is_used(machines):
    seen = faults_of_nodes.cut_line(machines, LEAN, seconds=30.0)
    assert seen.updates[:3] == [2, 2, 2]
    assert "; trying again" in seen.said
    assert "connected again after" in seen.said
    assert carried(seen.requests)
    assert "Traceback" not in seen.said


def test_a_straggler_poisons_no_later_round(machines):
    seen = faults_of_nodes.stop_for_a_while(machines, deadline_s=20.0)
    assert seen.missed_s >= 0.9 * seen.deadline_s
    # No other round ran into its deadline.
    assert max([*seen.before, *seen.after]) < 0.9 * seen.deadline_s
    assert seen.late or "the answer is past its time; dropped" in seen.said
    assert seen.asked_again


def test_a_server_that_dies_in_every_way_leaves_the_same_bits(machines):
    """LiteRT clients: the ServerApp is killed, then the SuperLink, then all of it and --resume."""
    serving = faults_of_servers.Serving(machines)
    whole, broken = serving.undisturbed(), serving.disturbed()
    assert whole.run.path != broken.run.path
    assert [line for line in broken.said.splitlines() if "ServerApp died" in line] == [
        "the ServerApp died; starts again in 1 s, with resume (attempt 1 of 5)"
    ]
    assert "the superlink ended (-9): starts again" in broken.said
    assert whole.run.rounds[0].program_bytes > 0
    assert faults_of_servers.same_bits(whole.run, broken.run)


def test_carried_answers_outlive_a_superlink_that_dies_in_mid_training(machines):
    proxies = [TcpProxy(machines.port) for _ in range(2)]
    nodes = [machines.lean(number, superlink=proxies[number].address) for number in range(2)]
    serving = faults_of_servers.begin(machines)
    nodes[0].wait_for("round 2: train begins", PATIENCE_S)
    begun = time.monotonic()
    os.kill(process_of(serving, "flower-superlink"), signal.SIGKILL)
    assert serving.wait(PATIENCE_S) == 0, serving.said
    assert "the superlink ended (-9): starts again" in serving.said
    rounds = RunDirectory.open(machines.folder / "runs" / "latest").rounds
    assert [record.updates for record in rounds[:4]] == [2, 2, 2, 2]
    for proxy in proxies:
        assert carried({one.path for one in proxy.exchanges(begun, time.monotonic())})
        proxy.close()


def test_an_error_of_ours_is_not_tried_again(machines):
    """A model that no budget of flash can hold: found before the first round, without any node."""
    serving = machines.serve(DIGITS, "flash=1KiB")
    assert serving.wait(120) == 1
    assert "error: the run failed:" in serving.lines[-1]
    assert "starts again" not in serving.said
