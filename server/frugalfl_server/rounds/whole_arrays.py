"""Between a ServerApp whose arrays are a whole model, and rounds that move coordinates of it.

Flower's loop passes arrays on from round to round, and shows them to whoever evaluates. They are
the model there; in a subspace the rounds have few numbers in its place.
"""

from __future__ import annotations

from flwr.app import ArrayRecord

from frugalfl.modules import constants_of
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.parts import Parts
from frugalfl_server.run.checkpoint import random_state, set_random_state


class WholeArrays:
    """Turns a ServerApp's arrays into what the rounds move, and back."""

    def __init__(self, settings: Settings) -> None:
        """Begin before the first round; ``settings`` know the step sizes."""
        self._settings = settings
        self._given: ArrayRecord | None = None
        self._moved = ArrayRecord()

    def enter(self, parts: Parts, arrays: ArrayRecord) -> ArrayRecord:
        """Return the coordinates that a round begins with: those that the last one ended with.

        Arrays that somebody else has made in between become those that come nearest.
        """
        if arrays is self._given:
            return self._moved
        return pack(parts.downlink.moved(unpack(arrays)))

    def leave(self, parts: Parts, arrays: ArrayRecord) -> ArrayRecord:
        """Return the model after a round; if training goes astray, the one to go back to."""
        moved = parts.watch(unpack(arrays))
        factor, number = parts.divergence.factor, parts.traffic.round + 1
        if factor < 1:
            parts.questions.learning_rate = factor * self._settings.learning_rate_at(number)
        self._moved, self._given = pack(moved), pack(parts.downlink.whole(moved))
        return self._given


def constants_in(settings: Settings) -> frozenset[str]:
    """Return the names of the tensors of the settings' task that no training moves.

    Raises:
        TaskError: The task cannot be loaded here, or its model raised.
    """
    drawn = random_state()
    try:
        return constants_of(load_task(settings.run.task).new_model())
    finally:
        set_random_state(drawn)
