"""What clients sent that no energy record of a run tells of.

Records of a refused first answer are left out, since nobody knows who sent it, and a device with a
full disk tells of none. The bytes were sent nevertheless, and are in the run's sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from frugalfl.energy.record import known_sum


@dataclass
class Unrecorded:
    """What one such exchange took, or all of a node's together.

    Attributes:
        rounds: Rounds that were answered.
        uplink_bytes: Length of the uploads (B); ``None``: they could not even be opened.
        downlink_bytes: Length of what the node had been sent (B).
    """

    rounds: list[int] = field(default_factory=list)
    uplink_bytes: int | None = None
    downlink_bytes: int = 0


class UnrecordedUploads:
    """Those of a whole run, by node."""

    def __init__(self) -> None:
        self._by_node: dict[int, Unrecorded] = {}

    def note(self, node: int, one: Unrecorded) -> None:
        """Note one more."""
        whole = self._by_node.setdefault(node, Unrecorded())
        whole.rounds += [number for number in one.rounds if number not in whole.rounds]
        known = known_sum([whole.uplink_bytes, one.uplink_bytes])
        whole.uplink_bytes = None if known is None else int(known)
        whole.downlink_bytes += one.downlink_bytes

    def rows(self, who: Callable[[int], dict[str, str]]) -> list[dict[str, Any]]:
        """Return one row a node, for a JSON file.

        Args:
            who: Names a node, and its client if that is known.
        """
        return [{**who(node), **vars(one)} for node, one in self._by_node.items()]

    def state(self) -> list[list[Any]]:
        """Return what is known between rounds, for a checkpoint."""
        return [
            [node, list(one.rounds), one.uplink_bytes, one.downlink_bytes]
            for node, one in self._by_node.items()
        ]

    def restore(self, state: list[list[Any]]) -> None:
        """Go on with what :meth:`state` returned."""
        self._by_node = {
            node: Unrecorded(list(rounds), up, down) for node, rounds, up, down in state
        }
