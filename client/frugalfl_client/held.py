"""The model that a device holds, and how frames bring it up to date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from frugalfl.blocks import Layout, Parameters, snap
from frugalfl.codec import Cut, Frame, Limits, Residual, decode_bundle
from frugalfl.codec.feedback import fitting
from frugalfl.errors import FrameError
from frugalfl.kept import take

#: A device that missed more rounds than this is sent a full model, not one frame a round.
MOST_FRAMES = 1024


@dataclass
class Held:
    """What the device holds of one run.

    Attributes:
        version: Version of ``model``, and of the last update that was sent; -1: none.
        model: Tensors by name, on the lattice of :func:`~frugalfl.blocks.snap`.
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

    def apply(self, bundle: bytes, layout: Layout, limits: Limits | None = None) -> None:
        """Apply frames, one after the other.

        Args:
            bundle: Frames and cuts without anything between them; may be empty.
            layout: The task's own layout: block names, and shapes.
            limits: Bounds of what is decoded; by default those of the layout, whose shapes are then
                the ones before any pruning.

        Raises:
            FrameError: A damaged frame, one for another model, or one that leads on from a
                version that is not held.
        """
        for part in decode_bundle(bundle, limits or Limits.of(layout), most=MOST_FRAMES):
            if part.base is not None and part.base != self.version:
                raise FrameError(
                    f"the frame leads on from version {part.base}, version {self.version} is held"
                )
            if isinstance(part, Cut):
                self._cut(part)
            elif part.base is None:
                self._replace(part, layout)
            else:
                self._add(part)
            self.version = part.version

    def _replace(self, frame: Frame, layout: Layout) -> None:
        shapes = {n: [tensor.shape for tensor in tensors] for n, tensors in frame.blocks.items()}
        replaced = frame.named(layout.with_shapes(shapes))
        self.model = {name: snap(tensor) for name, tensor in replaced.items()}
        self.residual = fitting(self.residual, self.model)

    def _add(self, frame: Frame) -> None:
        for name, difference in frame.named(Layout.of(self.model)).items():
            self.model[name] = snap(self.model[name] + snap(difference))

    def _cut(self, cut: Cut) -> None:
        self.model = take(self.model, cut.kept(Layout.of(self.model)))
        self.residual = fitting(self.residual, self.model)
