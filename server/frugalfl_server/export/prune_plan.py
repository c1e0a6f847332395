"""Which groups of channels become narrower, and which stay whole because that would not work.

Made before the first round, of shapes alone, and tried: see :mod:`prune_trial`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frugalfl.blocks import Shape
from frugalfl.errors import ExportError, FrugalFLError, MissingExtraError
from frugalfl.kept import Kept
from frugalfl.modules import write_parameters
from frugalfl_server.export.channels import Channels, channels_of
from frugalfl_server.export.explain_error import explain_errors
from frugalfl_server.export.kept_entries import all_cuts, common, shapes_left
from frugalfl_server.export.prune_cut import (
    ROUND_TO,
    Choice,
    Narrowed,
    channels_kept,
    check_any_can_go,
    find_removed,
)
from frugalfl_server.export.prune_trial import Trial
from frugalfl_server.export.prune_twins import twins
from frugalfl_server.export.quiet import quiet

if TYPE_CHECKING:
    import torch

#: A ratio at which every group is as narrow as it can be.
NARROWEST = 1 - 1e-9
#: Most divisions into equal blocks that are tried for a group; chunks and heads are few.
_MOST_BLOCKS = 16
#: Channels of which a trial compares what is left, and more of them if averages come in.
_CHOICES: tuple[Choice, ...] = ("weakest", "strongest", 0)
_MORE_CHOICES = 8
#: What :func:`~frugalfl.resize.resize` says of layers that it does not know.
_NOT_REBUILT = "cannot be rebuilt"


@dataclass(frozen=True)
class LeftWhole:
    """A group that stays as it is.

    Attributes:
        layers: Whose channels.
        why: What went wrong without some of them.
    """

    layers: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class PruningPlan:
    """What pruning will do to a model, whatever its weights are.

    Attributes:
        ratio: Share of channels that was asked for.
        narrowed: In the order of the model.
        whole: What could not become narrower, outputs of the model apart.
        shapes: Shape of every floating-point tensor afterwards, by name.
    """

    ratio: float
    narrowed: tuple[Narrowed, ...]
    whole: tuple[LeftWhole, ...]
    shapes: Mapping[str, Shape]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)


def plan_pruning(
    build: Callable[[], torch.nn.Module],
    example_input: torch.Tensor,
    ratio: float,
    round_to: int = ROUND_TO,
) -> PruningPlan:
    """Try to make every group of channels narrower, and say which can be.

    Args:
        build: Makes the module anew, as whoever gets the pruned weights will.
        example_input: At least one row.
        ratio: Share of channels to remove from each group.
        round_to: The channels that stay are a multiple of this.

    Raises:
        ExportError: A ratio out of range, or the module does not run on the rows.
        MissingExtraError: torch-pruning is not installed.
    """
    import torch

    if not 0 <= ratio < 1:
        raise ExportError(f"prune ratio {ratio} is not in [0, 1); 0.5 removes half of the channels")
    with torch.random.fork_rng(devices=[]):
        trial = Trial(build, example_input)
        if not ratio:
            return PruningPlan(ratio, (), (), trial.shapes)
        try:
            found, lost = _trace(build, trial, example_input)
        except ExportError as error:
            whole = LeftWhole(("the model",), str(error))
            return PruningPlan(ratio, (), (whole,), trial.shapes)
        return _Planner(trial, found, ratio, round_to).plan(lost)


def _trace(
    build: Callable[[], torch.nn.Module], trial: Trial, example_input: torch.Tensor
) -> tuple[list[Channels], list[str]]:
    with explain_errors("it cannot be traced"), quiet():
        module = build()
        write_parameters(module, trial.weights)
        return channels_of(module, example_input[:1])


class _Planner:
    """Tries to make all groups narrower at once, else halves of them, down to single ones."""

    def __init__(
        self, trial: Trial, found: Sequence[Channels], ratio: float, round_to: int
    ) -> None:
        self._trial, self._found = trial, {one.layer: one for one in found}
        self._ratio, self._round_to = ratio, round_to
        self._narrowed: list[Narrowed] = []
        self._whole: list[LeftWhole] = []
        self._lists: dict[tuple[Narrowed, Choice], Kept] = {}

    def plan(self, lost: Iterable[str]) -> PruningPlan:
        self._take([one for one in self._found.values() if next(self._ways(one), None)])
        if lost:
            self._whole.append(LeftWhole(tuple(lost), "what depends on them is not seen"))
        shapes = shapes_left(self._channels_left(self._narrowed), self._trial.shapes)
        return PruningPlan(self._ratio, tuple(self._narrowed), tuple(self._whole), shapes)

    def _take(self, groups: Sequence[Channels]) -> None:
        """Make these groups narrower on top of those before them, or note which cannot be."""
        if len(groups) == 1:
            self._take_one(groups[0])
        elif groups:
            cuts = [next(self._ways(one)) for one in groups]
            if self._why_not(cuts):
                middle = len(groups) // 2
                self._take(groups[:middle])
                self._take(groups[middle:])
            else:
                self._narrowed += cuts

    def _take_one(self, one: Channels) -> None:
        refusals = []
        for cut in self._ways(one):
            refused = self._why_not([cut])
            if not refused:
                self._narrowed.append(cut)
                return
            refusals.append(refused)
            if _NOT_REBUILT in refused:
                break
        self._whole.append(LeftWhole(one.layers or (one.layer,), refusals[0]))

    def _ways(self, one: Channels) -> Iterator[Narrowed]:
        """Yield the ways to make a group narrower: in the blocks that its layers have, then any."""
        divisors = [blocks for blocks in range(1, _MOST_BLOCKS + 1) if one.count % blocks == 0]
        for blocks in dict.fromkeys([one.blocks, *divisors]):
            stay = channels_kept(one.count, self._ratio, self._round_to, blocks)
            if one.count % blocks == 0 and stay < one.count:
                yield Narrowed(one.layer, one.count, stay, blocks)

    def _why_not(self, cuts: Sequence[Narrowed]) -> str:
        """Return why these groups cannot be narrower too; empty if they can."""
        both = [*self._narrowed, *cuts]
        try:
            with explain_errors("its weights cannot be cut"), quiet():
                self._trial.check(
                    [self._channels_left(both, one) for one in _CHOICES],
                    (self._channels_left(both, one) for one in range(1, _MORE_CHOICES)),
                    (self._silent(one) for one in both),
                    lambda: twins(self._trial.weights, [(self._found[k.layer], k) for k in both]),
                )
        except MissingExtraError:
            raise
        except FrugalFLError as error:
            return str(error)
        return ""

    def _silent(self, cut: Narrowed) -> Kept:
        """Return what is left of each tensor without all of a group's channels."""
        return common([self._left_by(cut, one) for one in range(_MORE_CHOICES)])

    def _channels_left(self, cuts: Iterable[Narrowed], choice: Choice = "weakest") -> Kept:
        return all_cuts([self._left_by(cut, choice) for cut in cuts], self._trial.shapes)

    def _left_by(self, cut: Narrowed, choice: Choice) -> Kept:
        if (cut, choice) not in self._lists:
            channels = self._found[cut.layer]
            check_any_can_go(channels, cut)
            removed = find_removed(channels, cut, choice)
            self._lists[cut, choice] = channels.kept_without(removed)
        return self._lists[cut, choice]
