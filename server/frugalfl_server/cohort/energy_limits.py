"""Energy as a control: whom a round may ask, and for how many epochs.

A client is asked as long as what it has used and what its last round says one more would take are
within the energy budget; where a whole round no longer fits, fewer epochs may. A client whose
battery was too low is left alone for some rounds. Nothing is held against clients of whom nothing
is known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from frugalfl.energy import EnergyRecord, totals
from frugalfl.energy.record import known_sum
from frugalfl.settings import Settings
from frugalfl.wire import TrainReply
from frugalfl_server.run.checkpoint import by_row

#: Rounds for which a client with a low battery is not asked: each question costs it a contact.
REST_ROUNDS = 5


@dataclass
class _Account:
    """One client's joules (J), in all and in its last round: of each epoch, and of all the rest."""

    spent_j: float = 0.0
    epoch_j: float = 0.0
    rest_j: float = 0.0


class EnergyLimits:
    """What is known of each client's energy, over a whole run.

    Budget, battery and epochs are one account a client; hence more than twelve short methods.
    """

    def __init__(self, settings: Settings) -> None:
        """Begin with nothing known."""
        self._budget_j = settings.energy.budget
        self._limit_j = self._budget_j
        self._least = settings.energy.min_battery
        self._epochs = settings.train.epochs
        self._round = 0
        self._accounts: dict[int, _Account] = {}
        self._resting: dict[int, int] = {}  # up to which round
        self._asked: dict[int, int] = {}
        self._woken = False
        #: Clients that a round wants, and those that its strategy cannot do without.
        self.clients = settings.rounds.clients_per_round
        self.fewest = settings.rounds.fewest_clients

    @property
    def active(self) -> bool:
        """Whether there is anything to hold clients to."""
        return bool(self._budget_j or self._least)

    def keep_back(self, share: float) -> None:
        """Hold clients to all but this share of the budget, for what comes after."""
        self._limit_j = self._budget_j * (1 - share)

    def begin(self, nodes: Collection[int]) -> None:
        """Begin a round with the clients that are there.

        Where too few may be asked, those that rest are asked once before their time.
        """
        self._round += 1
        if self._too_few(nodes) and not self._woken:
            self._resting = {}
            self._woken = True
        elif not self._too_few(nodes):
            self._woken = False

    def _too_few(self, nodes: Iterable[int]) -> bool:
        return sum(map(self.may_train, nodes)) < self.fewest

    def may_train(self, node: int) -> bool:
        """Say whether a client may be asked to train in this round."""
        return not self._rests(node) and self._affordable(node) > 0

    def may_answer(self, node: int) -> bool:
        """Say whether a client may be asked for less than training."""
        account = self._accounts.get(node, _Account())
        return not self._rests(node) and (not self._budget_j or account.spent_j < self._budget_j)

    def epochs_of(self, node: int) -> int:
        """Return the epochs to ask a client for; 0: as many as the settings say."""
        affordable = self._affordable(node)
        self._asked[node] = affordable
        return 0 if affordable == self._epochs else affordable

    def note_reply(self, node: int, reply: TrainReply) -> None:
        """Note what a client used in this round, and how full its battery is."""
        self.charge(node, reply.records)
        if reply.battery is not None and reply.battery.below(self._least):
            self._resting[node] = self._round + REST_ROUNDS
        # A round without training says nothing about the cost of the next one.
        if reply.frame:
            account = self._accounts[node]
            training = [record for record in reply.records if record.phase == "train"]
            training_j = _joules(training)
            account.epoch_j = training_j / self._asked.get(node, self._epochs)
            account.rest_j = _joules(reply.records) - training_j

    def charge(self, node: int, records: Iterable[EnergyRecord]) -> None:
        """Add records to what a client has used."""
        self._accounts.setdefault(node, _Account()).spent_j += _joules(records)

    def why_left_out(self, nodes: Iterable[int]) -> str:
        """Say in a few words why some of these clients may not be asked."""
        kept = [node for node in nodes if not self.may_train(node)]
        resting = sum(map(self._rests, kept))
        reasons = {
            f"below min-battery {self._least} %": resting,
            f"at the end of energy-budget {self._budget_j:g} J": len(kept) - resting,
        }
        return ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)

    def state(self) -> dict[str, Any]:
        """Return what is known of each client, for a checkpoint."""
        return {
            "round": self._round,
            "accounts": {
                "node": list(self._accounts),
                **{
                    name: list(map(attrgetter(name), self._accounts.values()))
                    for name in ("spent_j", "epoch_j", "rest_j")
                },
            },
            "resting": list(self._resting.items()),
            "woken": self._woken,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self._round, self._woken = state["round"], state["woken"]
        self._accounts = {
            # Older checkpoints have an account's figures in a list of their own.
            node: _Account(*(one[0] if isinstance(one[0], list) else one))
            for node, *one in by_row(state["accounts"])
        }
        self._resting = dict(state["resting"])

    def _rests(self, node: int) -> bool:
        return self._round <= self._resting.get(node, 0)

    def _affordable(self, node: int) -> int:
        """Return the epochs that a client can train within its budget, at most all."""
        account = self._accounts.get(node)
        if not self._budget_j or account is None:
            return self._epochs
        left_j = self._limit_j - account.spent_j - account.rest_j
        if left_j <= 0:
            return 0
        if account.epoch_j * self._epochs <= left_j:
            return self._epochs
        return int(left_j / account.epoch_j)


def _joules(records: Iterable[EnergyRecord]) -> float:
    # A threshold wants one number: here, and nowhere that reports, the two kinds add up.
    total = totals(records)
    return known_sum([total.measured_j, total.estimated_j]) or 0.0
