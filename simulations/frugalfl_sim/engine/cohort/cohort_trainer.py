"""Local training of many clients at once, the fastest way that their model has.

A model that is a chain of plain layers is batched by hand
(:mod:`frugalfl_sim.engine.cohort.chain`), any other by ``torch.func.vmap``; what that cannot do is
trained one client after the other. Each client trains on exactly the mini-batches that it trains on
alone. Clients are sorted by their steps, so that those of about as many are batched together, in
chunks of bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import torch

from frugalfl.errors import DivergedError, FrugalFLError
from frugalfl.modules import read_parameters
from frugalfl.private import split
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_client.training.pytorch import TorchTrainer
from frugalfl_client.training.trainer import Trained
from frugalfl_server.run.checkpoint import random_state, set_random_state
from frugalfl_sim.engine.cohort.chain import Chain, chain_of, descends_plainly, train_chain
from frugalfl_sim.engine.cohort.chunk import Chunk
from frugalfl_sim.engine.cohort.job import Job
from frugalfl_sim.engine.cohort.train_by_vmap import train_by_vmap

#: The ways of training a cohort.
BY_HAND, BY_VMAP, ONE_BY_ONE = "by hand", "by vmap", "one by one"
#: Most clients of one chunk, and the most memory (B) that a step of a chain's may take.
_MOST_CLIENTS, _MOST_BYTES = 128, 16 << 20
#: Of the steps of a chunk's clients the largest over the smallest, if those who are done go along.
_MOST_RATIO = 1.5
#: How far a batched training may be from a single one, beside the longest step of it.
_TOLERANCE = 1e-3
_TRIED_ROWS = 24
_PLAIN_STEPS = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "clip_norm": 0.0}


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
        self._named = isinstance(task.loss, str)
        self._by_hand = True
        self._key: Any = None
        self._chain: Chain | None = None
        self.why_not = ""
        drawn = random_state()
        try:
            # Plain steps: an adaptive optimiser makes a last bit of a tiny gradient a whole step.
            self._take(settings.changed(**_PLAIN_STEPS))
            self.why_not = self._find_why_not()
            self._take(settings)
        finally:
            set_random_state(drawn)

    def _take(self, settings: Settings) -> None:
        self._settings = settings
        self._alone = TorchTrainer(self._task, settings)

    @property
    def way(self) -> str:
        """How jobs are trained, those of the shapes that came last."""
        if self.why_not:
            return ONE_BY_ONE
        return BY_VMAP if self._chain is None else BY_HAND

    def train(self, jobs: Sequence[Job]) -> list[Trained | DivergedError]:
        """Return what came of each job, in their order.

        On one thread, whatever PyTorch is set to: sums of several threads have other bits, and the
        tensors are too small to share.

        Raises:
            TaskError: The task's code raised, or rows cannot be trained on.
        """
        threads = torch.get_num_threads()
        if threads == 1:
            return self._in_chunks(jobs)
        torch.set_num_threads(1)
        try:
            return self._in_chunks(jobs)
        finally:
            torch.set_num_threads(threads)

    def _in_chunks(self, jobs: Sequence[Job]) -> list[Trained | DivergedError]:
        found: dict[int, Trained | DivergedError] = {}
        for group in self._groups(jobs):
            together = self._together if len(group) > 1 and not self.why_not else self._one_by_one
            for place, result in together(jobs, group):
                found[place] = result
        return [found[place] for place in range(len(jobs))]

    def _one_by_one(
        self, jobs: Sequence[Job], places: Sequence[int]
    ) -> Iterator[tuple[int, Trained | DivergedError]]:
        for place in places:
            yield place, self._one(jobs[place])

    def _one(self, job: Job) -> Trained | DivergedError:
        try:
            return self._alone.train(**vars(job))
        except DivergedError as error:
            return error

    def _groups(self, jobs: Sequence[Job]) -> Iterator[Sequence[int]]:
        """Yield the places of jobs that may be trained together."""
        if self._named and all(_alike(job, jobs[0]) for job in jobs):
            yield range(len(jobs))
            return
        groups: dict[Any, list[int]] = {}
        for place, job in enumerate(jobs):
            groups.setdefault(self._kind_of(job), []).append(place)
        yield from groups.values()

    def _kind_of(self, job: Job) -> Any:
        """Return what jobs have to have in common to be trained together."""
        shapes = tuple((name, one.shape) for name, one in job.parameters.items())
        subspace = job.subspace and (job.subspace.fold, job.subspace.seed, job.subspace.dimension)
        about = (job.planned, job.learning_rate, job.proximal_mu, job.epochs, subspace)
        # The rows of a loss of the task's own cannot be weighed: its batches have to be as long.
        rows = -1 if self._named else len(job.examples)
        return shapes, about, rows, job.smallest_batch, job.examples.x.shape[1:]

    def _together(
        self, jobs: Sequence[Job], places: Sequence[int]
    ) -> Iterator[tuple[int, Trained | DivergedError]]:
        """Train jobs that may be trained together, in chunks."""
        with self._task.blamed("training"):
            first = Chunk([jobs[places[0]]], self._settings.train, self._alone.private)
            chain = self._chain_for(first)
            most, ratio = _MOST_CLIENTS, _MOST_RATIO
            if chain is not None:
                most = self._most_clients(chain, jobs[places[0]])
                ratio = inf if descends_plainly(first) else ratio
            for chosen in self._chunks(jobs, places, most, ratio):
                chunk = replace(first, jobs=[jobs[place] for place in chosen])
                yield from zip(chosen, self._trained(chunk, chain), strict=True)

    def _trained(self, chunk: Chunk, chain: Chain | None) -> list[Trained | DivergedError]:
        if self._named and chunk.ignores_rows:
            return [self._one(job) for job in chunk.jobs]
        if chain is not None:
            return train_chain(chain, chunk, self._task.loss)
        return train_by_vmap(self._module_for(chunk), chunk, self._task.loss)

    def _module_for(self, chunk: Chunk) -> torch.nn.Module:
        parameters = chunk.jobs[0].parameters | chunk.private
        return self._alone.module_for(parameters, {*chunk.names, *chunk.private})

    def _chain_for(self, chunk: Chunk) -> Chain | None:
        """Return the chain of the model in these shapes; ``None``: it is none."""
        job = chunk.jobs[0]
        key = (
            job.examples.x.shape[1:],
            job.examples.y.ndim if self._named else 0,
            tuple(one.shape for one in job.parameters.values()),
        )
        if key != self._key:
            self._key, self._chain = key, None
            # Of the losses with a name, only that of one class a row is written out.
            if self._by_hand and not (
                self._named and (job.examples.y.ndim > 1 or job.examples.y.dtype != np.int64)
            ):
                self._chain = chain_of(self._module_for(chunk), job.examples.x.shape[1:])
        return self._chain

    def _most_clients(self, chain: Chain, job: Job) -> int:
        """Return how many clients a chunk may have at most."""
        parameters = sum(one.size for one in job.parameters.values())
        floats = 3 * parameters + self._settings.train.batch_size * chain.floats_of_row
        return max(min(_MOST_CLIENTS, _MOST_BYTES // (4 * floats)), 2)

    def _chunks(
        self, jobs: Sequence[Job], places: Sequence[int], most: int, ratio: float
    ) -> Iterator[list[int]]:
        """Yield the places of jobs that are trained together, those with the most steps first."""
        size = self._settings.train.batch_size
        steps = {place: -(-len(jobs[place].examples.x) // size) for place in places}
        chunk: list[int] = []
        for place in sorted(places, key=steps.__getitem__, reverse=True):
            if chunk and (len(chunk) == most or steps[chunk[0]] > ratio * steps[place]):
                yield chunk
                chunk = []
            chunk.append(place)
        yield chunk

    def _find_why_not(self) -> str:
        """Train two clients of drawn rows both ways; say in one line how they differ."""
        module = self._task.new_model()
        if next(module.buffers(), None) is not None:
            return "its model keeps running statistics or other buffers"
        if any(isinstance(one, torch.nn.modules.dropout._DropoutNd) for one in module.modules()):
            return "its model drops out units by chance"
        jobs = self._tried_jobs()
        why_not = "" if jobs is None else self._why_not_for(jobs)
        if why_not and self._by_hand and self.way == BY_HAND:
            self._by_hand, self._key, self._chain = False, None, None
            why_not = self._why_not_for(jobs or [])
        return why_not

    def _why_not_for(self, jobs: Sequence[Job]) -> str:
        try:
            alone = [self._one(job) for job in jobs]
            together = [result for _, result in self._together(jobs, range(len(jobs)))]
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


def _distance(one: Trained, other: Trained) -> float:
    """Return how far two trainings are apart, beside the longest step of the first."""
    longest = max((float(np.abs(step).max(initial=0)) for step in one.update.values()), default=0.0)
    apart = max(
        (float(np.abs(step - other.update[n]).max(initial=0)) for n, step in one.update.items()),
        default=0.0,
    )
    return apart / max(longest, 1e-12)


def _alike(job: Job, first: Job) -> bool:
    """Say at little cost whether jobs may be trained together; if not, they may still."""
    return (
        job.parameters is first.parameters
        and job.subspace is first.subspace
        and job.planned == first.planned
        and job.learning_rate == first.learning_rate
        and job.proximal_mu == first.proximal_mu
        and job.epochs == first.epochs
        and job.smallest_batch == first.smallest_batch
        and job.examples.x.shape[1:] == first.examples.x.shape[1:]
    )
