"""Windows of a cohort: metered once for all devices, and shared out by their work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from frugalfl.energy import Meter, Window
from frugalfl.energy.record import record_from
from frugalfl.energy.shares import share_out
from frugalfl_client.exchange import Exchange


class SharedWindows:
    """The meters of a cohort's devices: one for each device profile among them."""

    def __init__(self, meters: Iterable[Meter]) -> None:
        """Take the meter of each device."""
        self._meters = {id(meter): meter for meter in meters}

    @contextmanager
    def window(self, phase: str) -> Iterator[SharedWindow]:
        """Meter the ``with`` block, as each of the meters sees it."""
        with ExitStack() as stack:
            windows = {
                key: stack.enter_context(meter.window(phase)) for key, meter in self._meters.items()
            }
            yield SharedWindow(windows)


class SharedWindow:
    """What the meters saw, to be shared out when the window has ended."""

    def __init__(self, windows: dict[int, Window]) -> None:
        self._windows = windows

    def share_out(
        self, exchanges: Sequence[Exchange], works: Sequence[float],
        samples: Sequence[int] | None = None, correct: Sequence[int | None] | None = None,
    ) -> None:  # fmt: skip
        """Give each exchange its record.

        Args:
            exchanges: Of the devices that were worked for.
            works: Of each, in any unit.
            samples: Rows of each; by default none.
            correct: Rows that the model got right; by default nobody looked.
        """
        shares = {key: share_out(window, works) for key, window in self._windows.items()}
        phase = next(iter(self._windows.values())).phase
        for place, exchange in enumerate(exchanges):
            share = shares[id(exchange.device.meter)][place]
            exchange.energy.add(
                record_from(
                    exchange.energy.about, phase, start_unix_s=share.start_unix_s,
                    wall_s=share.wall_s, cpu_s=share.cpu_s, readings=share.readings,
                    samples=samples[place] if samples else 0,
                    correct=correct[place] if correct else None,
                )
            )  # fmt: skip
