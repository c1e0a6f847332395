"""A ServerApp that asks all nodes again and again, and a ClientApp that answers at once."""

import time
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

client = ClientApp()
server = ServerApp()
#: Between two looks for answers (s); a SuperLink that is asked more often has no time for nodes.
LOOK_S = 0.1


@client.query("echo")
def echo(message: Message, context: Context) -> Message:
    """Say how many messages this node has seen; work, or fill the disk, first if asked to."""
    asked = message.content.config_records["asked"]
    time.sleep(float(asked["work"]))
    if asked["fill"]:
        (Path(str(context.node_config["state-dir"])) / "fill").write_bytes(bytes(asked["fill"]))
    seen = context.state.metric_records.setdefault("seen", MetricRecord({"messages": 0}))
    seen["messages"] += 1
    return Message(RecordDict({"seen": MetricRecord(dict(seen))}), reply_to=message)


def all_answers(grid: Grid, messages: list[Message]) -> list[Message]:
    """Send messages and wait for all replies, looking for them more often than Flower does."""
    waiting = set(grid.push_messages(messages))
    answers = []
    while waiting:
        for reply in grid.pull_messages(waiting):
            waiting.discard(reply.metadata.reply_to_message_id)
            answers.append(reply)
        time.sleep(LOOK_S)
    return answers


@server.main()
def ask(grid: Grid, context: Context) -> None:
    """Ask every node, wait for all answers, and print how long that took.

    With ``timeout`` (s) it is Flower's own ``send_and_receive`` that waits, as its strategies do.
    """
    config = context.run_config
    while len(nodes := list(grid.get_node_ids())) < int(config["nodes"]):
        time.sleep(LOOK_S)
    for number in range(1, int(config["rounds"]) + 1):
        asked = ConfigRecord({"number": number, "work": config["work"], "fill": config["fill"]})
        started = time.monotonic()
        messages = [
            Message(RecordDict({"asked": asked}), node, "query.echo", group_id=str(number))
            for node in nodes
        ]
        if config["timeout"]:
            answers = list(grid.send_and_receive(messages, timeout=float(config["timeout"])))
        else:
            answers = all_answers(grid, messages)
        took = time.monotonic() - started
        errors = [reply.error.reason for reply in answers if reply.has_error()]
        print(f"echo {number}: {took:.3f} s, {len(answers)} answers, errors {errors}", flush=True)
