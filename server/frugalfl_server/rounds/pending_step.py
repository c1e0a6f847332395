"""The updates of one step of the model, added up as they come."""

from __future__ import annotations

from dataclasses import dataclass

from flwr.app import Message

from frugalfl import wire
from frugalfl.blocks import Parameters
from frugalfl_server.rounds.aggregate import Accumulator


@dataclass
class Gathered:
    """Their sum, and what a strategy is told of them.

    Attributes:
        total: The sum.
        updates: How many there are.
    """

    total: Accumulator
    updates: int = 0
    _samples: int = 0
    _loss: float = 0.0
    _last: Message | None = None

    def count(self, message: Message, rows: int, loss: float) -> None:
        """Note an update that was added."""
        self.updates += 1
        self._samples += rows
        self._loss += rows * loss
        self._last = message

    def as_replies(self, model: Parameters) -> list[Message]:
        """Return one reply with the model plus the mean of all, or none; this can be done once."""
        if self._last is None:
            return []
        loss = self._loss / self._samples
        self._last.content = wire.pack_average(self.total.finish(model), self._samples, loss)
        return [self._last]
