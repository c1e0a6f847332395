"""Clients that keep sending garbage: set aside for some rounds, and named.

Garbage is a reply that no working client sends: a wrong checksum, other shapes than were asked for,
numbers that cannot be, an update far longer than its peers'. A client that says itself that it
failed (no memory, full disk), or says nothing, is a device in trouble, and is asked again. One
whose own task failed is set aside at once: its rows will hardly be others in the next round.

After its rounds a client is asked again, on trial: one more wrong reply sets it aside at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, astuple, dataclass
from functools import partial
from typing import Any

from frugalfl.errors import FederationError, TaskError
from frugalfl.patience import Patience
from frugalfl.settings import Settings
from frugalfl_server.cohort.unfit import Unfit
from frugalfl_server.cohort.unrecorded_uploads import UnrecordedUploads
from frugalfl_server.run.records import QUARANTINE
from frugalfl_server.run.sink import TakesJson


@dataclass(frozen=True)
class Exclusion:
    """One time that a client was in quarantine.

    Attributes:
        node: The client's node.
        round: Round of its last reply.
        rounds: For how many rounds it is not asked.
        why: What was wrong with that reply.
    """

    node: int
    round: int
    rounds: int
    why: str

    def __str__(self) -> str:
        return f"node {self.node} is set aside for {self.rounds} rounds: {self.why}"


class Quarantine:
    """Who sent garbage how often, over a whole run."""

    def __init__(self, patience: Patience | None, clients: int = 1, fewest: int = 1) -> None:
        """Begin: no mistakes are recorded yet.

        Args:
            patience: The rule; ``None``: nobody is ever in quarantine.
            clients: Clients of a round.
            fewest: Clients that a round cannot do without.
        """
        self.clients = clients
        self._patience = patience
        self.fewest = fewest
        self._asked = 0  # rounds so far: phases begin at numbers of their own
        self._wrong: dict[int, int] = {}
        self._until: dict[int, int] = {}
        self.exclusions: list[Exclusion] = []
        self.unfit = Unfit()
        self.unrecorded = UnrecordedUploads()

    def begin(self) -> None:
        """Begin a round."""
        self._asked += 1

    def rests(self, node: int) -> bool:
        """Say whether a client is set aside in this round."""
        return self._asked <= self._until.get(node, 0)

    @property
    def holds_anybody(self) -> bool:
        """Whether anybody at all has been set aside so far."""
        return bool(self._until)

    def among(self, nodes: Iterable[int]) -> int:
        """Return how many of these clients are set aside in this round."""
        return sum(map(self.rests, nodes)) if self._until else 0

    def note_right(self, node: int) -> None:
        """Note a reply as it should be."""
        self._wrong.pop(node, None)

    def note_wrong(self, node: int, round_: int, why: str) -> list[Exclusion]:
        """Note a reply that is garbage; return what follows, if anything does."""
        if self._patience is None:
            return []
        self._wrong[node] = self._wrong.get(node, 0) + 1
        if self._wrong[node] < self._patience.wrong:
            return []
        self._wrong[node] = self._patience.wrong - 1
        self._until[node] = self._asked + self._patience.rounds
        self.exclusions.append(Exclusion(node, round_, self._patience.rounds, why))
        return self.exclusions[-1:]

    def task_failed(self, node: int, round_: int, why: str) -> str:
        """Set a client aside whose own task failed; return why, and for how long."""
        self.unfit.note_failed(node, why)
        if self._patience is None:
            return why
        self._until[node] = self._asked + self._patience.rounds
        self.exclusions.append(Exclusion(node, round_, self._patience.rounds, why))
        return f"{why}; it is not asked for {self._patience.rounds} rounds"

    def state(self) -> dict[str, Any]:
        """Return what is known between rounds, for a checkpoint."""
        return {
            "unfit": self.unfit.state(),
            "unrecorded": self.unrecorded.state(),
            "asked": self._asked,
            "wrong": list(self._wrong.items()),
            "until": list(self._until.items()),
            "sentences": [list(astuple(one)) for one in self.exclusions],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self._asked = state["asked"]
        self._wrong, self._until = ({n: count for n, count in state[k]} for k in ("wrong", "until"))
        self.exclusions = [Exclusion(*one) for one in state["sentences"]]
        for name, part in (("unfit", self.unfit), ("unrecorded", self.unrecorded)):
            if name in state:  # checkpoints from before have none
                part.restore(state[name])

    def write(self, run: TakesJson, client_of: Callable[[int], str] = lambda _: "") -> None:
        """Write into a run directory who was set aside, never trained or told of no joules so far.

        Args:
            run: The run.
            client_of: The number of a node's client, as text; empty: it is not known.
        """
        rows = [{**asdict(one), **_who(client_of, one.node)} for one in self.exclusions]
        never = self.unfit.never_trained.items()
        idle = [{**_who(client_of, node), "why": why} for node, why in never]
        sent = self.unrecorded.rows(partial(_who, client_of))
        if rows or idle or sent:
            run.write_json(
                QUARANTINE, {"set_aside": rows, "never_trained": idle, "unrecorded": sent}
            )

    def check_enough(self, left: int, nodes: Iterable[int]) -> None:
        """Stop a run whose clients are nearly all in quarantine.

        Args:
            left: Clients that this round can ask.
            nodes: Clients that are there.

        Raises:
            FederationError: They are too few, because others are in quarantine.
            TaskError: They are set aside because of their tasks.
        """
        there = list(nodes)
        aside = self.among(there)
        if aside and left < self.fewest:
            if self.unfit.all_of(filter(self.rests, there)):
                raise TaskError(
                    f"{aside} of {len(there)} clients cannot train, a round needs {self.fewest}: "
                    f"{self.unfit.last}"
                )
            raise FederationError(
                f"{aside} of {len(there)} clients are set aside for garbage, a round needs "
                f"{self.fewest}: {self.exclusions[-1]}; is the server's frugalfl of their version?"
            )


def _who(client_of: Callable[[int], str], node: int) -> dict[str, str]:
    """Return a node, and its client where that is known."""
    # A node's number has 64 bits, more than a number in JSON can be relied on to have.
    client = client_of(node)
    return {"node": str(node)} | ({"client": client} if client else {})


def quarantine_of(settings: Settings) -> Quarantine:
    """Build what the settings name."""
    fewest = settings.rounds.fewest_clients
    return Quarantine(settings.rounds.patience, settings.rounds.clients_per_round, fewest)
