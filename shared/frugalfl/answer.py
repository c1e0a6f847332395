"""Whether what an app returned can be an answer at all: one that cannot would be waited for."""

from __future__ import annotations

from flwr.app import Message


def why_no_answer(reply: object, message: Message) -> str:
    """Say why nobody would ever take what an app returned for its answer; empty: it is one.

    Args:
        reply: What the app returned.
        message: What it was asked.
    """
    if not isinstance(reply, Message):
        return f"the app returned {type(reply).__name__}, and an answer is a Message"
    if reply is message or reply.metadata.message_id == message.metadata.message_id:
        return "the app returned the request itself in place of an answer"
    if reply.metadata.reply_to_message_id != message.metadata.message_id:
        return "the app returned a message that answers another one: make it with reply_to=message"
    return ""
