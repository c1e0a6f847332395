"""The LiteRT trainer: runs a training program that the server compiled; numpy, no PyTorch.

The same rows in the same mini-batches as the PyTorch trainer, and so the same update: within 1e-5
after a local epoch, which is what float32 sums in another order leave.
"""

from __future__ import annotations

import numpy as np

from frugalfl.activation_ranges import over_rows, thin_rows
from frugalfl.blocks import FloatArray, Layout, Parameters
from frugalfl.codec import Limits
from frugalfl.errors import ProgramError
from frugalfl.flow import check_flow
from frugalfl.kinds import CLASSIFICATION, Kind, check_kind
from frugalfl.private import split
from frugalfl.program import Program
from frugalfl.settings import Settings
from frugalfl.subspace import Subspace
from frugalfl.task import Examples, TargetArray
from frugalfl_client.training.batches import batches
from frugalfl_client.training.bound import BoundProgram
from frugalfl_client.training.trainer import Measured, Trained, mean_loss
from frugalfl_edge.interpreter import runtime_package

#: Entries of a frame that are always accepted: this model may have been pruned from a larger one.
_LEAST_ENTRIES = 1 << 24


class LiteRTTrainer:
    """Trains the model of one training program; keeps its interpreter between rounds."""

    #: The package that does the work, for the version in energy records.
    software: str

    def __init__(self, program: Program, settings: Settings) -> None:
        """Load the program.

        Args:
            program: It is run only if its outputs are shown to be sums over its batches.
            settings: Of the run.

        Raises:
            ProgramError: It does not run here, or is not for these settings.
        """
        check_flow(program)
        if program.batch != settings.train.batch_size:
            raise ProgramError(
                f"the training program has batches of {program.batch} rows, batch-size is "
                f"{settings.train.batch_size}; is it of another run?"
            )
        self._program = program
        self._settings = settings
        self._bound = BoundProgram(program)
        self.software = runtime_package()
        self._shapes = {one.name: one.shape for one in program.parameters}
        shared, _ = split(_empty(self._shapes), settings.wire.private)
        #: Blocks of the program's model that travel, pruned or not.
        self.layout = Layout.of(shared)
        own = Limits.of(self.layout)
        entries = max(own.entries, _LEAST_ENTRIES)
        self.limits = Limits(entries, max(own.frame_bytes, 8 * entries))

    def check_rows(
        self, parameters: Parameters, examples: Examples, whose: str, kind: Kind | None = None
    ) -> None:
        """See that a device's rows are what the program takes, before anything is trained."""
        classes = self._program.classes
        if kind is not None or classes:
            # Of other kinds than classes, outputs are known to have as many numbers as targets.
            outputs = (len(examples), classes) if classes else examples.y.shape
            check_kind(kind or CLASSIFICATION, outputs, examples.y, whose)
        try:
            self._targets(examples)
        except ProgramError as error:
            raise ProgramError(f"{whose}: {error}") from error

    def train(
        self,
        parameters: Parameters,
        planned: tuple[int, ...],
        examples: Examples,
        learning_rate: float,
        seed: tuple[int, ...],
        private: Parameters | None = None,
        proximal_mu: float = 0.0,
        epochs: int = 0,
        smallest_batch: int = 1,
        subspace: Subspace | None = None,
    ) -> Trained:
        """Run the local epochs; see :class:`~frugalfl_client.training.trainer.Trainer`."""
        private = private or {}
        self._check_model(parameters | private)
        self._check_plan(planned, proximal_mu)
        self._check_subspace(subspace)
        targets = self._targets(examples)
        self._bound.begin(parameters | private, learning_rate, proximal_mu, subspace)
        epochs = epochs or self._settings.train.epochs
        loss = self._epochs(examples.x, targets, seed, epochs, smallest_batch)
        after = {
            one.name: self._bound.parameter(place)
            for place, one in enumerate(self._program.parameters)
            if one.changes
        }
        names = self.layout.names(planned)
        return Trained(
            {name: after.get(name, parameters[name]) - parameters[name] for name in names},
            loss,
            {name: after.get(name, tensor) for name, tensor in private.items()},
        )

    def calibrate(
        self, parameters: Parameters, examples: Examples, percentile: float = 100.0
    ) -> FloatArray:
        """Return the range of every tensor that the model makes of this device's rows."""
        self._check_model(parameters)
        self._targets(examples)
        inputs = self._inputs(parameters)
        rows = []
        for row in thin_rows(examples.x):
            x = np.broadcast_to(row, (self._program.batch, *row.shape))
            rows.append(self._bound.call("calibrate", x=np.ascontiguousarray(x), **inputs))
        return over_rows(np.array([one["ranges"] for one in rows], np.float32), percentile)

    def measure(
        self, parameters: Parameters, examples: Examples, kind: Kind | None = None
    ) -> Measured:
        """Measure a whole model; of targets that are no classes a program knows nothing."""
        if not self._program.classes:
            return Measured(None)
        self._check_model(parameters)
        targets, inputs = self._targets(examples), self._inputs(parameters)
        right, batch = 0, self._program.batch
        for start in range(0, len(examples), batch):
            # The last batch is filled up with the last row, which then weighs nothing.
            rows = range(start, start + batch)
            x, y = (array.take(rows, 0, mode="clip") for array in (examples.x, targets))
            w = (np.arange(start, start + batch) < len(examples)).astype(np.float32)
            found = self._bound.call("evaluate", x=x, y=y, w=w, **inputs)["right"]
            right += _counted(float(found), int(w.sum()))
        return Measured(right)

    def _epochs(
        self, x: FloatArray, y: TargetArray, seed: tuple[int, ...], epochs: int, least: int
    ) -> float:
        bound, rng = self._bound, np.random.default_rng(seed)
        masks = np.random.default_rng((*seed, 1))
        losses: list[float] = []
        for _ in range(epochs):
            losses = []
            for rows in batches(len(x), self._program.batch, rng, least):
                count = len(rows)
                # Any mode but "raise", which would gather into a buffer first.
                x.take(rows, 0, out=bound.x[:count], mode="clip")
                y.take(rows, 0, out=bound.y[:count], mode="clip")
                bound.w[:count], bound.w[count:] = 1, 0
                for mask, entries in zip(self._program.masks, bound.masks, strict=True):
                    kept = masks.random(mask.shape, np.float32) >= mask.drop
                    np.multiply(kept, np.float32(1 / (1 - mask.drop)), out=entries)
                losses.append(bound.step())
        return mean_loss(losses)

    def _inputs(self, parameters: Parameters) -> Parameters:
        return {
            f"p{place}": parameters[one.name] for place, one in enumerate(self._program.parameters)
        }

    def _check_model(self, parameters: Parameters) -> None:
        """Refuse a model with other tensors than the program's.

        Raises:
            ProgramError: Which one it is.
        """
        for name in self._shapes.keys() | parameters.keys():
            has = parameters[name].shape if name in parameters else None
            if has != self._shapes.get(name):
                raise ProgramError(
                    f"the training program has {name!r} as {self._shapes.get(name)}, the model "
                    f"here as {has}; is it of another run?"
                )

    def _check_plan(self, planned: tuple[int, ...], proximal_mu: float) -> None:
        """Refuse a program that trains other blocks, or lacks the proximal term.

        Raises:
            ProgramError: So it is.
        """
        trained = {one.name for one in self._program.parameters if one.changes}
        own = {
            number
            for number, block in enumerate(self.layout.blocks)
            if trained.intersection(block.tensors)
        }
        if own != set(planned):
            raise ProgramError(
                f"the training program trains blocks {sorted(own)}, the plan of this round names "
                f"{sorted(planned)}; is it of another round?"
            )
        if proximal_mu and not self._program.proximal:
            raise ProgramError("the training program has no proximal term, but the strategy has")

    def _check_subspace(self, subspace: Subspace | None) -> None:
        """Refuse a program that moves other coordinates, or weights where there should be some.

        Raises:
            ProgramError: So it is.
        """
        program = self._program
        if bool(program.coordinates) != (subspace is not None):
            moves, asked = "every weight by itself", "within a subspace"
            if subspace is None:
                moves, asked = "within a subspace", "without one"
            raise ProgramError(
                f"the training program trains {moves}, this round {asked}; is it of another run?"
            )
        if subspace is None:
            return
        for one, count in zip(program.trained, program.coordinates, strict=True):
            asked_shape = subspace.shapes.get(one.name)
            asked_count = subspace.counts.get(one.name, 0)
            if (asked_shape, asked_count) != (one.shape, count):
                raise ProgramError(
                    f"the training program has {count} coordinates for {one.name!r} of shape "
                    f"{one.shape}, the subspace here {asked_count} for {asked_shape}; is it of "
                    "another run?"
                )

    def _targets(self, examples: Examples) -> TargetArray:
        """Return the targets in the program's numbers, once rows and targets are known to fit it.

        Raises:
            ProgramError: Rows or targets of another shape, or a class that the model does not have.
        """
        program, classes = self._program, self._program.classes
        if examples.x.shape[1:] != program.input_shape:
            raise ProgramError(
                f"rows have shape {examples.x.shape[1:]}, the training program takes "
                f"{program.input_shape}; is it the same task?"
            )
        if examples.y.shape[1:] != program.target_shape:
            raise ProgramError(
                f"targets have shape {examples.y.shape[1:]}, the training program takes "
                f"{program.target_shape}; is it the same task?"
            )
        if classes and not np.issubdtype(examples.y.dtype, np.integer):
            raise ProgramError(
                f"targets are {examples.y.dtype}, the training program takes class numbers; is it "
                "the same task?"
            )
        if classes and not 0 <= examples.y.min() <= examples.y.max() < classes:
            raise ProgramError(
                f"classes go from {examples.y.min()} to {examples.y.max()}, the model has 0 to "
                f"{classes - 1}; is it the same task?"
            )
        return examples.y.astype(self._bound.y.dtype, copy=False)


def _counted(right: float, rows: int) -> int:
    """Return how many rows of a batch are right, as a program says.

    Raises:
        ProgramError: No such number can be: it might say anything else about the rows.
    """
    if not 0 <= right <= rows:  # NaN too
        raise ProgramError(f"the training program finds {right:g} of {rows} rows right")
    return round(right)


def _empty(shapes: dict[str, tuple[int, ...]]) -> Parameters:
    """Return tensors of these shapes that take no memory."""
    return {
        name: np.broadcast_to(np.float32(0), shape)  # only the shape is looked at
        for name, shape in shapes.items()
    }
