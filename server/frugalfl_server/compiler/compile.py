"""From a module, a loss and an optimiser to a training program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from frugalfl.blocks import Shape
from frugalfl.program import Program, Tensor
from frugalfl.task import Loss
from frugalfl_server.compiler.convert import convert_signatures
from frugalfl_server.compiler.explain import check_operators, explained
from frugalfl_server.compiler.optimizers import Optimizer
from frugalfl_server.compiler.plan import Plan, plan_of
from frugalfl_server.compiler.program_key import key_of
from frugalfl_server.compiler.signatures import functions
from frugalfl_server.compiler.trace import traced

if TYPE_CHECKING:
    import torch

    from frugalfl_server.compiler.signatures import Tensors
    from frugalfl_server.compiler.trace import Signature

SIGNATURES = ("train", "evaluate", "predict", "calibrate")


@dataclass(frozen=True)
class TracedTraining:
    """The training of a model as graphs, which takes a second; converting them takes fifteen.

    Attributes:
        module: The model, for what is said if it cannot be converted.
        signatures: Traced modules and their example inputs, by the signature's name.
        about: The program, without its file.
    """

    module: torch.nn.Module
    signatures: Mapping[str, tuple[Signature, Tensors]]
    about: Program

    @property
    def key(self) -> str:
        """A hash of all that decides what :meth:`convert` returns."""
        return key_of(self.signatures, self.about)

    def convert(self) -> Program:
        """Make a file of the graphs.

        Raises:
            ExportError: Something of them cannot be converted.
            MissingExtraError: litert-torch is not installed.
        """
        with explained(self.module, self.about.batch, self.about.input_shape):
            return replace(self.about, model=convert_signatures(self.signatures))


def trace_training(
    module: torch.nn.Module,
    *,
    loss: str | Loss,
    optimizer: Optimizer,
    planned: Sequence[str],
    batch: int,
    input_shape: Shape,
    target_shape: Shape = (),
    signatures: Sequence[str] = SIGNATURES,
    coordinates: Mapping[str, int] | None = None,
) -> TracedTraining:
    """Trace the training of a model.

    Args:
        module: Float module with one input and one output; left as it was.
        loss: ``"cross_entropy"`` or ``(outputs, targets) -> scalar``, a mean over rows.
        optimizer: The rule and its constants; the learning rate is an input of every step.
        planned: Names of the tensors to train, as of
            :meth:`frugalfl.blocks.Layout.names`; layers without one keep their running statistics.
        batch: Rows of a batch; a shorter one is padded, with row weights of 0.
        input_shape: Of a row as PyTorch takes it.
        target_shape: Of a row of float32 targets; empty for class numbers.
        signatures: Which of :data:`SIGNATURES` the file gets.
        coordinates: How many each trained tensor follows, as
            :attr:`frugalfl.subspace.Subspace.counts`; ``None``: weights move freely.

    Raises:
        ExportError: Something of it cannot be compiled: the operator, the line of the author's
            code and what to write instead are in the message. Or a tensor lacks coordinates.
        TaskError: A planned tensor that the model does not have.
    """
    with explained(module, batch, input_shape):
        plan = plan_of(
            module,
            loss=loss,
            optimizer=optimizer,
            planned=planned,
            batch=batch,
            input_shape=input_shape,
            target_shape=target_shape,
            coordinates=coordinates,
        )
        ready = {
            name: (traced(function, given), given)
            for name, (function, given) in functions(plan).items()
            if name in signatures
        }
        for graph, _ in ready.values():
            check_operators(graph)
    return TracedTraining(module, ready, _program(plan))


def _program(plan: Plan) -> Program:
    """Return the program of a plan, without its file."""
    changing = {*plan.trained, *plan.statistics}
    return Program(
        model=b"",
        batch=plan.batch,
        input_shape=plan.input_shape,
        target_shape=plan.target_shape,
        parameters=tuple(
            Tensor(name, shape, name in changing) for name, shape in plan.shapes.items()
        ),
        state=tuple(Tensor(name, shape, True) for name, shape in plan.state.items()),
        proximal=plan.optimizer.proximal,
        masks=plan.masks,
        classes=plan.classes,
        coordinates=tuple(plan.coordinates.values()),
    )
