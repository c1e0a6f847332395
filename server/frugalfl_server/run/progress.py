"""What a person sees while rounds go by: one line a round, on standard error and in a log.

Modules of the server say what they do with the standard library's ``logging``: ``info`` is a line
about what happens next, ``warning`` one about something that went wrong and does not stop the run.
While a run listens, these lines are its progress; else logging does with them as it is told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from frugalfl.atomic import append_line
from frugalfl.errors import RunError
from frugalfl.metrics import number, words
from frugalfl.sizes import size_text
from frugalfl.text import MOST_OF_A_LINE, printable
from frugalfl_server.run.records import RoundRecord

#: The same lines in the run directory: what a ServerApp prints, its SuperLink does not show.
LOG = "progress.log"
#: Loggers of all the server's modules stand below this one.
_LOGGER = logging.getLogger("frugalfl_server")


class Progress:
    """Prints one line for each finished round, with the time that is left."""

    def __init__(self, rounds: int, quiet: bool = False, log: Path | None = None,
                 named: Callable[[str], str] = str) -> None:  # fmt: skip
        """Begin.

        Args:
            rounds: How many there will be.
            quiet: Print nothing.
            log: File that takes the same lines.
            named: Puts the numbers of clients into a line about nodes.
        """
        self._rounds = rounds
        self._log = log
        self._named = named
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._started_s = time.monotonic()
        self._done = 0

    def expect(self, rounds: int) -> None:
        """Say how many rounds there will be, now that it is known; the clock starts anew."""
        self._rounds = rounds
        self._started_s = time.monotonic()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the lines that the server's modules log, in place of whoever took them before."""
        before, level, passed_on = _LOGGER.handlers[:], _LOGGER.level, _LOGGER.propagate
        _LOGGER.handlers[:] = [_Lines(self)]
        _LOGGER.setLevel(logging.INFO)
        _LOGGER.propagate = False
        try:
            yield
        finally:
            _LOGGER.handlers[:] = before
            _LOGGER.setLevel(level)
            _LOGGER.propagate = passed_on

    def say(self, text: str) -> None:
        """Print one line about what happens next."""
        self._show(text)

    def warn(self, text: str) -> None:
        """Print one line about something that went wrong but does not stop the run."""
        self._show(f"warning: {text}", "yellow")

    def _show(self, text: str, style: str | None = None) -> None:
        line = printable(self._named(text), MOST_OF_A_LINE)  # much of it is what devices say
        self._console.print(line, style=style, markup=False)
        if self._log is not None:
            try:
                append_line(self._log, line)
            except OSError as error:
                raise RunError(f"cannot write the run's {LOG}: {error}") from error

    def round_done(self, record: RoundRecord) -> None:
        """Print the round's line."""
        self._done += 1
        elapsed = time.monotonic() - self._started_s
        left = elapsed / self._done * (self._rounds - record.round)
        skipped = f"  {record.skipped} skipped" if record.skipped else ""
        skipped += f"  {record.set_aside} set aside" if record.set_aside else ""
        clock = "" if record.simulated_s is None else f"  {_clock(record.simulated_s)} simulated"
        self.say(
            f"{record.phase:>8} {record.round:>4}/{self._rounds}"
            f"{scores_text(record.accuracy, record.metrics)}"
            f"  up {size_text(record.uplink_bytes):>9}"
            f"  down {size_text(record.downlink_bytes):>9}"
            f"  {_joules(record)}{skipped}{clock}"
            f"  left {int(left // 60)}:{int(left % 60):02d}"
        )


class _Lines(logging.Handler):
    """Hands logged lines on to the progress of a run; what that raises is not swallowed."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        """Show one line."""
        if record.levelno >= logging.WARNING:
            self._progress.warn(record.getMessage())
        else:
            self._progress.say(record.getMessage())


def scores_text(accuracy: float | None, metrics: Mapping[str, float | None]) -> str:
    """Return the first of the measures beside accuracy, and accuracy, where there are such."""
    first = [(words(name), value) for name, value in list(metrics.items())[:1]]
    if accuracy is not None or not first:
        first.append(("accuracy", accuracy))
    return "".join(f"  {name} {number(value)}" for name, value in first)


def _clock(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds >= 1000 else f"{seconds:.3g} s"


def _joules(record: RoundRecord) -> str:
    parts = []
    if record.energy_measured_j is not None:
        parts.append(f"{record.energy_measured_j:.2f} J measured")
    if record.energy_estimated_j is not None:
        parts.append(f"{record.energy_estimated_j:.2f} J estimated")
    return " + ".join(parts) or "joules unknown"
