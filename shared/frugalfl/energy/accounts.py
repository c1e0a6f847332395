"""What one source adds from tick to tick: our joules above idle, and joules at idle.

Everything is added up tick by tick, and a window takes differences of the sums. So joules are
additive over windows whatever the ticks were, and no joule is given to two windows of one process
unless one holds the other.
"""

from __future__ import annotations

from frugalfl.energy.profiles import ELSEWHERE_UNCERTAINTY, DeviceProfile
from frugalfl.energy.reading import Reading

# Type checkers take it for true; a device without a meter never loads the sources.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from frugalfl.energy.sources import Source

#: A counter that moves in steps looks idle between them: so long may it owe joules (s).
_OWED_S = 1.0


class EstimateAccount:
    """E = processor seconds x W of a busy core; idle W x time, apart.

    Processor time, not load: it does not change when a neighbour on the same host is busy, so the
    clients of one simulation never add up to more than they used.
    """

    failures = 0

    def __init__(self, profile: DeviceProfile, here: bool) -> None:
        """Take the profile's figures.

        Args:
            profile: With ``busy_w_per_core``.
            here: Whether this machine is such a device; otherwise a client is given the profile,
                and its processor time is stretched by the difference in speed.
        """
        self._busy_w = profile.busy_w_per_core or 0.0
        self._idle_w = profile.idle_w
        self._here, self._slowdown = here, 1.0 if here else profile.slowdown
        self._uncertainty = profile.uncertainty_rel if here else ELSEWHERE_UNCERTAINTY
        worn = "" if here else f", worn: {self._slowdown:.3g} times slower than this host"
        self.source = f"{profile.name}: {profile.source}{worn}"

    def advance(self, wall_s: float, cpu_s: float, share: float | None) -> tuple[float, float]:
        """Return what a tick adds: joules above idle, and joules at idle (J); neither negative.

        Args:
            wall_s: Since the last tick, on the monotonic clock (s).
            cpu_s: Processor time of this process since then, all its threads (s).
            share: Our share of the host's processor time; ``None`` if the host hides it.
        """
        # Time that a client waits for its neighbours on the host would not pass on its own device.
        idle_s = wall_s if self._here else min(wall_s, cpu_s)
        return (
            cpu_s * self._slowdown * self._busy_w,
            idle_s * self._slowdown * (self._idle_w or 0.0),
        )

    def reading(self, energy_j: float, idle_j: float, known: bool) -> Reading:
        """Make the reading of a window."""
        return Reading(
            component="cpu",
            energy_j=energy_j,
            idle_j=None if self._idle_w is None else idle_j,
            measured=False,
            method="cpu-time",
            source=self.source,
            scope="process",
            uncertainty_rel=self._uncertainty,
        )


class MeterAccount:
    """E = (meter - idle W x time) x our share of the host's processor time."""

    def __init__(self, source: Source, idle_w: float | None = None) -> None:
        self.source = source
        self.idle_w = idle_w
        self.failures = 0
        self._why = ""
        self._whole = False
        self._last_j: float | None = None
        self._owed_j = 0.0

    def total_j(self) -> float | None:
        """Return the source's total (J); ``None``, and a failure more, if it cannot be read."""
        try:
            return self.source.total_j()
        except (OSError, ValueError) as error:
            self.failures += 1
            self._why = str(error)
            return None

    def advance(self, wall_s: float, cpu_s: float, share: float | None) -> tuple[float, float]:
        """Return what a tick adds, as :meth:`EstimateAccount.advance` does."""
        last_j, self._last_j = self._last_j, self.total_j()
        if last_j is None or self._last_j is None:
            return 0.0, 0.0
        idle_j = (self.idle_w or 0.0) * wall_s
        above_j = self._last_j - last_j - idle_j + self._owed_j
        self._owed_j = min(0.0, max(above_j, -_OWED_S * (self.idle_w or 0.0)))
        return max(0.0, above_j) * self._share(share), idle_j

    def _share(self, of_processors: float | None) -> float:
        if self.source.share is not None:
            return self.source.share() or 0.0
        self._whole = of_processors is None
        return 1.0 if of_processors is None else of_processors

    def reading(self, energy_j: float, idle_j: float, known: bool) -> Reading | None:
        """Make the reading of a window."""
        source = self.source
        if not known:
            return self._reading(None, None, f"{source.source}: {self._why}", None)
        if source.share is not None and not energy_j:
            return None
        told = "whole machine" if self._whole else "by processor time"
        idle = "idle unknown" if self.idle_w is None else f"idle {self.idle_w:.3g} W"
        text = source.source if source.share is not None else f"{source.source}, {told}, {idle}"
        known_idle_j = None if self.idle_w is None else idle_j
        return self._reading(energy_j, known_idle_j, text, source.uncertainty_rel)

    def _reading(
        self, energy_j: float | None, idle_j: float | None, text: str, spread: float | None
    ) -> Reading:
        return Reading(
            component=self.source.component,
            energy_j=energy_j,
            idle_j=idle_j,
            measured=self.source.measured,
            method=self.source.method,
            source=text,
            scope=self.source.scope,
            uncertainty_rel=spread,
        )


Account = EstimateAccount | MeterAccount
