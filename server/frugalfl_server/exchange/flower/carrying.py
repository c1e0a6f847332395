"""The one file of the server that knows Flower's internals: its client of SuperLink's Runtime API.

``flwr-serverapp`` speaks to SuperLink on the same machine, so requests are cheap here and dear on a
device's link. This Grid takes answers that carry their content (:mod:`frugalfl.carried`), lets
messages to nodes that send such carry theirs, and does for those nodes what the protocol asks for
besides: it finishes the upload of their ticket and lets SuperLink forget what both messages left
there. All other nodes are served as Flower does it. ``tests/integration/test_fleet_contract.py``
says what has moved when flwr is upgraded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from flwr.app import Message, RecordDict
from flwr.common.serde import message_from_proto, recorddict_to_proto
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, PushObjectRequest
from flwr.proto.recorddict_pb2 import RecordDict as ProtoRecordDict
from flwr.proto.runtime_pb2 import PullAppMessagesResponse
from flwr.serverapp import Grid
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.superlink.grid.http_grid import HttpGrid

from frugalfl import wire
from frugalfl.carried import MOST_DOWN_BYTES, size, ticket
from frugalfl.fold_message import fold


class CarryingGrid(HttpGrid):
    """Flower's Grid, on the same connection, for nodes that carry their answers too."""

    def __init__(self, grid: Grid) -> None:
        """Take over Flower's Grid, which knows its run.

        Raises:
            TypeError: It is of another kind: there is no SuperLink behind it.
        """
        if not isinstance(grid, HttpGrid):
            raise TypeError(f"{type(grid).__name__} has no SuperLink behind it")
        client = grid._runtime_client
        vars(self).update(vars(grid))
        self._carrier = _Carrier(client)
        self._client = cast(RuntimeHttpClient, self._carrier)
        self._able: set[int] = set()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages; return their names, an empty one for what could not be sent."""
        sent = list(messages)
        contents = {id(message.content): message.content for message in sent}  # keeps the ids taken
        for content in contents.values():
            wire.offer_carrying(content)
        folded: dict[int, tuple[RecordDict, ProtoRecordDict]] = {}
        carried: list[ProtoRecordDict | None] = []
        for message in sent:
            content = message.content
            fits = wire.is_ours(content) and size(content) <= MOST_DOWN_BYTES
            if fits and message.metadata.dst_node_id in self._able:
                if id(content) not in folded:  # what is the same for many nodes, once
                    whole = fold(content)
                    folded[id(content)] = whole, recorddict_to_proto(whole)
                message.content, proto = folded[id(content)]
                carried.append(proto)
            else:
                carried.append(None)
        self._carrier.going = carried
        return super().push_messages(sent)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Fetch the replies to these messages, as far as they are there."""
        replies = list(super().pull_messages(message_ids))
        self._able -= {reply.metadata.src_node_id for reply in replies if reply.has_content()}
        carried, self._carrier.come = self._carrier.come, []
        for reply in carried:
            self._able.add(reply.metadata.src_node_id)
            self._settle(reply)
        return replies + carried

    def _settle(self, reply: Message) -> None:
        """Do what is left to do of an exchange, of which the node is spared."""
        run, answered = reply.metadata.run_id, reply.metadata.reply_to_message_id
        name, data = ticket(answered)
        client = self._runtime_client
        client.PushObject(
            PushObjectRequest(node=self.node, run_id=run, object_id=name, object_content=data)
        )
        for gone in (name, answered):
            client.ConfirmMessageReceived(
                ConfirmMessageReceivedRequest(node=self.node, run_id=run, message_object_id=gone)
            )


class _Carrier:
    """Flower's client, which puts contents into messages and takes messages with one out."""

    def __init__(self, client: Any) -> None:
        self._client = client
        #: What the messages carry that are pushed next, in their order.
        self.going: list[ProtoRecordDict | None] = []
        #: Messages that have come with their content.
        self.come: list[Message] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def PushMessages(self, request: Any) -> Any:  # noqa: N802 - Flower's name
        """Send messages."""
        for message, content in zip(request.messages_list, self.going, strict=True):
            if content is not None:
                message.content.CopyFrom(content)
        return self._client.PushMessages(request)

    def PullMessages(self, request: Any) -> PullAppMessagesResponse:  # noqa: N802 - Flower's name
        """Fetch messages; return those that do not carry their content."""
        answer = self._client.PullMessages(request)
        others = PullAppMessagesResponse()
        for message, tree in zip(answer.messages_list, answer.message_object_trees, strict=True):
            about = message.metadata
            if about.message_id == ticket(about.reply_to_message_id)[0]:
                self.come.append(message_from_proto(message))
            else:
                others.messages_list.append(message)
                others.message_object_trees.append(tree)
        return others
