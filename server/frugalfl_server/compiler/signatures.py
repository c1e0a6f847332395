"""The four signatures of a training program as functions of tensors, ready to be traced.

Tensors have the names of :mod:`frugalfl.program`: ``x``, ``p0`` ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from frugalfl.activation_ranges import recorder_class, single_operators
from frugalfl_server.compiler.backward.steps import above_zero, one_hot
from frugalfl_server.compiler.layers import Training
from frugalfl_server.compiler.optimizers import clipped
from frugalfl_server.compiler.plan import Plan, example_targets
from frugalfl_server.compiler.spaces import SignedSpace, Space, WholeSpace

if TYPE_CHECKING:
    import torch

Tensors = dict[str, "torch.Tensor"]


def functions(plan: Plan) -> dict[str, tuple[Callable[[Tensors], Tensors], Tensors]]:
    """Return every signature's function, with example inputs in their order."""
    import torch

    state = plan.module.state_dict()
    parameters = {f"p{i}": state[name].detach() for i, name in enumerate(plan.shapes)}
    generator = torch.Generator().manual_seed(0)
    x = {"x": torch.rand(plan.batch, *plan.input_shape, generator=generator)}
    outputs = plan.evaluating(x["x"])
    y = {"y": example_targets(outputs, plan.batch, plan.target_shape)}
    w = {"w": torch.ones(plan.batch)}
    train = x | y | {"learning_rate": torch.tensor(0.1)}
    if plan.optimizer.proximal:
        train["proximal_mu"] = torch.tensor(0.1)
    train |= w | parameters
    if plan.optimizer.proximal:
        train |= {f"g{i}": state[name].detach() for i, name in enumerate(plan.trained)}
    train |= {f"s{i}": torch.zeros(shape) for i, shape in enumerate(plan.state.values())}
    train |= {f"m{i}": torch.ones(mask.shape) for i, mask in enumerate(plan.masks)}
    train |= {f"q{i}": torch.ones(shape) for i, shape in enumerate(plan.signs)}
    return {
        "train": (lambda given: _train(plan, given), train),
        "evaluate": (lambda given: _evaluate(plan, given), x | y | w | parameters),
        "predict": (lambda given: _predict(plan, given), x | parameters),
        "calibrate": (lambda given: _calibrate(plan, given), x | parameters),
    }


def _train(plan: Plan, given: Tensors) -> Tensors:
    from torch.func import functional_call, grad_and_value

    parameters = _named(plan, given)
    masks = [given[f"m{i}"] for i in range(len(plan.masks))]

    def loss_of(trained: Tensors) -> tuple[torch.Tensor, Tensors]:
        training = Training(given["w"], parameters, masks)
        with training.mode():
            outputs = functional_call(plan.module, parameters | trained, (given["x"],))
        return plan.loss(outputs, given["y"], given["w"]), training.statistics

    trained = {name: parameters[name] for name in plan.trained}
    gradients, (loss, statistics) = grad_and_value(loss_of, has_aux=True)(trained)
    state = {name: given[f"s{i}"] for i, name in enumerate(plan.state)}
    after, kept = _moved(plan, given, trained, gradients, state)
    after |= statistics
    numbers = {name: i for i, name in enumerate(plan.shapes)}
    return (
        {"loss": loss}
        | {f"p{numbers[name]}": after[name] for name in plan.shapes if name in after}
        | {f"s{i}": kept[name] for i, name in enumerate(plan.state)}
    )


def _moved(
    plan: Plan, given: Tensors, trained: Tensors, gradients: Tensors, state: Tensors
) -> tuple[Tensors, Tensors]:
    """One step of the optimiser, or of every few batches the one."""
    rule, space = plan.optimizer, _space(plan, given)
    if rule.accumulate == 1:
        gradients = _whole(plan, given, trained, gradients)
        return rule.moved(trained, gradients, state, given["learning_rate"], space)
    rows, batches = state["rows"] + given["w"].sum(), state["batches"] + 1
    total = {
        name: state[f"gradient.{name}"] + gradient * given["w"].sum()
        for name, gradient in gradients.items()
    }
    mean = {name: one / rows for name, one in total.items()}
    moved, kept = rule.moved(
        trained, _whole(plan, given, trained, mean), state, given["learning_rate"], space
    )
    full = above_zero(batches - (rule.accumulate - 0.5))
    kept = {name: state[name] + full * (new - state[name]) for name, new in kept.items()}
    kept |= {"rows": rows * (1 - full), "batches": batches * (1 - full)}
    kept |= {f"gradient.{name}": one * (1 - full) for name, one in total.items()}
    return {name: old + full * (moved[name] - old) for name, old in trained.items()}, kept


def _space(plan: Plan, given: Tensors) -> Space:
    if not plan.coordinates:
        return WholeSpace()
    return SignedSpace({name: given[f"q{i}"] for i, name in enumerate(plan.coordinates)})


def _whole(plan: Plan, given: Tensors, trained: Tensors, gradients: Tensors) -> Tensors:
    """Clip the gradients, and add FedProx's term."""
    if plan.optimizer.clip_norm:
        gradients = clipped(gradients, plan.optimizer.clip_norm)
    if plan.optimizer.proximal:
        gradients = {
            name: gradients[name] + given["proximal_mu"] * (trained[name] - given[f"g{i}"])
            for i, name in enumerate(plan.trained)
        }
    return gradients


def _evaluate(plan: Plan, given: Tensors) -> Tensors:
    outputs = _outputs(plan, given)
    loss = plan.loss(outputs, given["y"], given["w"])
    if plan.target_shape:
        return {"loss": loss, "right": given["w"].sum() * 0}
    chosen = one_hot(outputs.argmax(1), outputs.shape[1])
    right = (chosen * one_hot(given["y"], outputs.shape[1])).sum(1)
    return {"loss": loss, "right": (right * given["w"]).sum()}


def _predict(plan: Plan, given: Tensors) -> Tensors:
    return {"outputs": _outputs(plan, given)}


def _outputs(plan: Plan, given: Tensors) -> torch.Tensor:
    import torch
    from torch.func import functional_call

    parameters = _named(plan, given)
    with Training(torch.ones(plan.batch), parameters).mode():
        outputs: torch.Tensor = functional_call(plan.evaluating, parameters, (given["x"],))
    return outputs


def _calibrate(plan: Plan, given: Tensors) -> Tensors:
    import torch
    from torch.func import functional_call

    class Traced(recorder_class()):  # type: ignore[misc]
        def note(self, tensor: Any) -> None:
            self.ranges.append((tensor.amin(), tensor.amax()))

    recorder = Traced()
    recorder.note(given["x"])
    with torch.no_grad(), single_operators(plan.evaluating), recorder:
        functional_call(plan.evaluating, _named(plan, given), (given["x"],))
    zeros = torch.zeros(len(recorder.ranges))
    low = torch.minimum(torch.stack([low for low, _ in recorder.ranges]), zeros)
    high = torch.maximum(torch.stack([high for _, high in recorder.ranges]), zeros)
    return {"ranges": torch.stack([low, high], 1)}


def _named(plan: Plan, given: Tensors) -> Tensors:
    return {name: given[f"p{i}"] for i, name in enumerate(plan.shapes)}
