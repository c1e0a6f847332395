"""What a person sees on standard error while federations run: one line for each, and its rounds."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

from frugalfl.sizes import size_text
from schemes.curve import Curve, Watch


class Progress:
    """Counts cells (a scheme on a task with a cohort) by their work, and guesses the time left."""

    def __init__(self, work: float) -> None:
        """Begin.

        Args:
            work: Of all cells, in any unit.
        """
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._started_s = time.monotonic()
        self._work = work
        self._done = 0.0

    def cell_done(self, work: float) -> None:
        """Note a finished cell."""
        self._done += work

    def follow(self, name: str, rounds: int, run: Callable[[Watch], Curve], watch: Watch) -> Curve:
        """Run a federation: its rounds in a line that is written over, then a line that stays."""
        with self._console.status(name) as status:

            def look(curve: Curve) -> None:
                done = len(curve.accuracy)
                status.update(f"{name}  round {done}/{rounds}  accuracy {curve.accuracy[-1]:.3f}")
                watch(curve)

            curve = run(look)
        self._console.print(f"{name}  {_outcome(curve)}  {self._left()}", markup=False)
        return curve

    def _left(self) -> str:
        if not self._done:
            return ""
        spent = time.monotonic() - self._started_s
        minutes = spent / self._done * (self._work - self._done) / 60
        return f"{self._done / self._work:.0%} done, about {max(minutes, 0):.0f} min left"


def _outcome(curve: Curve) -> str:
    if curve.diverged:
        return f"broke down in round {len(curve.accuracy) + 1}"
    sent = size_text(curve.sent[-1])
    if curve.stopped:
        return f"accuracy {curve.accuracy[-1]:.3f} in round {len(curve.accuracy)}, {sent}"
    return f"accuracy {curve.final:.3f} in the end, {sent}"
