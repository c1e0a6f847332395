"""One step of a training program, and the same step made by PyTorch itself."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from frugalfl.errors import ExportError
from frugalfl.modules import read_parameters
from frugalfl.program import Program
from frugalfl.task import Loss
from frugalfl_server.compiler.optimizers import Adam, Optimizer, Sgd
from frugalfl_server.compiler.plan import plan_of
from frugalfl_server.compiler.reference_subspace import draw_signs, followed, move_coordinates
from frugalfl_server.compiler.runner import Array

if TYPE_CHECKING:
    import torch

_LEARNING_RATE = 1024.0
_PROXIMAL_MU = 0.125
#: Adam's step divides by the root of this: by that of a first gradient it would double errors.
_SQUARE = 0.25
_STEPS_BEFORE = 5


def example_step(
    program: Program, module: torch.nn.Module, optimizer: Optimizer, seed: int
) -> dict[str, Array]:
    """Return random inputs of ``train`` at a module's weights, the last row of which is padding."""
    import torch

    rng = np.random.default_rng(seed)
    x = rng.standard_normal((program.batch, *program.input_shape), np.float32)
    parameters = read_parameters(module)
    given: dict[str, Array] = {
        f"p{i}": parameters[t.name] for i, t in enumerate(program.parameters)
    }
    if program.target_shape:
        y = rng.random((program.batch, *program.target_shape), np.float32)
    else:
        with torch.no_grad():
            outputs = copy.deepcopy(module).eval()(torch.from_numpy(x)).numpy()
        # Never the class that the model is sure of: that gradient would be rounding and no more.
        classes = outputs.shape[1]
        others = rng.integers(1, max(classes, 2), program.batch)
        y = ((outputs.argmax(1) + others) % classes).astype(np.int32)
    w = np.ones(program.batch, np.float32)
    w[max(1, program.batch - 1) :] = 0
    given |= {"x": x, "y": y, "w": w, "learning_rate": np.array(_LEARNING_RATE, np.float32)}
    given |= {
        f"s{i}": _state(one.name, one.shape, optimizer) for i, one in enumerate(program.state)
    }
    for i, mask in enumerate(program.masks):
        kept = rng.random(mask.shape) >= mask.drop
        given[f"m{i}"] = (kept / (1 - mask.drop)).astype(np.float32)
    if program.proximal:
        given["proximal_mu"] = np.array(_PROXIMAL_MU, np.float32)
        trained = [parameters[name] for name in _trained(program, module)]
        given |= {
            f"g{i}": one + rng.standard_normal(one.shape, np.float32) / 8
            for i, one in enumerate(trained)
        }
    return given | draw_signs(program, rng)


def reference_step(
    program: Program,
    module: torch.nn.Module,
    loss: str | Loss,
    optimizer: Optimizer,
    planned: Sequence[str],
    given: Sequence[dict[str, Array]],
) -> tuple[dict[str, Array], float]:
    """Make the same step in PyTorch, of one batch or of several that are accumulated.

    Returns:
        The model's tensors after it by name, and the loss of the last batch.
    """
    import torch

    plan = plan_of(
        module, loss=loss, optimizer=optimizer, planned=planned, batch=program.batch,
        input_shape=program.input_shape, target_shape=program.target_shape,
    )  # fmt: skip
    model = plan.module
    compute = torch.nn.functional.cross_entropy if isinstance(loss, str) else loss
    parameters = dict(model.named_parameters())
    trained = [parameters[name] for name in plan.trained]
    total = [torch.zeros_like(one) for one in trained]
    seen, value = 0, torch.zeros(())
    for inputs in given:
        rows = inputs["w"] > 0
        masks = [torch.from_numpy(inputs[f"m{i}"][rows]) for i in range(len(program.masks))]
        y = torch.from_numpy(inputs["y"][rows])
        with _dropping(masks):
            outputs = model(torch.from_numpy(inputs["x"][rows]))
        value = compute(outputs, y if program.target_shape else y.long())
        gradients = torch.autograd.grad(value, trained, allow_unused=True)
        for whole, part in zip(total, gradients, strict=True):
            if part is not None:
                whole.add_(part, alpha=int(rows.sum()))
        seen += int(rows.sum())
    for one, whole in zip(trained, total, strict=True):
        one.grad = whole / seen
    _move(trained, given[-1], optimizer, program.coordinates)
    return read_parameters(model), value.item()


