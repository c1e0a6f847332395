"""The model that a device holds, and how frames bring it up to date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod

import numpy as np

from frugalfl.blocks import Layout, Parameters, Shape, snap
from frugalfl.codec import MOST_MODELS, CodedFrame, Cut, Fold, Limits, Residual, read_bundle
from frugalfl.codec.feedback import fitting
from frugalfl.codec.frame_bundle import Part
from frugalfl.errors import FrameError
from frugalfl.kept import take
from frugalfl.settings import Settings
from frugalfl.subspace import MOST_FOLDS, Subspace, add


@dataclass
class Held:
    """What the device holds of one run.

    Attributes:
        version: Version of ``model``, and of the last update that was sent; -1: none.
        model: Tensors by name, on the lattice of :func:`~frugalfl.blocks.snap`; in a subspace,
            the coordinates.
        base: In a subspace, the weights that its coordinates are added to.
        fold: In a subspace, its number, and the version that it began with; empty: there is none.
        residual: State of the uplink codec's error feedback.
        private: This device's own blocks, float32; never in a frame.
        trees: In a run of trees, in place of a model: the agreed bins, then the segments, as they
            came; ``version`` is the number of segments.
        round: Round of the request that left it so; 0: none.
        attempt: How often the run had been resumed by then.
        damage: What was lost of all that on the disk, in one line; empty: nothing.
    """

    version: int = -1
    model: Parameters = field(default_factory=dict)
    base: Parameters = field(default_factory=dict)
    fold: tuple[int, ...] = ()
    residual: Residual = field(default_factory=dict)
    private: Parameters = field(default_factory=dict)
    trees: tuple[bytes, ...] = ()
    round: int = 0
    attempt: int = 0
    damage: str = ""

    def was_in_vain(self, resumed: Sequence[int], again: int = -1) -> bool:
        """Say whether the server never used what was done in :attr:`round`.

        Args:
            resumed: As of :class:`~frugalfl.wire.TrainRequest`.
            again: A round that this device is asked for once more, because it was killed.
        """
        return again == self.round or any(first <= self.round for first in resumed[self.attempt :])

    def missed(self, version: int) -> int:
        """Return how many versions were let pass between the last update and this one."""
        return max(version - self.version - 1, 0) if self.version >= 0 else 0

    def subspace(self, settings: Settings) -> Subspace | None:
        """Return the subspace that the coordinates are of; ``None``: whole weights are held.

        Raises:
            FrameError: The run's settings know of none.
        """
        return self._numbered(self.fold[0], settings) if self.fold else None

    def weights(self, settings: Settings) -> Parameters:
        """Return the whole model, without private blocks.

        Raises:
            FrameError: As :meth:`subspace`.
        """
        return self.weights_in(self.subspace(settings))

    def weights_in(self, subspace: Subspace | None) -> Parameters:
        """Return the whole model, without private blocks, of what :meth:`subspace` returned."""
        return self.model if subspace is None else add(self.base, subspace.expand(self.model))

    def apply(
        self,
        bundle: bytes,
        layout: Layout,
        limits: Limits | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Apply frames, one after the other.

        Args:
            bundle: Frames, cuts and folds without anything between them; may be empty.
            layout: The task's own layout: block names, and shapes.
            limits: Bounds of what is decoded; by default those of the layout, whose shapes are then
                the ones before any pruning.
            settings: Of the run: what subspaces are drawn from; ``None``: there are none.

        Raises:
            FrameError: A damaged frame, one for another model, one that leads on from a version
                that is not held, or more folds or frames than a server sends.
        """
        settings, limits = settings or Settings(), limits or Limits.of(layout)
        parts = read_bundle(bundle, limits)
        _check_folds(parts)
        _check_entries(parts, bool(self.fold), MOST_MODELS * limits.entries)
        for part in parts:
            # What a subspace has been through may be sent as a whole: from its beginning.
            anew = bool(self.fold) and part.base == self.fold[1] and isinstance(part, CodedFrame)
            if part.base is not None and part.base != self.version and not anew:
                raise FrameError(
                    f"the frame leads on from version {part.base}, version {self.version} is held"
                )
            if isinstance(part, Cut):
                self._cut(part, settings)
            elif isinstance(part, Fold):
                self._fold(part, settings)
            elif part.base is None:
                self._replace(part, layout)
            else:
                self._add(part, anew)
            self.version = part.version

    def _replace(self, frame: CodedFrame, layout: Layout) -> None:
        replaced = frame.decode_for(layout.with_shapes(frame.shapes))
        self.model = {name: snap(tensor) for name, tensor in replaced.items()}
        self.base, self.fold = {}, ()
        self.residual = fitting(self.residual, self.model)

    def _add(self, frame: CodedFrame, anew: bool) -> None:
        moved = {
            name: snap((self.model[name] * 0 if anew else self.model[name]) + snap(difference))
            for name, difference in frame.decode_for(Layout.of(self.model)).items()
        }
        self.model = self.model | moved  # in place of it: simulated devices share what is alike

    def _cut(self, cut: Cut, settings: Settings) -> None:
        weights = self.weights(settings)
        self.model = take(weights, cut.kept(Layout.of(weights)))
        self.base, self.fold = {}, ()
        self.residual = fitting(self.residual, self.model)

    def _fold(self, fold: Fold, settings: Settings) -> None:
        """Add what the coordinates stand for to the weights, and begin the next subspace."""
        weights = self._folded(settings)
        if not weights:
            raise FrameError("a subspace begins, and there is no model here for it to be of")
        self.base, self.fold = weights, (fold.number, fold.version)
        self.model = self._numbered(fold.number, settings).zeros()
        self.residual = {}  # of coordinates that are no more

    def _folded(self, settings: Settings) -> Parameters:
        """Return the weights with all that coordinates stand for, on the lattice."""
        if self.fold and not any(tensor.any() for tensor in self.model.values()):
            # Nothing is drawn in vain; a sum has no negative zeros, as with any coordinates.
            return {name: tensor + np.float32(0) for name, tensor in self.base.items()}
        return {name: snap(tensor) for name, tensor in self.weights(settings).items()}

    def _numbered(self, number: int, settings: Settings) -> Subspace:
        plan = settings.wire.subspace
        if plan is None:
            raise FrameError(
                "the server trains in a subspace, and this device's settings name none: "
                f"refresh = {settings.wire.refresh}; does it run the same app?"
            )
        return plan.of_model(self.base, settings.run.seed, number)


