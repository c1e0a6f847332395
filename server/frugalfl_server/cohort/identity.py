"""Who is who: a node's key, its client number and its energy ledger belong together.

Flower knows a node by an id that belongs to its key. Which client it is, and which ledger it
writes, it says itself, with its energy records. The three are bound when a node's first sound
answer of a run is taken, and what contradicts a bond costs the contradicting answer only: whoever
was there first keeps its number. An answer without records claims no number.

A node may come back under a new id: a node without a registered key makes one, and loses it with
its disk or when it is stopped. If it tells of the same ledger, and that goes on from where it
ended, it is the same device: only the device and the server know the ledger's mark. Otherwise the
server's operator lets it in, by its id.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as _quoted
from pathlib import Path
from typing import Any

from frugalfl.energy import EnergyRecord, Head
from frugalfl.energy.hash_chain import link
from frugalfl.energy.record_json import to_text
from frugalfl.energy.verify_ledgers import IDENTITIES
from frugalfl.errors import FrameError
from frugalfl_server.cohort.check_energy import Told, check_told
from frugalfl_server.run.file_times import short_path
from frugalfl_server.run.sink import TakesJson

#: In a run's directory: ids of nodes that may take a number over, one a line.
LET_IN = "let-in.txt"
#: So many refused claims are kept; more of them are more of the same.
_MOST_REFUSED = 1000


class ClaimError(FrameError):
    """A node says that it is somebody else."""


@dataclass
class Bond:
    """One client: whose number it is, and where its ledger ended when it last told of it.

    Attributes:
        node: Its node.
        client: Its number, as text.
        since: Round of its first answer.
        ledger: Mark of its ledger, hexadecimal; empty: it has told of none.
        number: Entries of the ledger so far.
        hash: The newest entry's hash, hexadecimal.
        latest: Round of its newest answer: an older one may come after that.
        answers: How many answers it told this in.
    """

    node: int
    client: str
    since: int
    ledger: str
    number: int
    hash: str
    latest: int
    answers: int = 0

    def text(self) -> str:
        """Return all values in their order, as JSON."""
        return (
            f"[{self.node},{_quoted(self.client)},{self.since},{_quoted(self.ledger)},"
            f"{self.number},{_quoted(self.hash)},{self.latest},{self.answers}]"
        )


class Identities:
    """Who is who in one run.

    Checking, binding and undoing a bond act on the same three indices, so they stay together,
    with more than twelve methods.
    """

    def __init__(self, run: Path | None = None) -> None:
        """Begin without knowing anybody.

        Args:
            run: The run's directory, in which an operator may let nodes in; ``None``: nobody can.
        """
        self._run = run
        self._by_client: dict[str, Bond] = {}
        self._by_node: dict[int, Bond] = {}
        self._by_ledger: dict[str, Bond] = {}
        #: Each bond as a checkpoint holds it, which has thousands of them written every round.
        self._texts: dict[str, str] = {}
        self._refused: dict[tuple[int, str, str], int] = {}
        #: Whether :meth:`write` has something new to write.
        self._changed = False

    def check(
        self, node: int, records: Sequence[EnergyRecord], head: Head | None, run: str, round_: int,
        asked_s: float,
    ) -> Told:  # fmt: skip
        """Check what a reply tells, and that its node may say so; bind nobody yet.

        The arguments are those of :func:`~frugalfl_server.cohort.check_energy.check_told`.

        Raises:
            ClaimError: Another node is that client, or writes that ledger, or the node was another.
            FrameError: The records cannot be this reply's.
        """
        told = check_told(node, records, head, run, round_, asked_s)
        self._check_claim(told)
        return told

    def bind(self, told: Told) -> list[str]:
        """Take an answer's word for who sent it, from now on.

        Returns:
            A line for the person at the server about everything that is unusual.

        Raises:
            ClaimError: As :meth:`check`.
        """
        self._check_claim(told)
        if told.head is None:
            return []
        lines = []
        before = self._by_client.get(told.client)
        since, answers = told.round, 0
        if before is not None and before.node == told.node:
            if told.round < before.latest:
                return []  # it was late, and its ledger has gone on since
            since, answers = before.since, before.answers
            if not _goes_on(before, told):
                lines = [
                    f"node {told.node} (client {told.client}): its energy ledger does not go on "
                    f"from entry {before.number}, where it ended in its last answer: it was begun "
                    "anew or changed"
                ]
        elif before is not None:
            self._forget(before)
            lines = [
                f"node {told.node} is client {told.client} from now on, which node {before.node} "
                f"was since round {before.since}: {self._why_moved(before, told)}"
            ]
        self._forget(self._by_node.get(told.node))
        bond = Bond(
            told.node, told.client, since, told.ledger, told.head.number, told.head.hash.hex(),
            told.round, answers + 1,
        )  # fmt: skip
        self._put(bond)
        return lines

    def withdraw(self, told: Told) -> bool:
        """Undo a bond whose first answer turned out to be wrong; say whether there was one."""
        bond = self._by_node.get(told.node)
        if bond is None or bond.answers > 1 or told.head is None:
            return False
        if bond.hash != told.head.hash.hex():
            return False  # another answer made it
        self._forget(bond)
        return True

    def client_of(self, node: int) -> str:
        """Return the client that a node is; empty: it is not known yet."""
        bond = self._by_node.get(node)
        return "" if bond is None else bond.client

    def state(self) -> dict[str, Any]:
        """Return what is known between rounds, for a checkpoint."""
        return {
            "bonds": f"[{','.join(self._texts.values())}]".encode(),
            "refused": [[*who, round_] for who, round_ in self._refused.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        bonds = state["bonds"]  # older checkpoints have them as they are
        for values in json.loads(bonds) if isinstance(bonds, bytes) else bonds:
            self._put(Bond(*values))
        self._refused = {(node, client, ledger): n for node, client, ledger, n in state["refused"]}

    def write(self, run: TakesJson) -> None:
        """Write into a run directory who is who, with its tables, if that has changed."""
        if self._changed:
            run.write_json_later(IDENTITIES, self._as_json)
            self._changed = False

    def _as_json(self) -> dict[str, Any]:
        # A node's number has 64 bits, more than a number in JSON can be relied on to have.
        return {
            "clients": [
                {"client": bond.client, "node": str(bond.node), "since": bond.since,
                 "ledger": bond.ledger}
                for bond in self._by_client.values()
            ],
            "refused": [
                {"client": client, "node": str(node), "round": round_, "ledger": ledger}
                for (node, client, ledger), round_ in self._refused.items()
            ],
        }  # fmt: skip

    def _check_claim(self, told: Told) -> None:
        if not told.client:
            return
        why = self._contradiction(told)
        if not why:
            return
        if self._lets_in(told.node):
            return
        if len(self._refused) < _MOST_REFUSED:
            self._refused.setdefault((told.node, told.client, told.ledger), told.round)
            self._changed = True
        raise ClaimError(f"{why}; its answer does not count. {self._how_to_let_in(told.node)}")

    def _contradiction(self, told: Told) -> str:
        """Say what a claim contradicts; empty: nothing."""
        mine, holder = self._by_node.get(told.node), self._by_client.get(told.client)
        if mine is not None and mine.client != told.client:
            return (
                f"it says that it is client {told.client}, and it is client {mine.client} since "
                f"round {mine.since}"
            )
        if holder is not None and holder.node != told.node and not _is_same(holder, told):
            return (
                f"it says that it is client {told.client}, which node {holder.node} is since "
                f"round {holder.since}"
            )
        writer = self._by_ledger.get(told.ledger)
        if writer is not None and writer.client != told.client:
            return (
                f"it is client {told.client}, and tells of the energy ledger of client "
                f"{writer.client}, node {writer.node} since round {writer.since}"
            )
        return ""

    def _put(self, bond: Bond) -> None:
        self._changed = True
        self._texts[bond.client] = bond.text()
        self._by_client[bond.client] = self._by_node[bond.node] = bond
        if bond.ledger:
            self._by_ledger[bond.ledger] = bond

    def _forget(self, bond: Bond | None) -> None:
        if bond is not None:
            self._changed = True
            self._by_client.pop(bond.client, None)
            self._texts.pop(bond.client, None)
            self._by_node.pop(bond.node, None)
            self._by_ledger.pop(bond.ledger, None)

    def _why_moved(self, before: Bond, told: Told) -> str:
        return "its ledger goes on" if _is_same(before, told) else f"it is in {LET_IN}"

    def _lets_in(self, node: int) -> bool:
        """Say whether the server's operator has let a node in."""
        if self._run is None:
            return False
        try:
            words = (self._run / LET_IN).read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            return False
        return str(node) in words

    def _how_to_let_in(self, node: int) -> str:
        if self._run is None:
            return "One node a client"
        return f"To let it in: echo {node} >> {short_path(self._run)}/{LET_IN}"


def _is_same(holder: Bond, told: Told) -> bool:
    """Say whether a node with another id is the device that holds a number."""
    return bool(told.ledger) and told.ledger == holder.ledger and _goes_on(holder, told)


def _goes_on(before: Bond, told: Told) -> bool:
    """Say whether a ledger goes on from where it ended.

    Where its new entries are those of this answer alone, the hash shows it. Otherwise others lie
    between, of other runs or of answers that were lost, and only the file itself can show it.
    """
    assert told.head is not None
    if before.ledger and told.ledger and before.ledger != told.ledger:
        return False
    begins = told.head.number - len(told.records)
    if begins != before.number:
        return begins > before.number
    head = Head(before.number, bytes.fromhex(before.hash))
    for record in told.records:
        head = link(head, to_text(record))
    return head == told.head
