"""How many channels of a group go, and which."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from frugalfl.errors import ExportError
from frugalfl_server.export.channels import Channels

#: The channels that stay are a multiple of this: it suits the int8 kernels of Cortex-M.
ROUND_TO = 4
#: Which channels of a group go.
Choice = Literal["weakest", "strongest"] | int
#: So many choices by number are neighbours, at as many places.
_NEIGHBOURS = 4


@dataclass(frozen=True)
class Narrowed:
    """A group of channels that becomes narrower.

    Attributes:
        layer: The layer that leads it.
        channels: How many there are.
        stay: How many stay.
        blocks: The channels are so many equal blocks, one after the other, and each loses the same.
    """

    layer: str
    channels: int
    stay: int
    blocks: int

    @property
    def size(self) -> int:
        """How many channels a block has."""
        return self.channels // self.blocks

    def places(self, of_block: Iterable[int]) -> list[int]:
        """Return the channels at these places in every block."""
        chosen = sorted(of_block)
        return [block * self.size + place for block in range(self.blocks) for place in chosen]


def check_any_can_go(channels: Channels, one: Narrowed) -> None:
    """Check that every choice of places can go, since weights will choose.

    Two places that cannot go without each other differ in some digit, so they are in different
    sets of those by digit.

    Raises:
        ExportError: Some cannot go without others.
    """
    for digit in range((one.size - 1).bit_length()):
        for value in (0, 1):
            channels.check_alone(
                one.places(place for place in range(one.size) if place >> digit & 1 == value)
            )


def ratio_that_keeps(channels: int, of: int) -> float:
    """Return a pruning ratio at which so many channels of a group stay, safe from rounding."""
    return max(0.0, 1 - channels / of - 1e-9)


def channels_kept(of: int, ratio: float, round_to: int, blocks: int = 1) -> int:
    """Return how many channels of a group stay: a multiple of both, rounded down, at least that."""
    step = math.lcm(round_to, blocks)
    return max(min(step, of), int(of * (1 - ratio)) // step * step)


def find_removed(channels: Channels, one: Narrowed, choice: Choice = "weakest") -> list[int]:
    """Return which channels go, at the same places in each block.

    Args:
        channels: With the weights that decide.
        one: How many stay.
        choice: Those with the least norm, with the largest, or by number: the first are
            neighbours, the others are drawn.
    """
    if channels.importance is None:
        raise ExportError("its channels have no weights to compare")
    gone = one.size - one.stay // one.blocks
    if isinstance(choice, int):
        return one.places(_some(one.size, gone, choice))
    norms = channels.importance.view(one.blocks, one.size).mean(0)
    return one.places(norms.argsort(descending=choice == "strongest")[:gone].tolist())


def _some(size: int, gone: int, number: int) -> list[int]:
    if number >= _NEIGHBOURS:
        return [int(place) for place in np.random.default_rng(number).permutation(size)[:gone]]
    first = number * size // _NEIGHBOURS
    return [(first + place) % size for place in range(gone)]
