"""What rules look at: a module, what it did with one row, and what the conversion makes of it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frugalfl_server.export.as_2d import as_2d
from frugalfl_server.export.batch_norm import fold_batch_norms
from frugalfl_server.export.record_calls import Trace, TracedCall, trace

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Finding:
    """A place that a rule speaks about.

    Attributes:
        call: What the author's code calls there.
        detail: Filled into the rule's text, as ``{detail}``.
    """

    call: TracedCall
    detail: str = ""


@dataclass(frozen=True)
class Subject:
    """A model under inspection.

    Attributes:
        module: A copy of the author's, in evaluation mode.
        trace: What it did with one row.
        converted: The same as the converter gets it, with what could be rewritten.
        is_series: Whether 1-D convolutions are left in that.
    """

    module: torch.nn.Module
    trace: Trace
    converted: torch.nn.Module
    is_series: bool

    def calls(self, names: Iterable[str]) -> Iterator[TracedCall]:
        """Yield the calls of functions with these names."""
        wanted = frozenset(names)
        return (call for call in self.trace.calls if call.name.strip("_") in wanted)

    def reads_input(self, call: TracedCall) -> bool:
        """Say whether a call is handed the model's own input."""
        return any(one is self.trace.input for one in call.tensors)

    def is_output(self, call: TracedCall) -> bool:
        """Say whether a call makes the model's output."""
        return call.output is self.trace.output

    def parameters_of(self, call: TracedCall) -> list[torch.Tensor]:
        """Return the trained tensors that a call reads."""
        known = {id(one) for one in self.module.parameters()}
        return [one for one in call.tensors if id(one) in known]


def subject_of(module: torch.nn.Module, input_shape: tuple[int, ...]) -> Subject:
    """Run a copy of the module on one row.

    Raises:
        ExportError: It does not run.
    """
    import torch

    plain = copy.deepcopy(module).cpu().float().eval()
    example = torch.rand(1, *input_shape, generator=torch.Generator().manual_seed(0))
    seen = trace(plain, example)
    twin = as_2d(plain, example)
    row = example if twin is None else example[..., None]
    converted = fold_batch_norms(plain if twin is None else twin, row)
    return Subject(plain, seen, converted, any(map(_is_series, converted.modules())))


def _is_series(layer: Any) -> bool:
    from torch import nn

    return isinstance(layer, nn.Conv1d | nn.ConvTranspose1d)
