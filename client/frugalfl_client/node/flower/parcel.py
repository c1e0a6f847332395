"""An answer on its way: made of Flower's objects, sent now or later, or by another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flwr.app import Context, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import (
    message_from_proto,
    message_to_proto,
    recorddict_from_proto,
    recorddict_to_proto,
)
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.message_pb2 import ObjectTree
from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)

from frugalfl.carried import MOST_UP_BYTES, size, ticket


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
