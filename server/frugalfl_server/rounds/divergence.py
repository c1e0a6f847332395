"""Notices that training goes astray in a subspace, and makes steps smaller before it is lost.

Of one coordinate many weights follow, so that the step at which training breaks down is nearer to
the best one than in full training, and lower in one subspace than in the next. Devices tell: the
training loss of a round rises well above that of the first round, or to ten times what was usual if
that is no small loss: those of few, uneven clients differ by as much. It is the median client's,
because a client says itself what its loss is: half of a round's clients would have to lie.
Then the coordinates go back to where the last sound round began, and all later steps are half as
long.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import inf
from statistics import median
from typing import Any

from frugalfl.blocks import Parameters

#: A loss above so many times that of the first round is astray.
_ABOVE_FIRST = 1.5
#: So is one above this share of the first and so many times the median of so many rounds before it.
_SHARE, _TIMES, _ROUNDS = 0.5, 10.0, 10

_log = logging.getLogger(__name__)


class Divergence:
    """Watches the losses of one phase."""

    def __init__(self) -> None:
        """Begin a phase."""
        self.factor = 1.0
        self._losses: list[float] = []
        self._sound: tuple[int, Parameters] | None = None

    def watch(
        self, number: int, loss: float | None, began_with: Parameters, fold: int
    ) -> Parameters | None:
        """Look at a finished round.

        Args:
            number: Of the round.
            loss: Training loss of its median client; ``None``: nobody trained; infinite: they have
                led to coordinates that no frame can hold.
            began_with: The coordinates that they trained from.
            fold: Version that their subspace began with.

        Returns:
            The coordinates to go on with, if training has gone astray; ``None``: it has not.
        """
        if loss is None:
            return None
        if not astray(self._losses, loss):
            self._losses.append(loss)
            self._sound = (fold, began_with)
            return None
        self.factor /= 2
        _log.warning(
            f"round {number}: training goes astray: {self._why(loss)}; back "
            f"to the last sound round, with steps {1 / self.factor:g} times shorter than set"
        )
        self._losses = []  # shorter steps bring losses down more slowly
        same = self._sound is not None and self._sound[0] == fold
        before = self._sound[1] if self._sound is not None and same else began_with
        return before if same else {name: tensor * 0 for name, tensor in before.items()}

    def _why(self, loss: float) -> str:
        if loss == inf:
            return "coordinates beyond what a model can hold"
        return f"a loss of {loss:.3g} after {median(self._losses[-_ROUNDS:]):.3g}"

    def state(self) -> dict[str, Any]:
        """Return all of it, for a checkpoint."""
        return {"factor": self.factor, "losses": self._losses, "sound": self._sound}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self.factor, self._losses = state["factor"], list(state["losses"])
        sound = state["sound"]
        self._sound = None if sound is None else (sound[0], sound[1])


def astray(losses: Sequence[float], loss: float) -> bool:
    """Say whether a loss shows, after others, that training goes astray.

    >>> astray([2.3, 0.9, 0.4], 4), astray([2.3, 0.9, 0.4], 2), astray([2.3] + 9 * [0.1], 1.5)
    (True, False, True)
    """
    if loss == inf:
        return True
    if not losses or losses[0] <= 0:
        return False
    high = loss > _TIMES * median(losses[-_ROUNDS:]) and loss > _SHARE * losses[0]
    return high or loss > _ABOVE_FIRST * losses[0]
