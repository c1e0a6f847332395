"""Who trains in a round: chosen before the strategy is shown anybody.

Among the clients that are connected, those in quarantine and those without energy left are out. Of
the others the sampler chooses, if there is one, else chance. If clients are gone, a round goes on
without them once those that are left are enough for its quorum.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flwr.serverapp import Grid

from frugalfl_server.cohort.energy_limits import EnergyLimits
from frugalfl_server.cohort.quarantine import Quarantine
from frugalfl_server.cohort.sticky_sampling import Sampler

#: How long a round waits for nodes that were there in the round before (s).
GONE_S = 10.0
#: The same after a ServerApp was started again: as long as an idle node takes to ask, and more.
RETURN_S = 150.0
#: How often to look for nodes (s).
_LOOK_S = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cohort:
    """The clients of one round.

    Attributes:
        nodes: Those that were chosen, in the order in which they are asked.
        skipped: Clients that are there and may not be asked, for want of energy.
        in_quarantine: Clients that are there and may not be asked, because of wrong answers.
        why_over: Why training is over, because too few may be asked; empty: it goes on.
    """

    nodes: list[int]
    skipped: int = 0
    in_quarantine: int = 0
    why_over: str = ""


class Selection:
    """Chooses each round's clients, over one phase of a run."""

    def __init__(
        self,
        clients: int,
        quarantine: Quarantine,
        limits: EnergyLimits | None = None,
        sampler: Sampler | None = None,
        *,
        quorum: float = 0.0,
        over_select: float = 0.0,
        patience_s: float = math.inf,
    ) -> None:
        """Begin a phase.

        Args:
            clients: As many as a round asks.
            quarantine: Who may not be asked because of wrong answers.
            limits: Who may not be asked for want of energy; ``None``: there is no limit.
            sampler: Chooses; ``None``: chance does.
            quorum: The setting; 0: a round waits until all its clients are there.
            over_select: The setting: share of clients that are asked beyond those.
            patience_s: How long the first round waits for those that are missing (s).
        """
        self.clients = clients
        self.quarantine = quarantine
        self.limits = limits
        self.sampler = sampler
        self._quorum = quorum
        self._over_select = over_select
        self._patience_s = patience_s

    def may_train(self, node: int) -> bool:
        """Say whether a client may be asked in this round."""
        allowed = self.limits is None or self.limits.may_train(node)
        return allowed and not self.quarantine.rests(node)

    def _allowed(self, nodes: Iterable[int]) -> list[int]:
        """Return those that may be asked in this round; mostly that is everybody."""
        if self.limits is None and not self.quarantine.holds_anybody:
            return list(nodes)
        return [node for node in nodes if self.may_train(node)]

    def choose(
        self, grid: Grid, number: int, clock: Callable[[], float] = time.monotonic
    ) -> Cohort:
        """Choose the clients of a round, once enough are connected.

        Args:
            grid: Where they are.
            number: The round, for what is said.
            clock: Seconds that only go forward.

        Raises:
            FederationError: Too few are left, because others are in quarantine.
            TaskError: So they are because of their tasks.
        """
        self.begin(grid.get_node_ids())
        nodes = self._await(grid, number, clock)
        pool = self._allowed(nodes)
        if self.sampler is not None:
            pool = self.sampler.cohort(pool)
        chosen = random.sample(pool, min(self.clients, len(pool)))
        return self.judge(nodes, chosen)

    def begin(self, nodes: Iterable[int]) -> None:
        """Begin a round with the clients that are there."""
        there = list(nodes)
        self.quarantine.begin()
        if self.limits is not None:
            self.limits.begin([node for node in there if not self.quarantine.rests(node)])
        if self.sampler is not None:
            self.sampler.begin(self._allowed(there))

    def judge(self, nodes: Iterable[int], chosen: list[int]) -> Cohort:
        """Return a round's cohort, with how many could not be asked, and whether it is enough.

        Args:
            nodes: Clients that are there.
            chosen: Those that are to be asked.

        Raises:
            FederationError: Too few are left, because others are in quarantine.
            TaskError: So they are because of their tasks.
        """
        there, limits = list(nodes), self.limits
        in_quarantine = self.quarantine.among(there)
        self.quarantine.check_enough(len(chosen), there)
        if limits is None:
            return Cohort(chosen, in_quarantine=in_quarantine)
        skipped = sum(not limits.may_train(node) for node in there)
        why_over = ""
        if there and len(chosen) < limits.fewest:
            needed = f", a round needs {limits.fewest}" if limits.fewest > 1 else ""
            why_over = (
                f"{len(there) - skipped} of {len(there)} clients may still be asked{needed}: "
                f"{limits.why_left_out(there)}"
            )
        return Cohort(chosen, skipped, in_quarantine, why_over)

    def spares(self, grid: Grid, chosen: Iterable[int]) -> list[int]:
        """Choose some more clients, in case others are slow or fail."""
        taken = set(chosen)
        count = math.ceil(self._over_select * len(taken))
        if not count:
            return []
        others = [n for n in self._allowed(grid.get_node_ids()) if n not in taken]
        return random.sample(others, min(count, len(others)))

    def _await(self, grid: Grid, number: int, clock: Callable[[], float]) -> list[int]:
        """Return the nodes that are there, once they are enough to begin with."""
        began_s = clock()
        least = max(least_of(self._quorum, self.clients), self.quarantine.fewest)
        while True:
            nodes = list(grid.get_node_ids())
            missing = self.clients - len(nodes)
            if missing <= 0:
                self._patience_s = GONE_S if self._quorum else math.inf
                return nodes
            if clock() - began_s >= self._patience_s and len(nodes) >= least:
                _log.warning(
                    f"round {number}: {missing} of {self.clients} clients are gone, or still at "
                    f"work; it begins without them, the quorum is {least}"
                )
                return nodes
            time.sleep(_LOOK_S)


def patience_of(quorum: float, first_round: int, resumed: bool) -> float:
    """Return how long the first round of a phase waits for clients that are missing (s)."""
    if not quorum:
        return math.inf
    if first_round > 1:
        return GONE_S
    return RETURN_S if resumed else math.inf


def least_of(quorum: float, clients: int) -> int:
    """Return how many updates the setting ``quorum`` asks of so many clients, at least 1."""
    return max(math.ceil(quorum * clients if quorum < 1 else quorum), 1)
