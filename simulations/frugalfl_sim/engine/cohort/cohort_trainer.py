"""Local training of many clients at once: ``torch.func.vmap`` over the task's own module.

Each client trains on exactly the mini-batches that it trains on alone. Batches of different
lengths are filled up with rows that weigh nothing; a client whose batches are done goes on with
such rows alone, after its result was taken. So clients of about as many steps are batched together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.func import functional_call, grad_and_value, vmap

from frugalfl.blocks import Layout, Parameters
from frugalfl.errors import DivergedError, FrugalFLError
from frugalfl.modules import read_parameters
from frugalfl.private import split
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_client.training.batches import batches
from frugalfl_client.training.pytorch import TorchTrainer
from frugalfl_client.training.trainer import Trained, mean_loss
from frugalfl_server.run.checkpoint import random_state, set_random_state
from frugalfl_sim.engine.cohort.cohort_steps import CohortSteps
from frugalfl_sim.engine.cohort.job import Job

#: Most clients of one batch, and of its numbers of steps the largest over the smallest.
_MOST_CLIENTS, _MOST_RATIO = 128, 1.5
#: How far a batched training may be from a single one, beside the longest step of it.
_TOLERANCE = 1e-3
_TRIED_ROWS = 24


class CohortTrainer:
    """Trains the clients of one task.

    Attributes:
        why_not: Why the task's model cannot be batched, in one line; empty: it can. Jobs are then
            trained one after the other.
    """

    def __init__(self, task: Task, settings: Settings) -> None:
        """Build the task's model, and compare one step with that of a client alone.

        Raises:
            TaskError: The task's model raised.
        """
        self._task = task
        self._settings = settings
        self._alone = TorchTrainer(task, settings)
        self._named = isinstance(task.loss, str)
        drawn = random_state()
        try:
            self.why_not = self._find_why_not()
        finally:
            set_random_state(drawn)

    def train(self, jobs: Sequence[Job]) -> list[Trained | DivergedError]:
        """Return what came of each job, in their order.

        On one thread, whatever PyTorch is set to: sums of several threads have other bits, and the
        tensors are too small to share.

        Raises:
            TaskError: The task's code raised, or rows cannot be trained on.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return self._in_chunks(jobs)
        finally:
            torch.set_num_threads(threads)

    def _in_chunks(self, jobs: Sequence[Job]) -> list[Trained | DivergedError]:
        found: dict[int, Trained | DivergedError] = {}
        for places in self._chunks(jobs):
            chosen = [jobs[place] for place in places]
            together = not self.why_not and len(chosen) > 1
            results = self._together(chosen) if together else map(self._one, chosen)
            found.update(zip(places, results, strict=True))
        return [found[place] for place in range(len(jobs))]

    def _one(self, job: Job) -> Trained | DivergedError:
        try:
            return self._alone.train(**vars(job))
        except DivergedError as error:
            return error

    def _chunks(self, jobs: Sequence[Job]) -> Iterator[list[int]]:
        """Yield the places of jobs that are trained together."""
        groups: dict[Any, list[tuple[int, int]]] = {}
        for place, job in enumerate(jobs):
            rows = len(job.examples)
            steps = -(-rows // self._settings.train.batch_size) * self._epochs(job)
            groups.setdefault(self._kind_of(job), []).append((steps, place))
        for group in groups.values():
            chunk: list[int] = []
            least = 1
            for steps, place in sorted(group):
                if chunk and (len(chunk) == _MOST_CLIENTS or steps > _MOST_RATIO * least):
                    yield chunk
                    chunk = []
                least = least if chunk else steps
                chunk.append(place)
            yield chunk

    def _kind_of(self, job: Job) -> Any:
        """Return what jobs have to have in common to be trained together."""
        shapes = tuple((name, one.shape) for name, one in job.parameters.items())
        subspace = job.subspace and (job.subspace.fold, job.subspace.seed, job.subspace.dimension)
        about = (job.planned, job.learning_rate, job.proximal_mu, self._epochs(job), subspace)
        # The rows of a loss of the task's own cannot be weighed: its batches have to be as long.
        rows = -1 if self._named else len(job.examples)
        return shapes, about, rows, job.smallest_batch, job.examples.x.shape[1:]

    def _epochs(self, job: Job) -> int:
        return job.epochs or self._settings.train.epochs

    def _together(self, jobs: Sequence[Job]) -> list[Trained | DivergedError]:
        with self._task.blamed("training"):
            return _Cohort(self._task, self._settings, self._alone, jobs).train()

    def _find_why_not(self) -> str:
        """Train two clients of drawn rows both ways; say in one line how they differ."""
        module = self._task.new_model()
        if next(module.buffers(), None) is not None:
            return "its model keeps running statistics or other buffers"
        if any(isinstance(one, torch.nn.modules.dropout._DropoutNd) for one in module.modules()):
            return "its model drops out units by chance"
        try:
            jobs = self._tried_jobs()
            if jobs is None:
                return ""
            alone, together = [self._one(job) for job in jobs], self._together(jobs)
        except (FrugalFLError, RuntimeError, ValueError, TypeError, NotImplementedError) as error:
            return f"its model cannot be batched: {' '.join(str(error).split())[:200]}"
        for one, other in zip(alone, together, strict=True):
            if isinstance(one, Trained) and (
                not isinstance(other, Trained) or _distance(one, other) > _TOLERANCE
            ):
                return "its model trains otherwise when it is batched"
        return ""

    def _tried_jobs(self) -> list[Job] | None:
        """Return jobs on a few rows of the first client that has some; ``None``: none has."""
        clients = self._settings.simulation.clients
        rows: Examples | None = None
        for number in range(min(clients, 64)):
            try:
                rows = self._task.rows_of(number, clients)
                break
            except FrugalFLError:
                continue
        if rows is None or self._settings.train.shares_counters:
            return None
        few = Examples(rows.x[:_TRIED_ROWS], rows.y[:_TRIED_ROWS])
        whole = read_parameters(self._task.new_model())
        parameters, _ = split(whole, self._settings.wire.private)
        job = Job(
            parameters,
            self._alone.layout.everything,
            few,
            self._settings.learning_rate_at(1),
            (1, 2),
            epochs=1,
        )
        return [job, replace(job, seed=(3, 4))]


@dataclass
class _Stack:
    """The parameters of all clients of a chunk.

    Attributes:
        moved: Names and tensors that train, of shape ``(clients, ...)``.
        still: The others.
    """

    moved: dict[str, torch.Tensor]
    still: dict[str, torch.Tensor]


class _Cohort:
    """One chunk of jobs that have all but rows, seeds and private blocks in common."""

    def __init__(
        self, task: Task, settings: Settings, alone: TorchTrainer, jobs: Sequence[Job]
    ) -> None:
        self._jobs = jobs
        self._size = settings.train.batch_size
        self._epochs = jobs[0].epochs or settings.train.epochs
        self._privates = [job.private or alone.private for job in jobs]
        self._names = Layout.of(jobs[0].parameters).names(jobs[0].planned)
        self._module = alone.module_for(jobs[0].parameters | self._privates[0])
        self._named = isinstance(task.loss, str)
        self._loss: Any = task.loss
        self._stack = self._stacked()
        self._steps = CohortSteps(
            [*self._stack.moved.values()],
            jobs[0].learning_rate,
            settings.train.local_optimizer,
            jobs[0].proximal_mu,
            self._signs(),
        )

    def train(self) -> list[Trained | DivergedError]:
        """Make all steps; take each client's result after its last one."""
        orders = [self._order(job) for job in self._jobs]
        counts = [len(order) for order in orders]
        losses = torch.zeros(len(orders), max(counts))
        results: list[Parameters] = [{} for _ in orders]
        x = torch.from_numpy(np.concatenate([job.examples.x for job in self._jobs]))
        y = torch.from_numpy(np.concatenate([job.examples.y for job in self._jobs]))
        gradients_of = vmap(grad_and_value(self._loss_of), in_dims=(0, 0, 0, 0, 0))
        for step in range(max(counts)):
            rows, weights = self._batch(orders, step)
            gradients, values = gradients_of(
                self._stack.moved, self._stack.still, x[rows], y[rows], weights
            )
            losses[:, step] = values
            self._steps.step([*gradients.values()])
            for place in [n for n, count in enumerate(counts) if count == step + 1]:
                results[place] = {
                    name: one[place].numpy().copy() for name, one in self._stack.moved.items()
                }
        return [
            self._trained(place, results[place], losses[place, :count].tolist())
            for place, count in enumerate(counts)
        ]

    def _loss_of(
        self,
        moved: dict[str, torch.Tensor],
        still: dict[str, torch.Tensor],
        x: torch.Tensor,
        y: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        """Return one client's loss on one batch."""
        outputs = functional_call(self._module, moved | still, (x,))
        if not self._named:
            loss: torch.Tensor = self._loss(outputs, y)
            return loss
        each = torch.nn.functional.cross_entropy(outputs, y, reduction="none")
        return (each * weights.view(-1, *[1] * (each.dim() - 1))).sum() / (
            weights.sum() * (each[0].numel())
        ).clamp(min=1.0)

    def _order(self, job: Job) -> list[npt.NDArray[np.int64]]:
        """Return the rows of each step, as a client alone draws them."""
        rng = np.random.default_rng(job.seed)
        return [
            chosen
            for _ in range(self._epochs)
            for chosen in batches(len(job.examples), self._size, rng, job.smallest_batch)
        ]

    def _batch(
        self, orders: Sequence[list[npt.NDArray[np.int64]]], step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows of a step, counted through all clients, and their weights: 1, or 0."""
        chosen = [order[step] if step < len(order) else order[0][:0] for order in orders]
        longest = max(map(len, chosen))
        rows = np.zeros((len(chosen), longest), np.int64)
        weights = np.zeros((len(chosen), longest), np.float32)
        first = 0
        for place, one in enumerate(chosen):
            rows[place, : len(one)] = one
            rows[place] += first
            weights[place, : len(one)] = 1
            first += len(self._jobs[place].examples)
        return torch.from_numpy(rows), torch.from_numpy(weights)

    def _stacked(self) -> _Stack:
        models = [
            job.parameters | private
            for job, private in zip(self._jobs, self._privates, strict=True)
        ]
        trained = {*self._names, *self._privates[0]}
        alike = all(job.parameters is self._jobs[0].parameters for job in self._jobs)
        moved, still = dict[str, torch.Tensor](), dict[str, torch.Tensor]()
        for name, first in models[0].items():
            if alike and name not in self._privates[0]:
                whole = torch.from_numpy(first.copy()).expand(len(models), *first.shape)
            else:
                whole = torch.from_numpy(np.stack([model[name] for model in models]))
            if name in trained:
                moved[name] = whole.clone(memory_format=torch.contiguous_format)
            else:
                still[name] = whole
        return _Stack(moved, still)

    def _signs(self) -> dict[int, torch.Tensor]:
        """Return the signs of a subspace, by the place of the parameter that they are of."""
        subspace = self._jobs[0].subspace
        if subspace is None:
            return {}
        counted = subspace.counts
        return {
            place: torch.from_numpy(subspace.signs(name))
            for place, name in enumerate(self._stack.moved)
            if name in counted
        }

    def _trained(
        self, place: int, after: Parameters, losses: Sequence[float]
    ) -> Trained | DivergedError:
        job = self._jobs[place]
        last = losses[-(len(losses) // self._epochs) :]
        try:
            loss = mean_loss(last)
        except DivergedError as error:
            return error
        return Trained(
            {name: after[name] - job.parameters[name] for name in self._names},
            loss,
            {name: after[name] for name in self._privates[place]},
        )


def _distance(one: Trained, other: Trained) -> float:
    """Return how far two trainings are apart, beside the longest step of the first."""
    longest = max((float(np.abs(step).max(initial=0)) for step in one.update.values()), default=0.0)
    apart = max(
        (float(np.abs(step - other.update[n]).max(initial=0)) for n, step in one.update.items()),
        default=0.0,
    )
    return apart / max(longest, 1e-12)
