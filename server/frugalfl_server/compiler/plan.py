"""What is to be compiled, checked: which tensors train, which only change, which stay."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from frugalfl.blocks import Layout, Parameters, Shape
from frugalfl.errors import ExportError, FrugalFLError, TaskError
from frugalfl.modules import read_parameters
from frugalfl.program import Mask, signs_shape
from frugalfl.task import Loss
from frugalfl_server.compiler.layers import Training
from frugalfl_server.compiler.losses import WeightedLoss, weighted
from frugalfl_server.compiler.optimizers import Optimizer
from frugalfl_server.export.record_calls import line_of

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Plan:
    """A model, and how it is trained.

    Attributes:
        module: In training mode, but for the layers that no planned tensor is in.
        evaluating: The same in evaluation mode.
        shapes: Of every parameter and running statistic, by name, in the order of the model.
        trained: Names of the parameters that get gradients.
        statistics: Names of the running statistics that training updates.
        masks: Of dropout, in the order of use.
        loss: With row weights.
        optimizer: The rule.
        batch: Rows.
        input_shape: Of a row of inputs.
        target_shape: Of a row of targets; empty for a class number.
        classes: How many there are; 0 where targets are values.
        coordinates: How many each trained tensor has, in their order; empty: weights move freely.
    """

    module: torch.nn.Module
    evaluating: torch.nn.Module
    shapes: dict[str, Shape]
    trained: tuple[str, ...]
    statistics: tuple[str, ...]
    masks: tuple[Mask, ...]
    loss: WeightedLoss
    optimizer: Optimizer
    batch: int
    input_shape: Shape
    target_shape: Shape
    classes: int
    coordinates: dict[str, int]

    @property
    def signs(self) -> list[Shape]:
        """Shapes of the trained tensors' signs; none if weights move freely."""
        return [signs_shape(self.shapes[name], count) for name, count in self.coordinates.items()]

    @property
    def state(self) -> dict[str, Shape]:
        """Name and shape of every tensor that training keeps besides the model."""
        shapes = {name: self.shapes[name] for name in self.trained}
        state = self.optimizer.state_of(
            shapes | {name: (count,) for name, count in self.coordinates.items()}
        )
        if self.optimizer.accumulate > 1:
            state |= {"batches": (), "rows": ()}
            state |= {f"gradient.{name}": shape for name, shape in shapes.items()}
        return state


def plan_of(
    module: torch.nn.Module,
    *,
    loss: str | Loss,
    optimizer: Optimizer,
    planned: Sequence[str],
    batch: int,
    input_shape: Shape,
    target_shape: Shape,
    coordinates: Mapping[str, int] | None = None,
) -> Plan:
    """Check and prepare; arguments as of :func:`~frugalfl_server.compiler.trace_training`.

    Raises:
        ExportError: Something of it cannot be compiled.
        TaskError: A tensor to train is not of the model.
    """
    import torch

    module = copy.deepcopy(module).cpu().float()
    parameters = read_parameters(module)
    _check_tensors(module, parameters, planned)
    _set_modes(module, Layout.of(parameters), set(planned))
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(batch, *input_shape, generator=generator)
    tensors = {name: torch.from_numpy(array) for name, array in parameters.items()}
    training = Training(torch.ones(batch), tensors)
    with torch.no_grad(), training.mode():
        outputs = _outputs(module, tensors, x)
    if not isinstance(outputs, torch.Tensor):
        raise ExportError(
            f"the model returns a {type(outputs).__name__}; a training program's returns one tensor"
        )
    targets = example_targets(outputs, batch, target_shape)
    trainable = {name for name, one in module.named_parameters() if one.requires_grad}
    trained = tuple(name for name in parameters if name in trainable and name in set(planned))
    return Plan(
        module=module,
        evaluating=copy.deepcopy(module).eval(),
        shapes={name: array.shape for name, array in parameters.items()},
        trained=trained,
        statistics=tuple(name for name in parameters if name in training.statistics),
        masks=tuple(Mask(*one) for one in training.needed),
        loss=weighted(loss, outputs, targets, padded=min(1, batch - 1)),
        optimizer=optimizer,
        batch=batch,
        input_shape=tuple(input_shape),
        target_shape=tuple(target_shape),
        classes=0 if target_shape or outputs.ndim < 2 else outputs.shape[1],
        coordinates={} if coordinates is None else _followed(trained, parameters, coordinates),
    )


def example_targets(outputs: torch.Tensor, batch: int, target_shape: Shape) -> torch.Tensor:
    """Return random targets: class numbers below the outputs' second axis, or values in [0, 1)."""
    import torch

    generator = torch.Generator().manual_seed(1)
    if target_shape:
        return torch.rand(batch, *target_shape, generator=generator)
    classes = outputs.shape[1] if outputs.ndim > 1 else 1
    return torch.randint(0, classes, (batch,), generator=generator, dtype=torch.int32)


def _outputs(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], x: torch.Tensor) -> Any:
    """Run the author's model.

    Raises:
        ExportError: It raised; its own words and line are in the message.
    """
    from torch.func import functional_call

    try:
        return functional_call(module, dict(tensors), (x,))
    except FrugalFLError:
        raise
    except Exception as error:
        line = line_of(error)
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(
            f"the model does not run on an input of shape {tuple(x.shape)}: "
            f"{type(error).__name__}: {reason}{f' ({line})' if line else ''}"
        ) from error


def _followed(
    trained: Sequence[str], parameters: Parameters, coordinates: Mapping[str, int]
) -> dict[str, int]:
    """Return how many coordinates each trained tensor has.

    Raises:
        ExportError: None, or more than entries.
    """
    for name in trained:
        count, size = coordinates.get(name, 0), prod(parameters[name].shape)
        if not 0 < count <= size:
            raise ExportError(
                f"{name} has {size} entries to train, which cannot follow {count} coordinates of "
                f"the subspace; give it 1 to {size}"
            )
    return {name: coordinates[name] for name in trained}


def _check_tensors(module: torch.nn.Module, parameters: Parameters, planned: Sequence[str]) -> None:
    import torch

    unknown = [name for name in planned if name not in parameters]
    if unknown or not planned:
        raise TaskError(
            f"the model has no tensor {unknown[0]!r} to train"
            if unknown
            else "the plan names no tensor to train"
        )
    for name, layer in module.named_modules():
        if not isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            continue
        if layer.momentum is None or not layer.track_running_stats:
            raise ExportError(
                f"{name} is a batch norm with momentum=None or without running statistics; "
                "use nn.BatchNorm2d(channels)"
            )
        layer.num_batches_tracked = None  # counts in place, and only for momentum=None


def _set_modes(module: torch.nn.Module, layout: Layout, planned: set[str]) -> None:
    """As the PyTorch trainer: frozen layers keep their running statistics."""
    module.train()
    frozen = {block.name for block in layout.blocks if not planned.intersection(block.tensors)}
    for name, layer in module.named_modules():
        if name in frozen:
            layer.training = False  # not eval(), which takes in the blocks inside of it
