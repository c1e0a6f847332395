"""The PyTorch trainer: local steps on the planned blocks of the task's model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from frugalfl.activation_ranges import ranges_of
from frugalfl.blocks import FloatArray, Layout, Parameters
from frugalfl.codec import Limits
from frugalfl.kinds import CLASSIFICATION, Kind, check_kind, kind_of
from frugalfl.modules import named_tensors, read_parameters, write_parameters
from frugalfl.private import split
from frugalfl.resize import resize
from frugalfl.settings import Settings
from frugalfl.subspace import Subspace
from frugalfl.task import Examples, Loss, Task
from frugalfl_client.training.batches import batches
from frugalfl_client.training.optimizers import LocalSteps
from frugalfl_client.training.trainer import Measured, Trained, mean_loss

#: Rows that tell whether a model takes them.
_TRIED = 16


class TorchTrainer:
    """Trains one task; keeps its module between rounds, so that it is built once a process."""

    #: The package that does the work, for the version in energy records.
    software = "torch"

    def __init__(self, task: Task, settings: Settings) -> None:
        """Build the task's model.

        Args:
            task: Whose model it is.
            settings: Of the run.

        Raises:
            TaskError: The task's model raised.
        """
        self._task = task
        self._settings = settings
        self._module: torch.nn.Module | None = None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.run.seed)  # private blocks begin alike on every device
            shared, self._private = split(read_parameters(task.new_model()), settings.wire.private)
        #: Blocks of the task's own model that travel, before any pruning.
        self.layout = Layout.of(shared)
        self.limits = Limits.of(self.layout)

    def check_rows(
        self, parameters: Parameters, examples: Examples, whose: str, kind: Kind | None = None
    ) -> None:
        """See that a device's rows are what the model takes, before anything is trained."""
        with self._task.blamed(f"{whose}: model() on inputs of shape {examples.x.shape}"):
            module = self._loaded(self._private | parameters).eval()
            with torch.inference_mode():
                outputs = module(torch.from_numpy(examples.x[:_TRIED]))
        self._kind(kind, outputs, examples, whose)

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
        private = private or self._private
        names = Layout.of(parameters).names(planned)
        module = self.module_for(parameters | private, {*names, *private})
        # Not torch.manual_seed, which formats a traceback for each kind of accelerator.
        torch.default_generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        with self._task.blamed("training"):
            optimizer = LocalSteps(
                module.parameters(),
                learning_rate,
                self._settings.train.local_optimizer,
                proximal_mu,
                _signs(module, subspace),
            )
            epochs = epochs or self._settings.train.epochs
            rng = np.random.default_rng(seed)
            loss = self._epochs(module, examples, optimizer, rng, epochs, smallest_batch)
        after = read_parameters(module)
        return Trained(
            {name: after[name] - parameters[name] for name in names},
            loss,
            {name: after[name] for name in private},
        )

    def calibrate(
        self, parameters: Parameters, examples: Examples, percentile: float = 100.0
    ) -> FloatArray:
        """Return the range of every tensor that the model makes of this device's rows."""
        module = self._loaded(parameters)
        with self._task.blamed("calibration"):
            return ranges_of(module, examples.x, percentile)

    def measure(
        self, parameters: Parameters, examples: Examples, kind: Kind | None = None
    ) -> Measured:
        """Measure a whole model, private blocks included, on some rows."""
        (measured,) = self.measure_each(parameters, [examples], kind)
        return measured

    def measure_each(
        self, parameters: Parameters, each: Sequence[Examples], kind: Kind | None = None
    ) -> list[Measured]:
        """Measure a whole model on the rows of several devices, all at once.

        Raises:
            TaskError: The task's model raised, or outputs and targets do not go together.
        """
        with self._task.blamed("evaluating"):
            module = self._loaded(parameters).eval()
            rows = each[0].x if len(each) == 1 else np.concatenate([one.x for one in each])
            with torch.inference_mode():
                outputs = module(torch.from_numpy(rows))
            parts = outputs.split([len(one) for one in each])
            return [self._measured(kind, part, one) for part, one in zip(parts, each, strict=True)]

    def _measured(self, kind: Kind | None, outputs: torch.Tensor, examples: Examples) -> Measured:
        kind = self._kind(kind, outputs, examples, "this client's rows")
        tally = kind.tally(outputs.numpy(), examples.y)
        right = None if kind.accuracy is None else round(kind.accuracy(tally) * len(examples))
        if kind is CLASSIFICATION:
            return Measured(right)
        return Measured(right, tuple(tally.tolist()))

    def _kind(
        self, kind: Kind | None, outputs: torch.Tensor, examples: Examples, whose: str
    ) -> Kind:
        """Return the kind of the task, once outputs and targets are known to go together."""
        if kind is None:
            return kind_of(self._task, outputs, examples, whose)
        check_kind(kind, tuple(outputs.shape), examples.y, whose)
        return kind

    @property
    def private(self) -> Parameters:
        """Blocks that stay on a device, as they begin."""
        return self._private

    def module_for(self, parameters: Parameters, trained: set[str]) -> torch.nn.Module:
        """Return the task's module, in the shapes of these parameters, for training.

        Args:
            parameters: The whole model, private blocks included.
            trained: Names of the tensors that training moves; layers without any are frozen.
        """
        module = self._loaded(parameters)
        _freeze(module, Layout.of(parameters), trained)
        return module

    def _loaded(self, parameters: Parameters) -> torch.nn.Module:
        shapes = {name: tensor.shape for name, tensor in parameters.items()}
        if self._module is None or _shapes(self._module) != shapes:
            module = self._task.new_model()
            self._module = module if _shapes(module) == shapes else resize(module, shapes)
        self._module.zero_grad()
        write_parameters(self._module, parameters)
        return self._module

    def _epochs(
        self,
        module: torch.nn.Module,
        examples: Examples,
        optimizer: LocalSteps,
        rng: np.random.Generator,
        epochs: int,
        least: int,
    ) -> float:
        loss_of = _loss(self._task)
        x, y = torch.from_numpy(examples.x), torch.from_numpy(examples.y)
        losses: list[float] = []
        for _ in range(epochs):
            losses = []
            for chosen in batches(len(examples), self._settings.train.batch_size, rng, least):
                rows = torch.from_numpy(chosen)
                loss = loss_of(module(x[rows]), y[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                losses.append(loss.item())
        return mean_loss(losses)


def _shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in named_tensors(module).items()}


def _signs(module: torch.nn.Module, subspace: Subspace | None) -> dict[int, torch.Tensor]:
    """Return the signs of the parameters that follow coordinates, by a parameter's ``id``."""
    if subspace is None:
        return {}
    counted = subspace.counts
    return {
        id(parameter): torch.from_numpy(subspace.signs(name))
        for name, parameter in module.named_parameters()
        if name in counted
    }


def _freeze(module: torch.nn.Module, layout: Layout, planned: set[str]) -> None:
    """Give gradients to the planned tensors only; frozen layers keep their running statistics."""
    module.train()
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in planned)
    frozen = {block.name for block in layout.blocks if not planned.intersection(block.tensors)}
    for name, layer in module.named_modules():
        if name in frozen:
            layer.training = False  # not eval(), which takes in the blocks inside of it


def _loss(task: Task) -> Loss:
    return torch.nn.functional.cross_entropy if isinstance(task.loss, str) else task.loss
