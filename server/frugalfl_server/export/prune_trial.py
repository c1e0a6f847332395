"""Try a cut before it is made: is the smaller model rebuilt, does it run, and are its channels one.

Channels may only go if they are interchangeable: the same numbers in other channels of the group
must give the same outputs. A layer that looks at channels by their place (heads, chunks, a shuffle,
norms over some of them) shows there, whatever it is called, and so do indices that were matched
wrongly. No kind of layer is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from frugalfl.blocks import FloatArray, Parameters, Shape
from frugalfl.errors import ExportError
from frugalfl.kept import Indices, Kept, take
from frugalfl.modules import read_parameters, write_parameters
from frugalfl.resize import resize
from frugalfl_server.export.explain_error import explain_errors
from frugalfl_server.export.kept_entries import shapes_left

if TYPE_CHECKING:
    import torch

#: Rows that a trial runs on: with more than one, a layer that mixes rows cannot pass.
_ROWS = 2
#: Largest difference between outputs that are the same but for rounding, as a share of the largest.
_ROUNDING = 1e-4


class Trial:
    """A model with weights drawn for the purpose, and what its cuts are held against."""

    def __init__(self, build: Callable[[], torch.nn.Module], example_input: torch.Tensor) -> None:
        """Build the whole model and run it.

        Args:
            build: Makes the module anew, as whoever gets the pruned weights will.
            example_input: At least one row.

        Raises:
            ExportError: It does not run.
        """
        self._build = build
        self._module = build().eval()
        self._rows = example_input.repeat(_ROWS, *[1] * (example_input.ndim - 1))[:_ROWS]
        own = read_parameters(self._module)
        self.shapes = shapes_of(own)
        with explain_errors(
            f"{type(self._module).__name__} cannot be pruned", "it has to run on a row"
        ):
            self.weights = self._drawn(own)
            write_parameters(self._module, self.weights)
            outputs = self._outputs(self._module)
        self._shape = outputs.shape
        if not np.isfinite(outputs).all():
            self.weights = own

    def check(
        self,
        cuts: Sequence[Kept],
        more: Iterable[Kept],
        silent: Iterable[Kept],
        twins: Callable[[], tuple[Kept, Parameters, Parameters]],
    ) -> None:
        """Check that cuts leave a model that can be rebuilt and computes what it should.

        Args:
            cuts: What stays of each tensor; each takes as many channels of each group, but others.
            more: Such cuts too, tried if the smaller model differs: that may be a layer that
                averages over channels, or channels that are mixed up and did not meet in ``cuts``.
            silent: For each group, what stays without any of its channels: they must matter.
            twins: A cut, and weights of both models that agree on averages.

        Raises:
            ExportError: It does not; the message says how.
            TaskError: It cannot be rebuilt.
        """
        small = take(self.weights, cuts[0])
        if any(shapes_left(one, self.shapes) != shapes_of(small) for one in cuts):
            raise ExportError("how many channels go depends on which")
        outputs = self._prune(small)
        whole = [self._with(small, one) for one in cuts]
        if all(_agree(outputs, one) for one in whole):
            return
        whole += [self._with(small, one) for one in more]
        mute = [self._with(small, cuts[0], one) for one in silent]
        if not all(_agree(whole[0], one) for one in whole) or any(
            _agree(whole[0], one) for one in mute
        ):
            raise ExportError("its channels are told apart by their places")
        _, small, alike = twins()
        write_parameters(self._module, alike)
        if not _agree(self._outputs(self._module), self._prune(small)):
            raise ExportError("what is left of it computes something else")

    def _prune(self, small: Parameters) -> FloatArray:
        """Return the outputs of the smaller model, rebuilt as the run will."""
        pruned = resize(self._build(), shapes_of(small)).eval()
        write_parameters(pruned, small)
        with explain_errors("without some channels it does not run"):
            outputs = self._outputs(pruned)
        if outputs.shape != self._shape or not np.isfinite(outputs).all():
            raise ExportError("without some channels its outputs are others")
        return outputs

    def _with(self, small: Parameters, kept: Kept, but: Kept | None = None) -> FloatArray:
        """Return the whole model's outputs with these weights in some channels, the rest zero.

        Args:
            small: Weights of the smaller model.
            kept: Where they belong.
            but: Where they may stay, for some tensors; all else of those is zero.
        """
        whole = {name: np.zeros(shape, np.float32) for name, shape in self.shapes.items()}
        for name, array in small.items():
            whole[name][_places(kept[name], self.shapes[name])] = array
        for name, lists in (but or {}).items():
            shape = self.shapes[name]
            stays = np.zeros(shape, np.float32)
            stays[_places(lists, shape)] = 1
            whole[name] *= stays
        write_parameters(self._module, whole)
        return self._outputs(self._module)

    def _drawn(self, own: Parameters) -> Parameters:
        """Return weights at which every channel matters; buffers stay as they are."""
        trained = {name for name, _ in self._module.named_parameters()}
        chance = np.random.default_rng(0)
        return {
            name: _draw(chance, array.shape) if name in trained else array
            for name, array in own.items()
        }

    def _outputs(self, module: torch.nn.Module) -> FloatArray:
        import torch

        with torch.no_grad():
            outputs: FloatArray = module(self._rows).numpy()
        return outputs


def shapes_of(parameters: Parameters) -> dict[str, Shape]:
    """Return the shape of each tensor."""
    return {name: array.shape for name, array in parameters.items()}


def _places(lists: Sequence[Indices | None], shape: Shape) -> Any:
    """Return what numpy takes for the entries at these lists; a number has no axes."""
    found = (np.arange(n) if one is None else one for one, n in zip(lists, shape, strict=True))
    return np.ix_(*found) if shape else ...


def _draw(chance: np.random.Generator, shape: Shape) -> FloatArray:
    """Draw weights that keep the size of what passes (He et al. 2015); norms and biases above 0."""
    if len(shape) < 2:
        return chance.uniform(0.5, 1.5, shape).astype(np.float32)
    scale = (2 / np.prod(shape[1:])) ** 0.5
    return (chance.standard_normal(shape) * scale).astype(np.float32)


def _agree(one: FloatArray, other: FloatArray) -> bool:
    scale = max(np.abs(one).max(initial=0), np.abs(other).max(initial=0))
    return bool(np.isfinite(scale) and np.abs(one - other).max(initial=0) <= _ROUNDING * scale)
