"""The content of a message, fetched object by object, as few of them as have to be.

A message is a tree of objects, each named by the SHA-256 of its bytes and each sent in a request
of its own. Most of them hold no more than the names of those below; they are made here, from what
the last message looked like, and fetched only if the hash says that the guess was wrong. This
project's own server needs none of that: messages to it and from it carry their content
(:mod:`frugalfl.carried`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flwr.app import Array, ArrayRecord, RecordDict
from flwr.app.message.arraychunk import ArrayChunk
from flwr.proto.message_pb2 import ObjectTree, PullObjectRequest, PullObjectResponse
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import (
    InflatableObject,
    get_object_id,
    get_object_type_from_object_content,
)
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry

from frugalfl_client.node.channel import RefusedError, UnreachableError

#: A sender's objects may still be on their way when its message is here already (s).
_OBJECT_PAUSE_S, _OBJECT_TRIES = 0.5, 40
#: Largest content of one message, its objects together (B).
MOST_CONTENT = 512 << 20


class Contents:
    """Fetches the contents of one node's messages."""

    def __init__(self, pull: Callable[[PullObjectRequest], PullObjectResponse]) -> None:
        """Begin without having seen any; ``pull`` asks the SuperLink for one object."""
        self._pull = pull
        self._forms: dict[tuple[int, ...], Any] = {}
        self._room = 0  # what may still come of the content that is fetched (B)

    def fetch(self, node: int, run: int, tree: ObjectTree) -> Any:
        """Return the content that a tree names.

        Raises:
            RefusedError: A part of it is lost, or it is too large.
            UnreachableError: A part of it arrived damaged.
        """
        self._room = MOST_CONTENT
        return self._inflate(node, run, tree, ())

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
            answer = self._pull(request)
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


def _form(whole: InflatableObject) -> tuple[Any, ...] | None:
    """Return what is needed to make an object like this one again, of other parts."""
    if isinstance(whole, RecordDict | ArrayRecord):
        return (type(whole).__name__, tuple(whole))
    if isinstance(whole, Array):
        return ("Array", whole.dtype, tuple(whole.shape), whole.stype)
    return None
