"""What a person sees while rounds go by: one line a round, on standard error."""

from __future__ import annotations

import time

from rich.console import Console

from frugalfl.sizes import size_text
from frugalfl_server.records import RoundRecord


class Progress:
    """Prints one line for each finished round, with the time that is left."""

    def __init__(self, rounds: int, quiet: bool = False) -> None:
        self._rounds = rounds
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._started_s = time.monotonic()
        self._done = 0

    def expect(self, rounds: int) -> None:
        """Say how many rounds there will be, now that it is known; the clock starts anew."""
        self._rounds = rounds
        self._started_s = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line about what happens next."""
        self._console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Print one line about something that went wrong but does not stop the run."""
        self._console.print(f"warning: {text}", style="yellow", markup=False)

    def round_done(self, record: RoundRecord) -> None:
        """Print the round's line."""
        self._done += 1
        elapsed = time.monotonic() - self._started_s
        left = elapsed / self._done * (self._rounds - record.round)
        skipped = f"  {record.skipped} skipped" if record.skipped else ""
        skipped += f"  {record.set_aside} set aside" if record.set_aside else ""
        self.say(
            f"{record.phase:>8} {record.round:>4}/{self._rounds}"
            f"  accuracy {record.accuracy:.3f}"
            f"  up {size_text(record.uplink_bytes):>9}"
            f"  down {size_text(record.downlink_bytes):>9}"
            f"  {_joules(record)}{skipped}"
            f"  left {int(left // 60)}:{int(left % 60):02d}"
        )


def _joules(record: RoundRecord) -> str:
    parts = []
    if record.energy_measured_j is not None:
        parts.append(f"{record.energy_measured_j:.2f} J measured")
    if record.energy_estimated_j is not None:
        parts.append(f"{record.energy_estimated_j:.2f} J estimated")
    return " + ".join(parts) or "joules unknown"