def _check_folds(parts: Sequence[Part]) -> None:
    """Refuse parts that no server sends, and that would take long to apply.

    Raises:
        FrameError: Subspaces are left so often that drawing their signs would take minutes, or
            whole models follow one another.
    """
    left = sum(
        isinstance(before, CodedFrame) and isinstance(part, Cut | Fold)
        for before, part in pairwise(parts)
    )
    if left > MOST_FOLDS:
        raise FrameError(f"the message holds {left} folds with coordinates, above {MOST_FOLDS}")
    if any(isinstance(part, CodedFrame) and part.base is None for part in parts[1:]):
        raise FrameError("the message holds a whole model behind its beginning")


def _cost(shape: Shape) -> int:
    """Return a tensor's entries; of an empty one its long axes, which take time as well."""
    return prod(max(size, 1) for size in shape)


def _check_entries(parts: Sequence[Part], folded: bool, most: int) -> None:
    """Refuse frames that together have more entries than a server sends: each has to be decoded.

    Args:
        parts: All that came.
        folded: Whether coordinates are held.
        most: Entries of frames that are not of coordinates.

    Raises:
        FrameError: They have more.
    """
    entries = 0
    for part in parts:
        if not isinstance(part, CodedFrame):
            folded = isinstance(part, Fold)
            continue
        folded = folded and part.base is not None
        entries += 0 if folded else sum(map(_cost, part.flat))
    if entries > most:
        raise FrameError(f"the message's frames hold {entries} entries, above {most}")
