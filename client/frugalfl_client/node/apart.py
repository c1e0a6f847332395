"""Run somebody else's app in a process of its own: one that crashes takes no node with it.

Flower runs every message in a new Python process, so its apps keep nothing in memory between two.
Here it is a fork of the node, which has the app imported: that takes some milliseconds, and all
the memory that the app used is given back. What a fork cannot hand over by itself goes through a
pipe, in Flower's own encoding: the answer, and the context that the app may have changed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, NoReturn

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from frugalfl_client.node import flower
from frugalfl_client.node.answering import answer, failed

#: Lengths of answer and context (B), before the two.
_HEAD = struct.Struct("<QQ")
_ENDING = (signal.SIGINT, signal.SIGTERM)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl

#: Whether this system can.
CAN_FORK = hasattr(os, "fork")


def answer_apart(
    client: ClientApp, message: Message, context: Context, say: Callable[[str], None],
    still: Callable[[], AbstractContextManager[None]],
) -> Message:  # fmt: skip
    """Return the app's answer, or an error where it failed, or its process ended.

    Args:
        client: The app.
        message: What it is asked.
        context: Flower's context of the run; it is as before if the process ended.
        say: Takes lines for who looks after the node.
        still: Keeps other threads from holding what the new process would wait for.
    """
    reading, writing = os.pipe()
    child, status = 0, None
    try:
        with still(), _no_signals():
            child = os.fork()
            if not child:
                os.close(reading)
                _work(client, message, context, say, writing)
            os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            reply = _received(pipe, context)
        status = os.waitpid(child, 0)[1]
    finally:
        if child and status is None:  # the node was asked to stop
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return reply or failed(message, _how_it_ended(status), flower.APP_CRASHED)


@contextmanager
def _no_signals() -> Iterator[None]:
    """Put off what asks the node to stop, so that no copy of the node takes it for itself."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def _work(
    client: ClientApp, message: Message, context: Context, say: Callable[[str], None], writing: int
) -> NoReturn:
    """Be the process that the app has for itself."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the node
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        _end_with_parent()
        reply = answer(client, message, context, say)
        parts = flower.message_bytes(reply), flower.state_bytes(context)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(_HEAD.pack(*map(len, parts)))
            for part in parts:
                pipe.write(part)
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _received(pipe: BinaryIO, context: Context) -> Message | None:
    """Return what the process answered; ``None``: it ended before it had."""
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    first, second = _HEAD.unpack(head)
    reply, state = pipe.read(first), pipe.read(second)
    if len(reply) < first or len(state) < second:
        return None
    context.state = flower.state_of(state)
    return flower.message_of(reply)


def _how_it_ended(status: int) -> str:
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return f"the app crashed: its process was ended by {name}"
    return f"the app ended its process, with exit code {os.waitstatus_to_exitcode(status)}"


def _end_with_parent() -> None:
    """Have Linux end this process when the node is killed; elsewhere it ends with its message."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


def give_back_memory() -> None:
    """Return to the system what the C library keeps of memory that is free (glibc only)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if CAN_FORK else None
    if trim is not None:
        trim(0)
