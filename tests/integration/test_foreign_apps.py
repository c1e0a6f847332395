"""A Flower app that is not ours, and does what it should not: its node goes on."""

import re
from pathlib import Path

import pytest
from machines import Machines, children_of, until

ECHO = Path(__file__).parents[2] / "benchmarks" / "echo"

PROJECT = """
[project]
name = "foreign"
version = "1.0.0"
[tool.flwr.app]
publisher = "somebody"
[tool.flwr.app.components]
serverapp = "foreign:server"
clientapp = "foreign:client"
[tool.flwr.app.config]
do = "nothing"
"""
APP = r"""
import os, signal, sys
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
import time

client = ClientApp()
server = ServerApp()


class OwnError(Exception):
    pass


@client.train()
def train(message, context):
    do = str(message.content["do"]["do"])
    seen = context.state.metric_records.setdefault("seen", MetricRecord({"messages": 0}))
    seen["messages"] += 1
    if do == "exit":
        sys.exit(3)
    if do == "end":
        os._exit(4)
    if do == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if do == "raise":
        raise OwnError("a\x1b[2J line\nand another")
    if do == "request":
        return message
    if do == "none":
        return None
    return Message(RecordDict({"seen": MetricRecord(dict(seen))}), reply_to=message)


@server.main()
def main(grid, context):
    while not (nodes := list(grid.get_node_ids())):
        time.sleep(0.1)
    for do in str(context.run_config["do"]).split():
        content = RecordDict({"do": ConfigRecord({"do": do})})
        waiting, (reply,) = set(grid.push_messages([Message(content, nodes[0], "train")])), [None]
        while waiting:
            for reply in grid.pull_messages(waiting):
                waiting.clear()
            time.sleep(0.05)
        told = reply.error.reason if reply.has_error() else dict(reply.content["seen"])
        print(f"{do}: {told!r}", flush=True)
"""


@pytest.fixture
def machines(tmp_path):
    started = Machines(tmp_path / "machines")
    yield started
    started.stop()


@pytest.fixture
def foreign(tmp_path):
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "foreign.py").write_text(APP)
    return folder


def test_whatever_an_app_does_is_an_answer_and_the_node_goes_on(machines, foreign):
    machines.superlink()
    node = machines.lean(0, 1)
    node.wait_for("connected as node")
    run = machines.run(foreign, do="'well exit end crash raise request none well'")
    said = {
        "exit": "SystemExit: the app called sys.exit(3)",
        "end": "the app ended its process, with exit code 4",
        "crash": "the app crashed: its process was ended by SIGSEGV",
        "raise": "OwnError: a [2J line and another",
        "request": "the app returned the request itself in place of an answer",
        "none": "the app returned NoneType, and an answer is a Message",
    }
    for do, text in said.items():
        assert text in run.wait_for(f"\\b{do}: ")
    # What those that died had put into the context is not there; what the others put is.
    assert "{'messages': 6}" in run.wait_for(r"well: .*[2-9]")
    assert re.search(r'foreign.py", line \d+, in train', node.said)
    assert "\x1b" not in node.said
    assert node.alive
    node.signal(2)
    node.wait_for("signed off")
    node.wait()
    assert not list(machines.folder.rglob("own-key.pem"))


@pytest.mark.slow
def test_a_node_that_is_stopped_while_a_foreign_app_works_says_so(machines):
    machines.superlink()
    node = machines.lean(0, 1)
    run = machines.run(ECHO, nodes=1, rounds=1, work=60)
    node.wait_for("begins")
    until(lambda: children_of(node.pid), 30)
    (child,) = children_of(node.pid)
    node.signal(15)
    assert "stopped while it worked" in node.wait_for("query.echo failed")
    run.wait_for("echo 1:")
    assert node.wait() == 0
    assert child not in children_of(node.pid)
