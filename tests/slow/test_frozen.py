"""A ServerApp that the SuperLink has not heard of for a minute: the run goes on all the same.

SuperLink takes a ServerApp's token back after 60 s without a sign of life, and marks the run as
failed. A process that is stopped, swapped out, or on a machine that slept, is such a one.
"""

import os
import signal

import pytest
from federations import DIGITS, PATIENCE_S, process_of
from machines import until

from frugalfl_server.run.directory import RunDirectory

pytestmark = pytest.mark.slow
SETTINGS = (
    "clients=2", "clients-per-round=2", "rounds=3", "local-epochs=1", "prune=0.0",
    "evaluate-rows=0", "private='8'", "round-deadline=600",
)  # fmt: skip


def begin(machines):
    for number in range(2):
        machines.lean(number)
    serving = machines.serve(DIGITS, *SETTINGS)
    serving.wait_for("train +1/3", PATIENCE_S)
    return serving


def name_superlink(machines, serving):
    """Let ``flwr`` reach the SuperLink itself: what listens outside forwards no control verb."""
    with open(f"/proc/{process_of(serving, 'flower-superlink')}/cmdline") as file:
        words = file.read().split("\0")
    address = f"127.0.0.1:{words[words.index('--port') + 1]}"
    with open(machines.folder / "flwr" / "config.toml", "a") as config:
        config.write(f'\n[superlink.behind]\naddress = "{address}"\ninsecure = true\n')


def check(machines, serving):
    assert serving.wait(PATIENCE_S) == 0, serving.said
    run = RunDirectory.open(machines.folder / "runs" / "latest")
    assert [(r.round, r.updates) for r in run.rounds] == [(1, 2), (2, 2), (3, 2)]
    assert len({(head.client, head.round) for head in run.heads}) == len(run.heads)


def test_a_serverapp_that_stands_still_is_given_up_and_started_again(machines):
    serving = begin(machines)
    stopped = process_of(serving, "flwr-serverapp")
    os.kill(stopped, signal.SIGSTOP)
    serving.wait_for("has not heard of the ServerApp", PATIENCE_S)
    check(machines, serving)
    assert not os.path.exists(f"/proc/{stopped}")


def test_one_that_wakes_up_to_find_itself_given_up_fails_and_is_started_again(machines):
    """``serve`` stands still with it, as on a machine that sleeps, and looks only afterwards."""
    serving = begin(machines)
    name_superlink(machines, serving)
    stopped = process_of(serving, "flwr-serverapp")
    os.kill(stopped, signal.SIGSTOP)
    serving.signal(signal.SIGSTOP)
    until(lambda: "No heartbeat" in machines.flwr("ls", "behind", "--format", "json").stdout)
    os.kill(stopped, signal.SIGCONT)
    until(lambda: not os.path.exists(f"/proc/{stopped}") or "Z" in state_of(stopped))
    serving.signal(signal.SIGCONT)
    serving.wait_for("has not heard of the ServerApp", PATIENCE_S)
    check(machines, serving)


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
