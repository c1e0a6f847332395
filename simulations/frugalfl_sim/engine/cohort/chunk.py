"""Jobs that are trained together, and their parameters side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from frugalfl.blocks import FloatArray, Layout, Parameters
from frugalfl.errors import DivergedError
from frugalfl.settings.train import TrainSettings
from frugalfl_client.training.trainer import Trained, mean_loss
from frugalfl_sim.engine.cohort.cohort_steps import CohortSteps
from frugalfl_sim.engine.cohort.draw_batches import DrawnBatches, draw_batches
from frugalfl_sim.engine.cohort.job import Job


@dataclass(frozen=True)
class Stack:
    """The parameters of all clients of a chunk.

    Attributes:
        starts: What those that train begin with, of shape ``(clients, ...)``; not to be changed.
        moved: Those that train, of the same shape.
        still: The others.
    """

    starts: dict[str, Tensor]
    moved: dict[str, Tensor]
    still: dict[str, Tensor]


@dataclass(frozen=True)
class Chunk:
    """Jobs that have all but rows, seeds, private blocks and what they begin with in common.

    Attributes:
        jobs: The jobs.
        train: Settings of local training.
        private: The private blocks of a job that has none yet.
    """

    jobs: Sequence[Job]
    train: TrainSettings
    private: Parameters

    @cached_property
    def epochs(self) -> int:
        """Passes over the rows."""
        return self.jobs[0].epochs or self.train.epochs

    @cached_property
    def names(self) -> list[str]:
        """Names of the planned tensors."""
        return Layout.of(self.jobs[0].parameters).names(self.jobs[0].planned)

    def batches(self) -> DrawnBatches:
        """Draw the batches of all jobs."""
        rows = [len(job.examples.x) for job in self.jobs]
        seeds = [job.seed for job in self.jobs]
        least = self.jobs[0].smallest_batch
        return draw_batches(seeds, rows, self.epochs, self.train.batch_size, least)

    @property
    def ignores_rows(self) -> bool:
        """Whether a client has targets that cross entropy leaves out, below 0.

        Its mean is then over fewer rows than a batch has.
        """
        y = self.rows[1]
        return bool(np.issubdtype(y.dtype, np.integer) and y.min(initial=0) < 0)

    @cached_property
    def rows(self) -> tuple[Tensor, npt.NDArray[np.generic]]:
        """Inputs and targets of all clients, one client's behind the other's."""
        x = np.concatenate([job.examples.x for job in self.jobs])
        return torch.from_numpy(x), np.concatenate([job.examples.y for job in self.jobs])

    def stack(self) -> Stack:
        """Put the parameters of all clients side by side."""
        first = self.jobs[0]
        count = len(self.jobs)
        if all(job.parameters is first.parameters for job in self.jobs):
            whole = {
                name: _tensor(one).expand(count, *one.shape)
                for name, one in first.parameters.items()
            }
        else:
            whole = _side_by_side([job.parameters for job in self.jobs])
        whole |= _side_by_side([job.private or self.private for job in self.jobs])
        trained = [*self.names, *self.private]
        chosen = [name for name in whole if name in trained]
        return Stack(
            {name: whole[name] for name in chosen},
            {name: whole[name].clone(memory_format=torch.contiguous_format) for name in chosen},
            {name: one for name, one in whole.items() if name not in trained},
        )

    def steps(self, moved: Mapping[str, Tensor]) -> CohortSteps:
        """Return what moves the parameters of all clients by their gradients."""
        first = self.jobs[0]
        counted = first.subspace.counts if first.subspace else {}
        signs = {
            place: torch.from_numpy(first.subspace.signs(name))
            for place, name in enumerate(moved)
            if first.subspace and name in counted
        }
        return CohortSteps(
            [*moved.values()], first.learning_rate, self.train.local_optimizer,
            first.proximal_mu, signs,
        )  # fmt: skip

    def results(
        self, stack: Stack, losses: npt.NDArray[np.floating], counts: Sequence[int]
    ) -> list[Trained | DivergedError]:
        """Return each job's result.

        Args:
            stack: As training has left it; the moved tensors become the updates.
            losses: Shape ``(steps, clients)``: mean loss of each batch.
            counts: Steps of each client.
        """
        private = [_rows_of(stack.moved, self.private)] if self.private else []
        for name in self.names:
            stack.moved[name].sub_(stack.starts[name])
        updates = _rows_of(stack.moved, self.names)
        means = self._mean_losses(losses, counts)
        kept = private[0] if private else [{} for _ in self.jobs]
        return [
            Trained(update, mean, own) if isfinite(mean) else _diverged(mean)
            for update, mean, own in zip(updates, means, kept, strict=True)
        ]

    def _mean_losses(self, losses: npt.NDArray[np.floating], counts: Sequence[int]) -> list[float]:
        """Return each client's mean loss over its last epoch."""
        ends = np.array(counts)
        each = ends // self.epochs
        steps = np.arange(len(losses))[:, None]
        last = (steps < ends) & (steps >= ends - each)
        means: list[float] = (losses.sum(0, np.float64, where=last) / each).tolist()
        return means


def _diverged(mean: float) -> DivergedError:
    try:
        mean_loss([mean])
    except DivergedError as error:
        return error
    raise AssertionError(f"{mean} is finite")


def _rows_of(tensors: Mapping[str, Tensor], names: Sequence[str] | Parameters) -> list[Parameters]:
    """Return each client's part of some tensors, as views."""
    arrays = [tensors[name].numpy() for name in names]
    return [dict(zip(names, views, strict=True)) for views in zip(*arrays, strict=True)]


def _side_by_side(each: Sequence[Parameters]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.stack([one[name] for one in each])) for name in each[0]}


def _tensor(array: FloatArray) -> Tensor:
    """Return a tensor; one that PyTorch might write to is copied if it must not be."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())
