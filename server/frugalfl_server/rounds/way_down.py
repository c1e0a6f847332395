"""What every way down is: what clients hold of the model, and what each is sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from frugalfl.blocks import Layout, Parameters
from frugalfl.kept import Kept
from frugalfl_server.rounds.byte_budget import Budget


class WayDown(Protocol):
    """From the version that a client holds to the current one.

    What the rounds move need not be the model's weights (:mod:`frugalfl.subspace`); it is called
    the moved tensors here.

    Attributes:
        budget: Of bytes to a client in a round.
        version: The current one.
        codec: Text of what differences travel by.
    """

    budget: Budget
    version: int
    codec: str

    @property
    def layout(self) -> Layout:
        """Of the moved tensors."""

    @property
    def oldest_version(self) -> int:
        """Updates to an older version than this are about tensors that are no more."""

    @property
    def coordinates(self) -> tuple[tuple[str, int], ...]:
        """How many coordinates each trained tensor of the model follows; none: it moves itself."""

    @property
    def spread(self) -> float:
        """How many times longer a step is that moves all coordinates alike; 1 without any."""

    def trained(self, planned: Iterable[int]) -> list[str]:
        """Return the names of the model's tensors that train if these blocks of the moved do."""

    def moved(self, model: Parameters) -> Parameters:
        """Return the moved tensors that stand for a model, or come nearest to it."""

    def whole(self, moved: Parameters) -> Parameters:
        """Return the model that moved tensors stand for."""

    def advance(self, moved: Parameters) -> Parameters:
        """Bring what clients can get closer to the moved tensors; return those to go on with."""

    def come_to(self, model: Parameters) -> None:
        """Bring what clients can get close to a model that is no round's."""

    def prune(self, kept: Kept) -> None:
        """Go on with the entries that stay, in a new version of the model."""

    def bundles_for(self, nodes: Iterable[int]) -> dict[int, tuple[int, bytes]]:
        """Choose what to send to each of some clients.

        Returns:
            By client: the version that it must hold (-1: any), and the frames to send it.
        """

    def confirm(self, node: int, version: int) -> None:
        """Note which version a client says that it holds."""

    def state(self) -> dict[str, Any]:
        """Return all of it, for a checkpoint."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
