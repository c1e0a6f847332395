"""How many rounds there are, whom each asks, what it makes of the answers, and when they end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from frugalfl.asynchronous import Buffered, needs_whole_rounds, parse_asynchronous
from frugalfl.errors import UsageError
from frugalfl.patience import Patience, parse_patience
from frugalfl.sampling import Sticky, parse_sampling
from frugalfl.settings.keys import FINITE, need, setting
from frugalfl.strategies import Chosen, fewest_clients, parse_strategy


@dataclass(frozen=True)
class RoundSettings:
    """Number, cohort, strategy, what is refused, deadlines, and early stopping."""

    count: int = setting(80, "federated rounds before pruning", key="rounds")
    clients_per_round: int = setting(10, "clients that train in each round")
    strategy: str = setting("fedavg", "how the server turns updates into the next model (below)")
    sampling: str = setting("uniform", "which clients train in a round (below)")
    asynchronous: str = setting(
        "", "buffered(10): the model makes a step after so many updates; empty: after whole rounds"
    )
    norm_bound: float = setting(
        8.0, "how many times as long as usual an update may be; beyond, it does not count; 0: any"
    )
    set_aside: str = setting(
        "after(3, 10)",
        "wrong replies in a row after which a client is not asked for so many rounds; or never",
    )
    round_deadline: float = setting(
        0.0, "longest time of a round (s); late devices are left out; 0: none"
    )
    quorum: float = setting(
        0.0, "least updates of a round: below 1 a share of the clients asked, else a count; 0: any"
    )
    over_select: float = setting(
        0.0, "share of clients-per-round asked beyond it; a round closes when enough have answered"
    )
    evaluate_rows: int = setting(
        0, "most own rows that a client measures each model on that it receives; 0: none"
    )
    stop_accuracy: float = setting(
        0.0, "training ends at this accuracy, mean of the last three rounds; 0: never"
    )
    stop_score: float = setting(
        0.0, "training ends once the task's first measure is so good, mean of three; 0: never"
    )
    stop_patience: int = setting(
        0, "training ends after so many rounds without a better first measure of the task; 0: never"
    )
    stop_joules: float = setting(
        0.0, "training ends once all clients together have used so many joules; 0: never"
    )

    def __post_init__(self) -> None:
        self._check_cohort()
        need(self.evaluate_rows >= 0, "evaluate-rows", self.evaluate_rows, "0 or more")
        need(0 <= self.stop_accuracy <= 1, "stop-accuracy", self.stop_accuracy, "from 0 to 1")
        need(math.isfinite(self.stop_score), "stop-score", self.stop_score, "a finite number")
        need(self.stop_patience >= 0, "stop-patience", self.stop_patience, "0 or more")
        bound = self.norm_bound
        need(bound == 0 or 1 < bound < math.inf, "norm-bound", bound, "above 1, or 0 for none")
        _ = self.chosen_strategy, self.patience, self.sticky  # each raises if it cannot be
        if self.buffered is not None:
            self._check_without_rounds()

    def _check_cohort(self) -> None:
        need(self.clients_per_round >= 1, "clients-per-round", self.clients_per_round, "at least 1")
        for key, value in (
            ("stop-joules", self.stop_joules),
            ("round-deadline", self.round_deadline),
            ("quorum", self.quorum),
            ("over-select", self.over_select),
        ):
            need(0 <= value < math.inf, key, value, FINITE)
        if self.quorum > self.clients_per_round * (1 + self.over_select):
            raise UsageError(
                f"quorum is {self.quorum:g}, but a round asks {self.clients_per_round} clients"
            )

    def _check_without_rounds(self) -> None:
        if needs_whole_rounds(self.strategy):
            raise UsageError(
                f"strategy {self.strategy} compares the updates of a round, and asynchronous "
                "aggregation has none; use fedavg, fedavgm, fedadam, or leave asynchronous empty"
            )
        if self.sampling != "uniform":
            raise UsageError(
                f"sampling {self.sampling} plans rounds, and asynchronous aggregation has none; "
                "leave one of the two out"
            )
        about_rounds = ("round-deadline", self.round_deadline), ("quorum", self.quorum)
        for key, value in (*about_rounds, ("over-select", self.over_select)):
            if value:
                raise UsageError(
                    f"{key} is about rounds, and asynchronous aggregation has none; leave one of "
                    "the two out"
                )

    @cached_property
    def chosen_strategy(self) -> Chosen:
        """How the server turns updates into the next model."""
        return parse_strategy(self.strategy, self.clients_per_round)

    @property
    def fewest_clients(self) -> int:
        """Clients that a round of this strategy cannot do without."""
        return fewest_clients(self.strategy, self.clients_per_round)

    @property
    def proximal(self) -> bool:
        """Whether clients have FedProx's term in their loss."""
        return self.chosen_strategy.name == "fedprox"

    @cached_property
    def sticky(self) -> Sticky | None:
        """Who trains in a round; ``None``: the strategy chooses by itself."""
        return parse_sampling(self.sampling, self.clients_per_round)

    @cached_property
    def patience(self) -> Patience | None:
        """After how many wrong replies a client is not asked; ``None``: it always is."""
        return parse_patience(self.set_aside)

    @cached_property
    def buffered(self) -> Buffered | None:
        """How the model makes its steps without rounds; ``None``: there are rounds."""
        return parse_asynchronous(self.asynchronous)

    @property
    def updates_per_step(self) -> int:
        """Updates that a step of the model is made of, if every client answers."""
        return self.clients_per_round if self.buffered is None else self.buffered.updates
