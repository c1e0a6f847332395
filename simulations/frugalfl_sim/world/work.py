"""How much a client's answer is to compute: counted, never measured, so alike on every machine."""

from __future__ import annotations

from dataclasses import dataclass

from flwr.app import Message, MessageType

#: A multiply-accumulate is two operations. Training goes forwards, and backwards through weights
#: and through inputs, each with as many.
_OPERATIONS, _TRAINING_PASSES = 2, 3
#: Flower's and our own names in messages.
_ROWS, _EPOCHS, _CONFIG = "num-examples", "epochs", "config"


@dataclass(frozen=True)
class Work:
    """What all clients' work has in common.

    Attributes:
        macs: Multiply-accumulates of one row, forwards.
        epochs: Passes over its rows that a client makes if it is not told.
    """

    macs: int
    epochs: int

    def operations(self, message: Message, reply: Message) -> float:
        """Return the operations of an answer: rows x passes x those of a row; training only.

        Args:
            message: What was asked; its config may name the epochs.
            reply: Its metrics have the rows, by Flower's name for them.
        """
        if reply.has_error() or not message.metadata.message_type.startswith(MessageType.TRAIN):
            return 0.0
        metrics = reply.content.metric_records.values()
        rows = max((_number(one.get(_ROWS)) for one in metrics), default=0)
        config = message.content.config_records.get(_CONFIG)
        told = None if config is None else config.get(_EPOCHS)
        passes = (_number(told) or self.epochs) * _TRAINING_PASSES
        return float(rows) * passes * self.macs * _OPERATIONS


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
