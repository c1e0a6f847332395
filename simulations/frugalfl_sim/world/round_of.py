"""Which round a question belongs to, whoever asks: our server, or a strategy of Flower's own."""

from __future__ import annotations

from flwr.app import Message

#: Names in messages of Flower's strategies, which leave the group empty.
_CONFIG, _ROUND = "config", "server-round"


def round_of(message: Message) -> int:
    """Return the round, from 1; 0: the question does not say."""
    group = message.metadata.group_id
    if group.isdecimal():
        return int(group)
    config = message.content.config_records.get(_CONFIG) if message.has_content() else None
    told = None if config is None else config.get(_ROUND)
    return told if isinstance(told, int) else 0
