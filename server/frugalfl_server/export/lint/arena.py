"""Which layer decides the arena, estimated from the sizes of the tensors that are alive at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from frugalfl_server.export.lint.subject import Finding, Subject
from frugalfl_server.export.record_calls import TracedCall

if TYPE_CHECKING:
    import torch

#: Smaller peaks are not worth a line.
LEAST_BYTES = 8192
#: The peak must be so many times what the rest of the model needs.
TIMES_THE_REST = 2
_FREE = """
relu relu6 hardtanh clamp batch_norm dropout dropout1d dropout2d flatten view reshape squeeze
unsqueeze contiguous detach
"""
#: Functions that become part of the operator in front, or cost no memory of their own.
FREE = frozenset(_FREE.split())


def peak(model: Subject) -> Iterator[Finding]:
    """Find the one layer that needs far more memory than all others."""
    calls = [one for one in model.trace.calls if one.computes]
    needs = list(_bytes_alive(model, calls))
    if not needs:
        return
    most = max(range(len(calls)), key=lambda step: sum(needs[step].values()))
    top, largest = sum(needs[most].values()), max(needs[most], key=needs[most].__getitem__)
    rest = max((sum(one.values()) for one in needs if largest not in one), default=0)
    if top >= max(LEAST_BYTES, TIMES_THE_REST * rest):
        yield Finding(calls[most], f"{top:,} B of activations at once, the rest {rest:,} B")


def _bytes_alive(model: Subject, calls: list[TracedCall]) -> Iterator[dict[int, int]]:
    """Yield, for each call, the int8 bytes of every tensor that must be there meanwhile."""
    weights = {id(one) for one in [*model.module.parameters(), *model.module.buffers()]}
    root: dict[int, int] = {}
    size: dict[int, int] = {}
    born: dict[int, int] = {}
    dies: dict[int, int] = {}

    def note(tensor: torch.Tensor, step: int, like: int | None = None) -> None:
        if id(tensor) not in root:
            root[id(tensor)] = id(tensor) if like is None else root[like]
        name = root[id(tensor)]
        size.setdefault(name, tensor.numel())
        born.setdefault(name, step)
        dies[name] = step

    note(model.trace.input, 0)
    for step, call in enumerate(calls):
        read = [one for one in call.tensors if id(one) not in weights]
        for one in read:
            note(one, step)
        free = call.name.strip("_") in FREE and read
        for made in _output_bytes(call):
            note(made, step, id(read[0]) if free else None)
    for step in range(len(calls)):
        yield {name: size[name] for name in size if born[name] <= step <= dies[name]}


def _output_bytes(call: TracedCall) -> list[Any]:
    import torch

    outputs = call.output if isinstance(call.output, tuple | list) else [call.output]
    return [one for one in outputs if isinstance(one, torch.Tensor)]
