"""The meter of a device: named windows around the phases of a round.

    with meter.window("train") as window:
        ...
    window.readings

Windows nest, repeat and overlap between threads. One that stands apart takes what passes in it away
from those around it. Time is the monotonic clock's.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from frugalfl.energy.accounts import Account, MeterAccount
from frugalfl.energy.host import ProcessorShare
from frugalfl.energy.models import mac_reading
from frugalfl.energy.profiles import DeviceProfile
from frugalfl.energy.reading import Reading

#: Between samples of sources with a meter behind them (s).
SAMPLE_S = 1.0
#: A host whose processors are busy for less than this share is at rest.
_AT_REST = 0.05


@dataclass
class Window:
    """One stretch of work; the fields are final once its ``with`` block has ended.

    Attributes:
        phase: The window's name.
        start_unix_s: When it began (s since 1970).
        wall_s: How long it took (s, monotonic clock).
        cpu_s: Processor time of this process in it (s, all threads, no child processes).
        readings: Joules of each component.
        macs: Multiply-accumulates done in it, for devices that are estimated by them: set it
            inside the block.
    """

    phase: str
    start_unix_s: float
    wall_s: float = 0.0
    cpu_s: float = 0.0
    readings: tuple[Reading, ...] = ()
    macs: int | None = None


class Meter:
    """Joules of this process, by component; see :func:`frugalfl.energy.choose.choose_meter`."""

    def __init__(
        self,
        accounts: Sequence[Account],
        microcontroller: DeviceProfile | None = None,
        busy: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take what there is to read.

        Args:
            accounts: One for each component.
            microcontroller: The profile of a device that is estimated by multiply-accumulates.
            busy: Processor time of all of the host's processes (s); needed by metered accounts.
            clock: Monotonic seconds.
            cpu_clock: Processor time of this process (s).
            rest: Lets so many seconds pass.
        """
        self._accounts = tuple(accounts)
        self._metered = [account for account in accounts if isinstance(account, MeterAccount)]
        self._microcontroller = microcontroller
        self._busy = busy
        self._share = None if busy is None else ProcessorShare(busy)
        self._clock, self._cpu_clock, self._rest = clock, cpu_clock, rest
        self._lock = threading.Lock()
        self._last: tuple[float, float] | None = None
        # Sums of the threads that have a window open: processor seconds, then two an account.
        self._sums: dict[int, list[float]] = {}
        self._depth: dict[int, int] = {}
        self._apart_s: dict[int, float] = {}
        self._stop: threading.Event | None = None

    @contextmanager
    def window(self, phase: str, apart: bool = False) -> Iterator[Window]:
        """Meter the ``with`` block; the window is filled even when the block raises.

        Args:
            phase: Its name.
            apart: The windows around it do not count what passes in it.
        """
        thread = threading.get_ident()
        with self._lock:
            if self._last is None and self._metered:
                self._begin()
            self._tick()
            before = list(self._sums.setdefault(thread, [0.0] * (1 + 2 * len(self._accounts))))
            failures = [account.failures for account in self._accounts]
            self._depth[thread] = self._depth.get(thread, 0) + 1
            window = Window(phase, start_unix_s=time.time())
            began = self._clock() + self._apart_s.get(thread, 0.0)
        try:
            yield window
        finally:
            with self._lock:
                self._tick()
                window.wall_s = self._clock() + self._apart_s.get(thread, 0.0) - began
                spent = [a - b for a, b in zip(self._sums[thread], before, strict=True)]
                if apart:
                    self._sums[thread][:] = before
                    self._apart_s[thread] = self._apart_s.get(thread, 0.0) - window.wall_s
                self._depth[thread] -= 1
                if not self._depth[thread]:
                    del self._depth[thread], self._sums[thread]
                    self._apart_s.pop(thread, None)
                window.cpu_s = spent[0]
                window.readings = tuple(self._readings(spent, failures, window.macs))

    def _readings(
        self, spent: list[float], failures: list[int], macs: int | None
    ) -> Iterator[Reading]:
        for place, account in enumerate(self._accounts):
            energy_j, idle_j = spent[1 + 2 * place : 3 + 2 * place]
            reading = account.reading(energy_j, idle_j, account.failures == failures[place])
            if reading is not None:
                yield reading
        if self._microcontroller is not None:
            yield mac_reading(self._microcontroller, macs)

    def _tick(self) -> None:
        """Add what passed since the last tick, in equal parts to the threads with open windows."""
        now, cpu = self._clock(), self._cpu_clock()
        last_now, last_cpu = self._last or (now, cpu)
        self._last = (now, cpu)
        wall_s, cpu_s = now - last_now, cpu - last_cpu
        share = None if self._share is None else self._share.since(now, wall_s, cpu_s)
        steps = [cpu_s]
        for account in self._accounts:
            steps += account.advance(wall_s, cpu_s, share)
        parts = len(self._sums)
        for sums in self._sums.values():
            for place, step in enumerate(steps):
                sums[place] += step / parts

    def _begin(self) -> None:
        """Take the power at rest, if the host is at rest; then sample in the background."""
        waiting = [a for a in self._metered if a.source.idle_s is not None]
        if waiting and self._busy is not None:
            self._take_baseline(waiting, max(account.source.idle_s or 0.0 for account in waiting))
        self._stop = threading.Event()
        threading.Thread(
            target=_sample, args=(weakref.ref(self), self._stop), name="energy", daemon=True
        ).start()

    def _take_baseline(self, accounts: list[MeterAccount], seconds: float) -> None:
        assert self._busy is not None
        try:
            busy_s = self._busy()
            began, first = self._clock(), [account.total_j() for account in accounts]
            self._rest(seconds)
            last, wall_s = [account.total_j() for account in accounts], self._clock() - began
            busy_s = self._busy() - busy_s
        except (OSError, ValueError):
            return
        if busy_s > _AT_REST * wall_s * (os.cpu_count() or 1):
            return
        for account, one, other in zip(accounts, first, last, strict=True):
            if one is not None and other is not None:
                account.idle_w = (other - one) / wall_s

    def sample(self) -> None:
        """Take a sample now, if a window is open; the background does so every second."""
        with self._lock:
            if self._sums:
                self._tick()

    def close(self) -> None:
        """Stop sampling in the background; forgetting the meter does too."""
        if self._stop is not None:
            self._stop.set()


def _sample(meter: weakref.ref[Meter], stop: threading.Event) -> None:
    while not stop.wait(SAMPLE_S):
        alive = meter()
        if alive is None:
            return
        alive.sample()
        del alive
