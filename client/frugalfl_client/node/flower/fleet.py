"""The Fleet API of a SuperLink, as flwr 1.41 speaks it.

Protobuf bodies over HTTP/1.1; each request names the node's public key and carries a time that is
signed with it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.common.constant import TIMESTAMP_HEADER
from flwr.common.serde import message_from_proto, run_from_proto
from flwr.proto.fab_pb2 import GetFabRequest, GetFabResponse
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    DeactivateNodeRequest,
    DeactivateNodeResponse,
    PullMessagesRequest,
    PullMessagesResponse,
    PushMessagesRequest,
    PushMessagesResponse,
    RegisterNodeFleetRequest,
    RegisterNodeFleetResponse,
    UnregisterNodeFleetRequest,
    UnregisterNodeFleetResponse,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest, SendNodeHeartbeatResponse
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ConfirmMessageReceivedResponse,
    ObjectTree,
    PullObjectResponse,
    PushObjectRequest,
    PushObjectResponse,
)
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunRequest, GetRunResponse
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.run import Run
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.protobuf.message import Message as Proto

from frugalfl_client.node.channel import (
    ANSWER_BYTES,
    ANSWER_S,
    Channel,
    RefusedError,
    UnreachableError,
)
from frugalfl_client.node.flower.content import Contents
from frugalfl_client.node.flower.parcel import Parcel
from frugalfl_client.node.flower.signer import Signer, public_key_of, trouble_of

#: Longest answers by call, as long as the longest request that a front lets through, Flower's
#: largest bundle with its signatures, and messages with the names of their objects (B).
_MOST_BYTES = {"pull-object": 32 << 20, "get-fab": 16 << 20, "pull-messages": 4 << 20}
#: Calls that come while a node is idle must not keep it waiting (s).
_HEARTBEAT_ANSWER_S = 15.0

_P = TypeVar("_P", bound=Proto)


class Bundle(NamedTuple):
    """An app bundle, and what a SuperLink says of who signed it; neither is checked.

    Attributes:
        data: The ZIP file.
        verifications: By id of a key, a signature and when it was made, as JSON.
    """

    data: bytes
    verifications: dict[str, str]


@dataclass(frozen=True)
class Incoming:
    """A message that is for this node now, and for nobody else; its content may not be here yet."""

    message: Message
    tree: ObjectTree

    @property
    def sent(self) -> float:
        """When it was made (s since 1970, on the server's clock)."""
        return float(self.message.metadata.created_at)

    @property
    def expires(self) -> float:
        """When its answer is of no use any more (s since 1970, on the server's clock)."""
        about = self.message.metadata
        return float(about.created_at + about.ttl)


class Fleet:
    """The calls of one node to one SuperLink; it has as many methods as the API has calls."""

    def __init__(self, channel: Channel, key: ec.EllipticCurvePrivateKey) -> None:
        """Speak over ``channel`` as the owner of ``key``."""
        self._channel = channel
        self._public = public_key_of(key)
        self._sign = Signer(key)
        self._contents = Contents(lambda one: self._call("pull-object", one, PullObjectResponse))
        #: When the last answer was given (s since 1970, on the server's clock); ``None``: unknown.
        self.clock: float | None = None

    def register(self) -> None:
        """Make this key known, where the SuperLink takes any.

        Raises:
            RefusedError: It takes registered keys only, or has this one already.
        """
        request = RegisterNodeFleetRequest(public_key=self._public)
        self._call("register-node", request, RegisterNodeFleetResponse)

    def activate(self, interval: float) -> int:
        """Come online, for twice ``interval`` seconds, and return the node's id.

        Raises:
            RefusedError: The key is not registered, or its node is online already.
        """
        request = ActivateNodeRequest(public_key=self._public, heartbeat_interval=interval)
        return int(self._call("activate-node", request, ActivateNodeResponse).node_id)

    def heartbeat(self, node: int, interval: float) -> bool:
        """Stay online, for twice ``interval`` seconds; ``False``: the node is not known any more.

        Raises:
            UnknownNodeError: As for every call below.
        """
        request = SendNodeHeartbeatRequest(node=Node(node_id=node), heartbeat_interval=interval)
        answer = self._call(
            "send-node-heartbeat", request, SendNodeHeartbeatResponse, _HEARTBEAT_ANSWER_S
        )
        return bool(answer.success)

    def leave(self, node: int, *, unregister: bool) -> None:
        """Go offline; a node that registered itself is forgotten."""
        timeout = _HEARTBEAT_ANSWER_S
        self._call(
            "deactivate-node", DeactivateNodeRequest(node_id=node), DeactivateNodeResponse, timeout
        )
        if unregister:
            gone = UnregisterNodeFleetRequest(node_id=node)
            self._call("unregister-node", gone, UnregisterNodeFleetResponse, timeout)

    def pull(self, node: int) -> Incoming | None:
        """Return the next message for this node, if there is one."""
        request = PullMessagesRequest(node=Node(node_id=node))
        answer = self._call("pull-messages", request, PullMessagesResponse)
        if not answer.messages_list:
            return None
        with self._understanding("a message"):
            message = message_from_proto(answer.messages_list[0])
            return Incoming(message, answer.message_object_trees[0])

    def fetch(self, node: int, incoming: Incoming) -> Message:
        """Fetch a message's content, where it does not carry it.

        Raises:
            RunOverError: The run has ended meanwhile.
            RefusedError: A part of the message is lost.
        """
        message, run = incoming.message, incoming.message.metadata.run_id
        if message.has_content() and message.content:
            return message
        with self._understanding("the content of a message"):
            (content,) = incoming.tree.children
            message.content = self._contents.fetch(node, run, content)
        return message

    def confirm(self, node: int, incoming: Incoming) -> None:
        """Let the SuperLink forget the parts of a message, which it else keeps until the run ends.

        Raises:
            RunOverError: It has ended.
        """
        received = ConfirmMessageReceivedRequest(
            node=Node(node_id=node), run_id=incoming.message.metadata.run_id,
            message_object_id=incoming.tree.object_id,
        )  # fmt: skip
        self._call("confirm-message-received", received, ConfirmMessageReceivedResponse)

    def run(self, node: int, run: int) -> Run:
        """Return what the SuperLink knows of a run.

        Raises:
            RunOverError: It has ended.
        """
        request = GetRunRequest(node=Node(node_id=node), run_id=run)
        return run_from_proto(self._call("get-run", request, GetRunResponse).run)

    def fab(self, node: int, run: int, digest: str) -> Bundle:
        """Return an app bundle, unchecked.

        Raises:
            RunOverError: The run has ended.
        """
        request = GetFabRequest(node=Node(node_id=node), run_id=run, hash_str=digest)
        fab = self._call("get-fab", request, GetFabResponse).fab
        return Bundle(bytes(fab.content), dict(fab.verifications))

    def push(self, parcel: Parcel) -> bool:
        """Send an answer; ``False``: the SuperLink did not want it, or has it already.

        Raises:
            RunOverError: The run has ended.
        """
        node = Node(node_id=parcel.node)
        request = PushMessagesRequest(node=node, clientapp_runtime_list=[parcel.seconds])
        request.messages_list.add().ParseFromString(parcel.message)
        request.message_object_trees.add().ParseFromString(parcel.tree)
        answer = self._call("push-messages", request, PushMessagesResponse)
        wanted = set(answer.objects_to_push)
        for name, content in parcel.objects.items():
            if name in wanted:
                part = PushObjectRequest(
                    node=node, run_id=parcel.run, object_id=name, object_content=content,
                    session_id=answer.session_id,
                )  # fmt: skip
                if not self._call("push-object", part, PushObjectResponse).stored:
                    raise UnreachableError("the SuperLink dropped a half-sent answer")
        return bool(wanted)

    def _call(
        self, name: str, request: Proto, answer_type: type[_P], timeout: float = ANSWER_S
    ) -> _P:
        time_sent, signature = self._sign.now()
        headers = {
            "content-type": PROTOBUF_MEDIA_TYPE,
            FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(self._public).decode("ascii"),
            TIMESTAMP_HEADER: time_sent,
            FLEET_HTTP_SIGNATURE_HEADER: signature,
        }
        path, body = f"/v1/fleet/{name}", request.SerializeToString(deterministic=True)
        most = _MOST_BYTES.get(name, ANSWER_BYTES)
        answer = self._channel.post(path, headers, body, timeout, most)
        if answer.status != 200:
            raise trouble_of(answer, f"{self._channel.address}")
        self.clock = answer.date.timestamp() if answer.date else None
        result: _P = answer_type()
        try:
            result.ParseFromString(answer.body)
        except DecodeError as error:
            raise RefusedError(
                f"{self._channel.address} answers, but not as a SuperLink does; is it one?"
            ) from error
        return result

    @contextmanager
    def _understanding(self, what: str) -> Iterator[None]:
        """Turn what Flower's own readers raise over a damaged answer into one line.

        Raises:
            UnreachableError: It cannot be read.
        """
        try:
            yield
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as no:
            said = " ".join(f"{no}".split())[:80]
            raise UnreachableError(
                f"{what} from {self._channel.address} cannot be read ({said})"
            ) from no
