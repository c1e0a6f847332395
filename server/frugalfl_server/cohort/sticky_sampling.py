"""Sticky sampling: a group of clients trains again and again, and turns over slowly.

A client that trained a round ago lacks one frame; one that was away for long is sent the sum of
all it missed, up to ten times as much. So bytes are saved by asking the same clients again. (The
idea is that of GlueFL, He et al., MLSys 2023. There newcomers replace members by chance, and
weights make up for it; here members take turns, so that without any weights all clients are heard
equally often in the long run.)

Once all members have trained, some outsiders join the group in every round, those who never trained
first, then those who waited longest, and as many members leave, the longest-serving ones. The
newcomers train at once; the other places go to the members that have waited longest. So everybody
is heard within about ``group / clients a round + (all clients - group) / fresh`` rounds. What it
costs: until then the model hears some clients only, and learns more slowly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from frugalfl.sampling import Sticky
from frugalfl.settings import Settings


class Sampler:
    """The group, and who of it trains in this round."""

    def __init__(self, sampling: Sticky, clients: int, seed: int) -> None:
        """Begin with no group.

        Args:
            sampling: Size of the group, and how fast it turns over.
            clients: Clients of a round.
            seed: Decides the order in which clients have their turns, whenever they connect.
        """
        self._size = sampling.group
        self._fresh = sampling.fresh
        self._clients = clients
        self._seed = seed
        self._round = 0
        self._due = 0.0
        self._group: list[int] = []  # the longest-serving first
        self._trained: dict[int, int] = {}
        self._cohort: list[int] = []
        self._heard: set[int] = set()

    def begin(self, nodes: Iterable[int]) -> None:
        """Let the group turn over; who did not contribute to the last round loses its place."""
        here = set(nodes)
        failed = {*self._cohort} - self._heard
        self._group = [node for node in self._group if node in here - failed]
        self._round += 1
        self._cohort, self._heard = [], set()
        if self._group and all(node in self._trained for node in self._group):
            self._due += self._fresh
            newcomers = self._waiting(here - {*self._group})[: int(self._due)]
            self._due -= int(self._due)
            leaving = len(self._group) + len(newcomers) - self._size
            self._group = self._group[max(leaving, 0) :] + newcomers
            self._choose(newcomers)

    def cohort(self, nodes: Iterable[int]) -> list[int]:
        """Return the clients of this round among ``nodes``; those who have gone are replaced."""
        here = set(nodes)
        self._group = [node for node in self._group if node in here]
        self._group += self._waiting(here - {*self._group})[: self._size - len(self._group)]
        self._cohort = [node for node in self._cohort if node in here]
        others = self._waiting({*self._group} - {*self._cohort})
        self._choose(others[: self._clients - len(self._cohort)])
        return list(self._cohort)

    def note_reply(self, node: int) -> None:
        """Note that a client of this round contributed."""
        self._heard.add(node)

    def state(self) -> dict[str, Any]:
        """Return the group and who has trained, for a checkpoint."""
        return {
            "round": self._round,
            "due": self._due,
            "group": self._group,
            "trained": list(self._trained.items()),
            "cohort": self._cohort,
            "heard": sorted(self._heard),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self._round, self._due = state["round"], state["due"]
        self._group, self._cohort = list(state["group"]), list(state["cohort"])
        self._trained, self._heard = dict(state["trained"]), set(state["heard"])

    def _choose(self, nodes: Iterable[int]) -> None:
        for node in nodes:
            self._cohort.append(node)
            self._trained[node] = self._round

    def _waiting(self, nodes: Iterable[int]) -> list[int]:
        """Sort nodes: who has waited longest for a round first."""
        return sorted(nodes, key=lambda node: (self._trained.get(node, 0), self._lot(node)))

    def _lot(self, node: int) -> bytes:
        """Draw lots between those who waited equally long, alike in whatever order they come."""
        text = f"{self._seed} {self._trained.get(node, 0)} {node}"
        return hashlib.blake2b(text.encode(), digest_size=8).digest()


def sampler_of(settings: Settings) -> Sampler | None:
    """Build the sampler that the settings name; ``None``: the strategy chooses by itself."""
    sampling = settings.rounds.sticky
    if sampling is None:
        return None
    return Sampler(sampling, settings.rounds.clients_per_round, settings.run.seed)
