"""Run an app on a message: whatever goes wrong in there becomes an answer, never the node's end."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp

from frugalfl.answer import why_no_answer
from frugalfl.errors import FrugalFLError
from frugalfl.text import MOST_OF_A_LINE, printable
from frugalfl_client.node import flower

#: Most lines of a traceback that the node's log takes: the innermost ones.
_MOST_LINES = 30


def answer(
    client: ClientApp, message: Message, context: Context, say: Callable[[str], None]
) -> Message:
    """Return the app's answer, or an error in place of it.

    Args:
        client: The app.
        message: What it is asked.
        context: Flower's context of the run, which it may change.
        say: Takes lines for who looks after the node: where an app failed, and by what way.
    """
    try:
        reply: object = client(message, context)
    except (Exception, SystemExit) as error:
        _tell(error, say)
        return failed(message, why(error))
    wrong = why_no_answer(reply, message)
    if wrong:
        return failed(message, wrong)
    assert isinstance(reply, Message)
    return reply


def failed(message: Message, text: str, code: int = flower.APP_RAISED) -> Message:
    """Return the answer that says in one line why there is no other."""
    return Message(Error(code, printable(text, MOST_OF_A_LINE)), reply_to=message)


def why(error: BaseException) -> str:
    """Return one line of an error: with its type, but where it is one of ours, meant to be read."""
    error = _inner(error)
    text = " ".join(str(error).split())
    if isinstance(error, FrugalFLError) and text:
        return text
    if isinstance(error, SystemExit):
        return f"SystemExit: the app called sys.exit({'' if error.code is None else error.code})"
    return printable(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _inner(error: BaseException) -> BaseException:
    """Return what the app raised, without what Flower puts around it."""
    while type(error).__module__.startswith("flwr.") and error.__cause__ is not None:
        error = error.__cause__
    return error


def _tell(error: BaseException, say: Callable[[str], None]) -> None:
    if isinstance(_inner(error), FrugalFLError):
        return
    for line in "".join(traceback.format_exception(error)).splitlines()[-_MOST_LINES:]:
        say(line)
