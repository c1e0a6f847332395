"""What the machine is, and how much of its processor time is ours."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

from frugalfl.energy.profiles import DeviceProfile, profiles

#: ``/proc/stat`` counts in hundredths of a second: shares are taken over at least this long (s).
_LEAST_S = 0.2


def model(root: Path) -> str:
    """Return what the device tree calls this board; "Android" on Android, empty elsewhere."""
    if "ANDROID_ROOT" in os.environ:
        return "Android"
    try:
        return (root / "proc/device-tree/model").read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def recognise_board(root: Path) -> DeviceProfile | None:
    """Return the profile of this very board, if the device tree names one that has a profile."""
    name = model(root)
    boards = [profile for profile in profiles().values() if profile.board]
    return next((profile for profile in boards if name.startswith(profile.board)), None)


def is_this_machine(profile: DeviceProfile, root: Path) -> bool:
    """Say whether a profile speaks of the machine that this runs on, so that its meters apply."""
    if profile.board:
        return model(root).startswith(profile.board)
    import platform

    return not profile.architecture or profile.architecture == platform.machine()


def busy_s(root: Path) -> float:
    """Return the processor time that all of the host's processes have used since it started (s).

    That is ``user + nice + system + irq + softirq`` of ``/proc/stat``; waiting for disks and for
    the hypervisor is nobody's work.

    Raises:
        OSError: Android shows it to no app.
        ValueError: It is not what Linux writes.
    """
    with open(root / "proc/stat", "rb") as file:
        words = file.readline(200).split()
    if len(words) < 8 or words[0] != b"cpu":
        raise ValueError(f"{root / 'proc/stat'} begins with {words[:2]}")
    user, nice, system, _, _, irq, softirq = (int(word) for word in words[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


class ProcessorShare:
    """Our part of the host's processor time, from one look to the next."""

    def __init__(self, busy: Callable[[], float]) -> None:
        self._busy = busy
        self._marks: deque[tuple[float, float]] = deque()

    def since(self, now: float, wall_s: float, cpu_s: float) -> float | None:
        """Return our share, from 0 to 1; ``None`` if the host does not show its time.

        Our own time is known to the nanosecond, the host's to the hundredth of a second: its rate
        is taken over the stretch since the last look, and over at least 0.2 s.

        Args:
            now: The monotonic clock (s).
            wall_s: Since the last look (s).
            cpu_s: Our own processor time since then (s).
        """
        try:
            total = self._busy()
        except (OSError, ValueError):
            return None
        marks = self._marks
        marks.append((now, total))
        while len(marks) > 2 and now - marks[1][0] >= _LEAST_S:
            marks.popleft()
        then, before = marks[0]
        rate = (total - before) / (now - then) if now > then else 0.0
        host_s = max(rate * wall_s, cpu_s)
        return cpu_s / host_s if host_s > 0 else 0.0
