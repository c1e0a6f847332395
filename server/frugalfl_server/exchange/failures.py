"""What a client says in place of an answer: trouble of its own, or a task that failed."""

from __future__ import annotations

from flwr.app import Message

from frugalfl import wire
from frugalfl.errors import FrameError


class ClientFailedError(FrameError):
    """A client could not do what it was asked, or not in time: trouble, not garbage."""


class TaskFailedError(ClientFailedError):
    """A client's own task raised, or its rows cannot be trained on."""


def failure_of(message: Message) -> ClientFailedError:
    """Return what a client says in place of an answer."""
    failed = message.error.code == wire.TASK_FAILED
    return (TaskFailedError if failed else ClientFailedError)(message.error.reason)