def _move(
    trained: list[Any], given: dict[str, Array], optimizer: Optimizer, coordinates: Sequence[int]
) -> None:
    import torch

    if optimizer.clip_norm:
        torch.nn.utils.clip_grad_norm_(trained, optimizer.clip_norm)
    if optimizer.proximal:
        for i, one in enumerate(trained):
            distance = one.detach() - torch.from_numpy(given[f"g{i}"])
            one.grad.add_(distance, alpha=float(given["proximal_mu"]))
    rate = float(given["learning_rate"])
    if coordinates:
        move_coordinates(
            followed(trained, coordinates, given), optimizer,
            lambda moved: _begun(replace(optimizer, weight_decay=0.0), moved, rate), rate,
        )  # fmt: skip
    else:
        _begun(optimizer, trained, rate).step()


def _begun(optimizer: Optimizer, moved: Sequence[torch.Tensor], rate: float) -> Any:
    """Return PyTorch's own optimiser as it is after some steps."""
    import torch

    rule = _rule(optimizer)(moved, lr=rate)
    if isinstance(optimizer, Adam):
        for one in moved:
            rule.state[one] = {
                "step": torch.tensor(float(_STEPS_BEFORE)),
                "exp_avg": torch.zeros_like(one),
                "exp_avg_sq": torch.full_like(one, _SQUARE),
            }
    return rule


def _rule(optimizer: Optimizer) -> Callable[..., Any]:
    """Return PyTorch's own optimiser with these constants."""
    import torch

    decay: dict[str, Any] = {"weight_decay": optimizer.weight_decay}
    if isinstance(optimizer, Sgd):
        return functools.partial(
            torch.optim.SGD, momentum=optimizer.momentum, nesterov=optimizer.nesterov, **decay
        )
    if isinstance(optimizer, Adam):
        kind = torch.optim.AdamW if optimizer.decoupled else torch.optim.Adam
        return functools.partial(kind, betas=optimizer.betas, eps=optimizer.eps, **decay)
    raise ExportError(f"no optimiser of PyTorch to check {type(optimizer).__name__} against")


def _state(name: str, shape: tuple[int, ...], optimizer: Optimizer) -> Array:
    """Return a state tensor as it is after some steps whose gradients were known."""
    value = 0.0
    if isinstance(optimizer, Adam):
        kept = dict(zip(("weight.mean", "weight.square"), optimizer.betas, strict=True))
        if name in kept:
            value = 1 - kept[name] ** _STEPS_BEFORE
        elif name.startswith("square."):
            value = _SQUARE
    return np.full(shape, value, np.float32)


def _trained(program: Program, module: torch.nn.Module) -> list[str]:
    learnt = dict(module.named_parameters())
    return [one.name for one in program.parameters if one.changes and one.name in learnt]


def _dropping(masks: Sequence[torch.Tensor]) -> Any:
    """Return a mode in which dropout multiplies with the next of these masks."""
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    left = iter(masks)
    drops = {functional.dropout, functional.dropout1d, functional.dropout2d}

    class Dropping(TorchFunctionMode):
        def __torch_function__(
            self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func not in drops:
                return func(*args, **(kwargs or {}))
            options = {
                **dict(zip(("input", "p", "training"), args, strict=False)),
                **(kwargs or {}),
            }
            if options.get("training", True) and options.get("p", 0.5):
                return options["input"] * next(left)
            return options["input"]

    return Dropping()
