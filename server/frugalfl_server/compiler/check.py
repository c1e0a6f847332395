"""The proof that a training program does what PyTorch does, before any device gets it.

One step is made of random rows, the last of which is padding, in LiteRT and in PyTorch itself: its
autograd, its batch norm, its optimiser. The step size is so large that the parameters after it
are, but for rounding, the gradients. What each tensor differs by is put in relation to the largest
change of any parameter: a bias in front of a batch norm has a gradient of zero, which two orders of
summation round differently.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from frugalfl.errors import ExportError
from frugalfl.modules import read_parameters
from frugalfl.program import Program
from frugalfl.task import Loss
from frugalfl_server.compiler.optimizers import Adam, Optimizer, Sgd
from frugalfl_server.compiler.plan import plan_of
from frugalfl_server.compiler.runner import Array, Runner

if TYPE_CHECKING:
    import torch

#: A program that is farther from PyTorch is not shipped.
LIMIT = 1e-5
_LEARNING_RATE = 1024.0
_PROXIMAL_MU = 0.125
#: Adam's step divides by the root of this: by that of a first gradient it would double errors.
_SQUARE = 0.25
_STEPS_BEFORE = 5
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Check:
    """How far one step of a program is from PyTorch's.

    Attributes:
        loss: Difference of the losses, relative to PyTorch's.
        tensors: Largest difference in each tensor that changes, by name, relative to the largest
            change of any parameter; of a running statistic, relative to its own largest value.
    """

    loss: float
    tensors: dict[str, float]

    @property
    def worst(self) -> float:
        """The largest of them all."""
        return max(self.loss, *self.tensors.values())


def check_program(
    program: Program,
    module: torch.nn.Module,
    *,
    loss: str | Loss,
    optimizer: Optimizer,
    planned: Sequence[str],
    seed: int = 0,
) -> Check:
    """Compare one step of a program with PyTorch's.

    Args:
        program: As compiled from the rest.
        module: With the weights to compare at; left as it was.
        loss: As of :func:`~frugalfl_server.compiler.compile_program`.
        optimizer: Likewise.
        planned: Likewise.
        seed: Of the rows, of dropout and of the distance to the global model.

    Raises:
        ExportError: They differ by more than :data:`LIMIT`; the tensor is in the message.
    """
    given = [example_step(program, module, optimizer, seed + i) for i in range(optimizer.accumulate)]
    runner = Runner(program.model)
    found: dict[str, Array] = {}
    for inputs in given:
        found = runner.run("train", inputs | found_state(found))
    before, learnt = read_parameters(module), dict(module.named_parameters())
    after, expected = reference_step(program, module, loss, optimizer, planned, given)
    changes = {f"p{i}": one.name for i, one in enumerate(program.parameters) if one.changes}
    moves = [np.abs(after[name] - before[name]) for name in changes.values() if name in learnt]
    largest = max(float(move.max()) for move in moves)
    errors = {}
    for number, name in changes.items():
        scale = largest if name in learnt else float(np.abs(after[name]).max())
        difference = float(np.abs(found[number] - after[name]).max())
        errors[name] = difference / max(scale, _TINY)
    check = Check(abs(float(found["loss"]) - expected) / max(abs(expected), _TINY), errors)
    if not all(error <= LIMIT for error in (check.loss, *errors.values())):  # NaN fails too
        name = max(errors, key=lambda one: np.nan_to_num(errors[one], nan=np.inf))
        raise ExportError(
            f"the training program differs from PyTorch by {errors[name]:.1e} of the largest "
            f"change, in {name}, and by {check.loss:.1e} in the loss; at most {LIMIT:.0e} may be "
            "shipped"
        )
    return check


def found_state(found: dict[str, Array]) -> dict[str, Array]:
    """Return what the next step takes over from the outputs of the last."""
    return {name: value for name, value in found.items() if name != "loss"}


def example_step(
    program: Program, module: torch.nn.Module, optimizer: Optimizer, seed: int
) -> dict[str, Array]:
    """Return random inputs of ``train`` at a module's weights, the last row of which is padding."""
    import torch

    rng = np.random.default_rng(seed)
    x = rng.standard_normal((program.batch, *program.input_shape), np.float32)
    parameters = read_parameters(module)
    given: dict[str, Array] = {f"p{i}": parameters[t.name] for i, t in enumerate(program.parameters)}
    if program.target_shape:
        y = rng.random((program.batch, *program.target_shape), np.float32)
    else:
        with torch.no_grad():
            classes = copy.deepcopy(module).eval()(torch.from_numpy(x)).shape[1]
        y = rng.integers(0, classes, program.batch, np.int32)
    w = np.ones(program.batch, np.float32)
    w[max(1, program.batch - 1) :] = 0
    given |= {"x": x, "y": y, "w": w, "learning_rate": np.float32(_LEARNING_RATE)}
    given |= {f"s{i}": _state(one.name, one.shape, optimizer) for i, one in enumerate(program.state)}
    for i, mask in enumerate(program.masks):
        kept = rng.random(mask.shape) >= mask.drop
        given[f"m{i}"] = (kept / (1 - mask.drop)).astype(np.float32)
    if program.proximal:
        given["proximal_mu"] = np.float32(_PROXIMAL_MU)
        trained = [parameters[name] for name in _trained(program, module)]
        given |= {
            f"g{i}": one + rng.standard_normal(one.shape, np.float32) / 8
            for i, one in enumerate(trained)
        }
    return given


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
                whole += part * int(rows.sum())
        seen += int(rows.sum())
    for one, whole in zip(trained, total, strict=True):
        one.grad = whole / seen
    _move(trained, given[0], optimizer)
    return read_parameters(model), value.item()


def _move(trained: list[Any], given: dict[str, Array], optimizer: Optimizer) -> None:
    import torch

    if optimizer.clip_norm:
        torch.nn.utils.clip_grad_norm_(trained, optimizer.clip_norm)
    if optimizer.proximal:
        for i, one in enumerate(trained):
            distance = one.detach() - torch.from_numpy(given[f"g{i}"])
            one.grad.add_(distance, alpha=float(given["proximal_mu"]))
    rule = _rule(optimizer)(trained, lr=float(given["learning_rate"]))
    if isinstance(optimizer, Adam):
        for one in trained:
            rule.state[one] = {
                "step": torch.tensor(float(_STEPS_BEFORE)),
                "exp_avg": torch.zeros_like(one),
                "exp_avg_sq": torch.full_like(one, _SQUARE),
            }
    rule.step()


def _rule(optimizer: Optimizer) -> Callable[..., Any]:
    """Return PyTorch's own optimiser with these constants."""
    import functools

    import torch

    decay = {"weight_decay": optimizer.weight_decay}
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
            options = {**dict(zip(("input", "p", "training"), args, strict=False)), **(kwargs or {})}
            if options.get("training", True) and options.get("p", 0.5):
                return options["input"] * next(left)
            return options["input"]

    return Dropping()
