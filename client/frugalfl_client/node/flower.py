"""The one file that knows Flower's internals: the Fleet API of a SuperLink, as flwr 1.41 speaks it.

Protobuf bodies over HTTP/1.1; each request names the node's public key and carries a time that is
signed with it. What is used of flwr here is no public interface of it: the version is pinned, and
``tests/integration/test_fleet_contract.py`` says what has moved when it is raised.

A message is a tree of objects, each named by the SHA-256 of its bytes and each sent in a request
of its own. Most of them hold no more than the names of those below; they are made here, from what
the last message looked like, and fetched only where the hash says that the guess was wrong. This
project's own server needs none of that: messages to it and from it carry their content
(:mod:`frugalfl.carried`).
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from click import ClickException
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.app.message.arraychunk import ArrayChunk
from flwr.app.user_config import UserConfig
from flwr.common.config import flatten_dict, fuse_dicts, get_project_config, parse_config_args
from flwr.common.constant import (
    SYSTEM_TIME_TOLERANCE,
    TIMESTAMP_HEADER,
    TIMESTAMP_TOLERANCE,
    ErrorCode,
)
from flwr.common.serde import (
    message_from_proto,
    message_to_proto,
    recorddict_from_proto,
    recorddict_to_proto,
    run_from_proto,
)
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
    PullObjectRequest,
    PullObjectResponse,
    PushObjectRequest,
    PushObjectResponse,
)
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.node_pb2 import Node
from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto
from flwr.proto.run_pb2 import GetRunRequest, GetRunResponse
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.inflatable.inflatable_object import (
    InflatableObject,
    get_all_nested_objects,
    get_object_id,
    get_object_tree,
    get_object_type_from_object_content,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, sign_message
from flwr.supercore.primitives.asymmetric_ed25519 import (  # for signatures.py
    create_message_to_sign as create_message_to_sign,
)
from flwr.supercore.primitives.asymmetric_ed25519 import decode_base64url as decode_base64url
from flwr.supercore.primitives.asymmetric_ed25519 import verify_signature as verify_signature
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.run import Run as Run  # the rest of the node has it from here
from flwr.supercore.task_identity import TaskIdentity
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.protobuf.message import Message as Proto

from frugalfl.carried import MOST_UP_BYTES, size, ticket
from frugalfl.errors import UsageError
from frugalfl.text import printable
from frugalfl_client.node.channel import (
    ANSWER_BYTES,
    ANSWER_S,
    Channel,
    RefusedError,
    UnreachableError,
)

#: Shortest and longest heartbeat interval that a SuperLink accepts (s).
LEAST_HEARTBEAT_S, MOST_HEARTBEAT_S = 30.0, 1800.0
#: Flower's numbers of what a node may be refused for, of ``flwr.supercore.error.ApiErrorCode``;
#: importing that would bring a web server along, 15 MB of memory.
KEY_IN_USE, REGISTERED_ONLY, NOT_ACTIVATED, RUN_OVER = 23, 2001, 2004, 2007
#: Flower's numbers of why a message has no result.
APP_NOT_LOADED, APP_RAISED, APP_CRASHED, BAD_FAB = (
    ErrorCode.LOAD_CLIENT_APP_EXCEPTION,
    ErrorCode.CLIENT_APP_RAISED_EXCEPTION,
    ErrorCode.CLIENT_APP_CRASHED,
    ErrorCode.INVALID_FAB,
)
#: A sender's objects may still be on their way when its message is here already (s).
_OBJECT_PAUSE_S, _OBJECT_TRIES = 0.5, 40
#: Longest answers by call, as long as the longest request that a front lets through, Flower's
#: largest bundle with its signatures, and messages with the names of their objects (B).
_MOST_BYTES = {"pull-object": 32 << 20, "get-fab": 16 << 20, "pull-messages": 4 << 20}
#: Largest content of one message, its objects together (B).
MOST_CONTENT = 512 << 20
#: Calls that come while a node is idle must not keep it waiting (s).
_HEARTBEAT_ANSWER_S = 15.0

_P = TypeVar("_P", bound=Proto)


class RunOverError(Exception):
    """The run that a message belongs to has ended: nobody waits for an answer."""


class UnknownNodeError(UnreachableError):
    """The SuperLink does not know this node, or does not believe its signature.

    Attributes:
        ahead: By how many seconds this device's clock is ahead of the SuperLink's, where that is
            why; ``None``: it is not, or cannot be known.
    """

    def __init__(self, text: str, ahead: float | None) -> None:
        super().__init__(text)
        self.ahead = ahead


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


@dataclass(frozen=True)
class Parcel:
    """An answer, ready to be sent, and to be kept on disk until it is.

    Attributes:
        node: Id of the node that answers.
        run: Id of the run.
        answers: Id of the message that it answers.
        expires: When nobody waits for it any more (s since 1970, on the server's clock).
        seconds: What the app took (s).
        message: Flower's message, with its content if that is carried.
        tree: The names of its objects.
        objects: Their bytes by name; none where the content is carried.
    """

    node: int
    run: int
    answers: str
    expires: float
    seconds: float
    message: bytes
    tree: bytes
    objects: Mapping[str, bytes]

    @property
    def size(self) -> int:
        """Bytes of it, its objects included."""
        return len(self.message) + sum(map(len, self.objects.values()))


class Fleet:
    """The calls of one node to one SuperLink."""

    def __init__(self, channel: Channel, key: ec.EllipticCurvePrivateKey) -> None:
        """Speak over ``channel`` as the owner of ``key``."""
        self._channel = channel
        self._key = key
        self._public = public_key_of(key)
        self._signed: tuple[str, str] = ("", "")
        self._forms: dict[tuple[int, ...], Any] = {}
        self._room = 0  # what may still come of the content that is fetched (B)
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
            self._room = MOST_CONTENT
            message.content = self._inflate(node, run, content, ())
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
        time_sent, signature = self._signature()
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
            raise self._trouble(answer.status, answer.body, answer.date)
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

    def _signature(self) -> tuple[str, str]:
        """Return the time and its signature; to the second, which is shorter and signed once."""
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        if self._signed[0] != now:
            signature = sign_message(self._key, now.encode("ascii"))
            self._signed = (now, b64encode(signature).decode("ascii"))
        return self._signed

    def _trouble(self, status: int, body: bytes, date: datetime | None) -> Exception:
        """Return the exception that an HTTP error stands for."""
        try:
            error = json.loads(body)
            code = int(error["code"])
            text = f"{printable(str(error['detail']))} (Flower's code {code})"
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            code, text = 0, f"HTTP {status}"
        if status == 401:
            ahead = None if date is None else (datetime.now(UTC) - date).total_seconds()
            if ahead is not None and (
                -(TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE) < ahead < SYSTEM_TIME_TOLERANCE
            ):
                ahead = None
            return UnknownNodeError("the SuperLink does not know this node", ahead)
        if code == RUN_OVER:
            return RunOverError(text)
        if status >= 500:
            return UnreachableError(f"the SuperLink at {self._channel.address} has trouble: {text}")
        return RefusedError(f"the SuperLink at {self._channel.address} refuses: {text}", code)

    def _inflate(self, node: int, run: int, tree: ObjectTree, place: tuple[int, ...]) -> Any:
        """Return the object that a tree names, with everything below it."""
        children = {
            child.object_id: self._inflate(node, run, child, (*place, number))
            for number, child in enumerate(tree.children)
        }
        guess = self._guess(place, list(children.values())) if children else None
        if guess is not None and guess.object_id == tree.object_id:
            return guess
        content = self._pull_object(node, run, tree.object_id)
        kind = inflatable_class_registry[get_object_type_from_object_content(content)]
        whole = kind.inflate(content, children=children)
        self._forms[place] = _form(whole)
        return whole

    def _guess(
        self, place: tuple[int, ...], children: list[InflatableObject]
    ) -> InflatableObject | None:
        """Make what stood at this place in the last message, of the parts of this one."""
        match self._forms.get(place):
            case (("RecordDict" | "ArrayRecord") as kind, names) if len(names) == len(children):
                named: dict[str, Any] = dict(zip(names, children, strict=True))
                return RecordDict(named) if kind == "RecordDict" else ArrayRecord(named)
            case ("Array", dtype, shape, stype):
                data = b"".join(
                    bytes(part.data) for part in children if isinstance(part, ArrayChunk)
                )
                size = (len(data),) if dtype == "uint8" and len(shape) == 1 else shape
                return Array(dtype=dtype, shape=size, stype=stype, data=data)
        return None

    def _pull_object(self, node: int, run: int, name: str) -> bytes:
        request = PullObjectRequest(node=Node(node_id=node), run_id=run, object_id=name)
        for _ in range(_OBJECT_TRIES):
            answer = self._call("pull-object", request, PullObjectResponse)
            if not answer.object_found:
                raise RefusedError("a part of the message is not on the SuperLink any more")
            if answer.object_available:
                content = bytes(answer.object_content)
                if get_object_id(content) != name:
                    raise UnreachableError("a part of the message arrived damaged")
                self._room -= len(content)
                if self._room < 0:
                    raise RefusedError(f"the message has more than {MOST_CONTENT >> 20} MiB")
                return content
            time.sleep(_OBJECT_PAUSE_S)
        raise RefusedError("a part of the message never arrived at the SuperLink")


def pack(reply: Message, node: int, seconds: float, *, carried: bool = False) -> Parcel:
    """Make an answer ready to be sent; ``carried``: with its content, if that is not too large."""
    if carried and (reply.has_error() or size(reply.content) <= MOST_UP_BYTES):
        return _packed_whole(reply, node, seconds)
    about = reply.metadata
    with no_object_id_recompute():
        about.__dict__["_message_id"] = reply.object_id
        tree = get_object_tree(reply)
        objects = {name: part.deflate() for name, part in get_all_nested_objects(reply).items()}
    bare = remove_content_from_message(reply) if reply.has_content() else reply
    return _parcel(bare, tree, objects, node, seconds)


def _packed_whole(reply: Message, node: int, seconds: float) -> Parcel:
    name, _ = ticket(reply.metadata.reply_to_message_id)
    reply.metadata.__dict__["_message_id"] = name
    return _parcel(reply, ObjectTree(object_id=name), {}, node, seconds)


def _parcel(
    reply: Message, tree: ObjectTree, objects: Mapping[str, bytes], node: int, seconds: float
) -> Parcel:
    about = reply.metadata
    return Parcel(
        node, about.run_id, about.reply_to_message_id, about.created_at + about.ttl, seconds,
        message_to_proto(reply).SerializeToString(), tree.SerializeToString(), objects,
    )  # fmt: skip


def message_bytes(message: Message) -> bytes:
    """Return a message, content and all, for another process of this node."""
    return bytes(message_to_proto(message).SerializeToString())


def message_of(data: bytes) -> Message:
    """Return the message of :func:`message_bytes`."""
    return message_from_proto(MessageProto.FromString(data))


def state_bytes(context: Context) -> bytes:
    """Return what an app keeps in a run's context, likewise."""
    return bytes(recorddict_to_proto(context.state).SerializeToString())


def state_of(data: bytes) -> RecordDict:
    """Return what :func:`state_bytes` was given."""
    return recorddict_from_proto(RecordDictProto.FromString(data))


def about_app(folder: Path) -> tuple[str, str, str, dict[str, Any]]:
    """Return an app folder's name, version, reference of its ClientApp, and default settings.

    Raises:
        ValueError: Its ``pyproject.toml`` is no Flower app's.
        FileNotFoundError: It has none.
    """
    project = get_project_config(folder)
    app = project["tool"]["flwr"]["app"]
    name = f"{app['publisher']}/{project['project']['name']}"
    version, client = project["project"]["version"], app["components"]["clientapp"]
    return name, version, client, app.get("config", {})


def settings_of(defaults: dict[str, Any], run: Run) -> UserConfig:
    """Return an app's settings with those that the run sets otherwise.

    Raises:
        ValueError: The run sets one that the app does not have.
    """
    return fuse_dicts(flatten_dict(defaults), run.override_config)


def node_settings(text: str) -> dict[str, Any]:
    """Read a node config, ``key=value`` pairs, as ``flower-supernode`` does.

    Raises:
        UsageError: It is not of that form.
    """
    try:
        return dict(parse_config_args([text]))
    except ClickException as error:
        raise UsageError(
            f"--node-config is {text!r}; write \"partition-id=0 num-partitions=2 link='lte'\""
        ) from error


def public_key_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public half, in the form by which a SuperLink knows a node."""
    return public_key_to_bytes(key.public_key())


def identify(run: int, node: int) -> None:
    """Say for whom this process works now; Flower's messages take it from there."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run, node, 1


def _form(whole: InflatableObject) -> tuple[Any, ...] | None:
    """Return what is needed to make an object like this one again, of other parts."""
    if isinstance(whole, RecordDict | ArrayRecord):
        return (type(whole).__name__, tuple(whole))
    if isinstance(whole, Array):
        return ("Array", whole.dtype, tuple(whole.shape), whole.stype)
    return None
