"""Time: the simulated clock of a Grid that has one, the machine's own elsewhere."""

from __future__ import annotations

import time

from flwr.serverapp import Grid


def now_s(grid: Grid) -> float:
    """Return the time on a Grid's clock (s), for differences."""
    simulated = _clock(grid)
    return time.monotonic() if simulated is None else simulated


def answers_all(grid: Grid) -> bool:
    """Say whether every message to a Grid is answered some day, by an error if by nobody."""
    return bool(getattr(grid, "answers_all", False))


class SimulatedLaps:
    """How long each round takes on the simulated clock."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._last_s = _clock(grid) or 0.0

    def state(self) -> dict[str, float]:
        """Return what a simulated fleet's clock shows, for a checkpoint."""
        return {"now": now_s(self._grid), "last": self._last_s}

    def restore(self, state: dict[str, float]) -> None:
        """Set the fleet's clock to what it showed: its hours go on."""
        self._grid.go_on_from(state["now"])  # type: ignore[attr-defined]  # only fleets come here
        self._last_s = state["last"]

    def lap(self) -> float | None:
        """Return the simulated time since the last call (s); ``None``: nothing is simulated."""
        now = _clock(self._grid)
        if now is None:
            return None
        last, self._last_s = self._last_s, now
        return now - last


def _clock(grid: Grid) -> float | None:
    clock: float | None = getattr(grid, "simulated_s", None)
    return clock
