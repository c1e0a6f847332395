"""Training programs for clients without PyTorch: compiled when one needs it, sent to each once.

A client says in its replies what trains on it. To one that runs training programs, every request
names the digest of a program, for the model as it is now and for the blocks that this client is to
train; the program itself goes along unless the client has run it before. A client that lacks it
after all lists those that it has, and gets it with its next request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from frugalfl import wire
from frugalfl.blocks import Parameters, Shape
from frugalfl.errors import ExportError, ProgramError
from frugalfl.flow import check_flow
from frugalfl.modules import read_parameters
from frugalfl.plans import InSubspace
from frugalfl.program_file import digest_of, pack
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task

if TYPE_CHECKING:
    import torch

    from frugalfl.program import Program
    from frugalfl_server.compiler import Check, TracedTraining

_log = logging.getLogger(__name__)

#: What a client calls; no more is compiled, so that no more travels.
SIGNATURES = ("train", "evaluate", "calibrate")

#: Fewer local trainings do not pay for compiling: on digits a training program saves 23 ms of each,
#: and the four programs of a pruned run take 22 s of processor time to compile.
FEWEST_TRAININGS = 1000

#: How often a client is sent a program to try: once, and once more if its message or disk was lost.
_OFFERS = 2

#: How many coordinates each trained tensor follows, by name; empty: weights move freely.
Coordinates = tuple[tuple[str, int], ...]


def trained_within(
    plan: InSubspace, parameters: Parameters, seed: int
) -> tuple[tuple[str, ...], Coordinates]:
    """Return what a program for a subspace trains and how many coordinates it has, in any fold.

    Args:
        plan: Of the run.
        parameters: The whole model, without private blocks.
        seed: Of the run.

    Raises:
        UsageError: The plan cannot be used with this model.
    """
    subspace = plan.of_model(parameters, seed, fold=0)
    return tuple(subspace.shapes), tuple(subspace.counts.items())


class Sent(NamedTuple):
    """What a request carries of a program: its digest, and the file where it goes along."""

    digest: str = ""
    file: bytes = b""


@dataclass(frozen=True)
class _Purpose:
    """What a program is compiled for."""

    model: tuple[tuple[str, Shape], ...]
    trained: tuple[str, ...]
    proximal: bool
    coordinates: Coordinates = ()


@dataclass(frozen=True)
class Compiling:
    """What is the same for all that compiles programs of one task by the same settings.

    Attributes:
        window: The work for each program is done within such a block.
        set_up: Told what is about to begin, so that it may load libraries.
        made: Programs that are compiled and checked, with their figures.
    """

    window: Callable[[], AbstractContextManager[object]] = nullcontext
    set_up: Callable[[Literal["trace", "compile"]], None] = lambda _: None
    made: dict[_Purpose, tuple[Sent, dict[str, Any]]] = field(default_factory=dict)


class TrainingPrograms:
    """The programs of one run, and which client has which.

    What is compiled depends on who has what, and who is sent what on what is compiled; hence
    more than twelve methods.
    """

    def __init__(
        self,
        task: Task,
        settings: Settings,
        rows: Examples,
        on_compiled: Callable[[dict[str, Any]], None] = lambda _: None,
        compiling: Compiling | None = None,
    ) -> None:
        """Begin without any.

        Args:
            task: Its loss is compiled in.
            settings: Batch size and optimiser.
            rows: Some rows of the task, whose shapes are compiled in.
            on_compiled: Told the figures of each program once it is compiled.
            compiling: Of this task and these settings; ``None``: its own, and unmetered.
        """
        self._task = task
        self._settings = settings
        self._rows = rows
        self._module: torch.nn.Module | None = None
        self._model: dict[str, Shape] = {}
        self._compiled: dict[_Purpose, Sent | ExportError] = {}
        #: By client that runs programs: digests of those that it has.
        self._held: dict[int, set[str]] = {}
        self._asked: dict[int, str] = {}
        self._with_torch: set[int] = set()
        #: Those of them that would try a program, and go on with what costs them less.
        self._would_try: set[int] = set()
        #: How often one of those was sent a program, by client and digest.
        self._offered: dict[tuple[int, str], int] = {}
        self._on_compiled = on_compiled
        self._compiling = compiling or Compiling()

    def follow(self, module: torch.nn.Module) -> None:
        """Compile for this model from now on, pruned or not."""
        self._module = module
        self._model = {name: array.shape for name, array in read_parameters(module).items()}

    def for_training(
        self, node: int, trained: Sequence[str], proximal: bool, coordinates: Coordinates = ()
    ) -> Sent:
        """Return the program for a client's round; nothing for one that trains with PyTorch.

        Args:
            node: The client.
            trained: Names of the tensors to train.
            proximal: Whether the loss has FedProx's term.
            coordinates: How many each trained tensor follows; none: tensors move freely.

        Raises:
            ExportError: The task's model or loss cannot be compiled, or blocks are private.
        """
        if not self._runs_programs(node):
            if node not in self._would_try:
                return Sent()
            return self._to_try(node, self._purpose(trained, proximal, coordinates))
        if self._settings.wire.private:
            raise ExportError(
                "it has no PyTorch, but private blocks begin as the task's model makes them; "
                "install PyTorch there, or set private to nothing"
            )
        return self._sent(node, self._purpose(trained, proximal, coordinates))

    def for_calibration(self, node: int) -> Sent:
        """Return a program with the model as it is now, if possible one that the client has.

        Raises:
            ExportError: The task's model or loss cannot be compiled.
        """
        if not self._runs_programs(node):
            return Sent()
        held = self._held.get(node, set())
        model = tuple(self._model.items())
        usable = [
            (program.digest not in held, len(program.file), purpose)
            for purpose, program in self._compiled.items()
            if isinstance(program, Sent) and purpose.model == model
        ]
        if usable:
            return self._sent(node, min(usable, key=lambda one: one[:2])[2])
        return self._sent(node, self._purpose(tuple(self._model), proximal=False))

    def program_for(
        self, trained: Sequence[str], proximal: bool, coordinates: Coordinates = ()
    ) -> Sent:
        """Return a program for the model as it is now, whoever may get it.

        Args:
            trained: Names of the tensors to train.
            proximal: Whether the loss has FedProx's term.
            coordinates: How many each trained tensor follows; none: tensors move freely.

        Raises:
            ExportError: The task's model or loss cannot be compiled.
        """
        return self._compiled_for(self._purpose(trained, proximal, coordinates))

    def note_reply(
        self, node: int, reply: wire.TrainReply | wire.CalibrateReply, worked: bool
    ) -> None:
        """Note what a client says of itself.

        Args:
            node: The client.
            reply: Its reply.
            worked: Whether it could do what it was asked.
        """
        if reply.trainer == wire.TORCH:
            self._with_torch.add(node)
            self._held.pop(node, None)
            if isinstance(reply, wire.TrainReply) and reply.tries:
                self._would_try.add(node)
            else:
                self._would_try.discard(node)
            return
        self._with_torch.discard(node)
        held = self._held.setdefault(node, set())
        if not worked:
            self._held[node] = set(reply.programs)
        elif node in self._asked:
            held.add(self._asked[node])

    def state(self) -> dict[str, Any]:
        """Return which client has which program, for a checkpoint.

        The programs themselves are not in it: compiled again, they have the same bytes.
        """
        return {
            "held": [(node, sorted(digests)) for node, digests in self._held.items()],
            "asked": list(self._asked.items()),
            "with_torch": sorted(self._with_torch),
            "offered": [(*offer, times) for offer, times in self._offered.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self._held = {node: set(digests) for node, digests in state["held"]}
        self._asked = dict(state["asked"])
        self._with_torch = set(state["with_torch"])
        offered = state.get("offered", ())  # older checkpoints have none
        self._offered = {(node, digest): times for node, digest, times in offered}

    def _runs_programs(self, node: int) -> bool:
        """What trains on a client that never answered is the setting's guess."""
        return node in self._held or (
            self._settings.train.trainer == wire.LITERT and node not in self._with_torch
        )

    def _purpose(
        self, trained: Sequence[str], proximal: bool, coordinates: Coordinates = ()
    ) -> _Purpose:
        return _Purpose(tuple(self._model.items()), tuple(trained), proximal, coordinates)

    def _sent(self, node: int, purpose: _Purpose) -> Sent:
        program = self._compiled_for(purpose)
        self._asked[node] = program.digest
        has = program.digest in self._held.get(node, ())
        return Sent(program.digest) if has else program

    def _to_try(self, node: int, purpose: _Purpose) -> Sent:
        """Return a program for a client that trains with PyTorch and would try one, if that pays.

        One that is compiled costs nothing; the first one has to be won back by all of the run.
        """
        if self._settings.wire.private:
            return Sent()
        if purpose not in self._compiled and not pays_to_compile(self._settings):
            return Sent()
        try:
            return self._offer(node, self._sent(node, purpose))
        except ExportError:
            return Sent()

    def _offer(self, node: int, program: Sent) -> Sent:
        """Return a program to try; its digest alone if it has been sent often enough.

        A client that says in each round that it would try is not sent a program in each.
        """
        before = self._offered.get((node, program.digest), 0)
        if not program.file or before == _OFFERS:
            return Sent(program.digest)
        self._offered[node, program.digest] = before + 1
        return program

    def _compiled_for(self, purpose: _Purpose) -> Sent:
        if purpose not in self._compiled:
            try:
                with self._compiling.window():
                    self._compiled[purpose] = self._compile(purpose)
            except ExportError as error:
                self._compiled[purpose] = error
        program = self._compiled[purpose]
        if isinstance(program, ExportError):
            raise program
        return program

    def _compile(self, purpose: _Purpose) -> Sent:
        """Compile and check a program, or take it from the user's cache and check it.

        Raises:
            ExportError: It cannot be compiled, does not do what PyTorch does, or is not shown to
                give sums over its batches only, so that devices would refuse it.
        """
        made = self._compiling.made
        if purpose not in made:
            made[purpose] = self._made(purpose)
        sent, figures = made[purpose]
        self._on_compiled(figures)
        return sent

    def _made(self, purpose: _Purpose) -> tuple[Sent, dict[str, Any]]:
        program, check = self._checked(purpose)
        file = pack(program)
        sent = Sent(digest_of(file), file)
        return sent, {
            "digest": sent.digest,
            "bytes": len(file),
            "parameters": sum(prod(shape) for _, shape in purpose.model),
            "trained": list(purpose.trained),
            "difference": {"loss": check.loss, **check.tensors},
        }

    def _checked(self, purpose: _Purpose) -> tuple[Program, Check]:
        self._compiling.set_up("trace")
        from frugalfl_server.compiler.program_cache import ProgramCache

        cache, traced = ProgramCache.of_user(), self._traced(purpose)
        key = traced.key
        program = cache.find(key, traced.about)
        if program is not None:
            try:
                check = self._compared(program, purpose)
                _log.info(
                    "compile: a training program that this run's trial or another run compiled "
                    f"before, from {cache.folder}"
                )
                return program, check
            except ExportError:
                cache.forget(key)
        self._compiling.set_up("compile")
        program = traced.convert()
        check = self._compared(program, purpose)
        try:
            check_flow(program)  # as the devices will
        except ProgramError as error:
            raise ExportError(str(error)) from error
        cache.keep(key, program)
        return program, check

    def _traced(self, purpose: _Purpose) -> TracedTraining:
        from frugalfl_server.compiler import optimizer_of, trace_training

        assert self._module is not None, "follow() comes first"
        return trace_training(
            self._module,
            loss=self._task.loss,
            optimizer=optimizer_of(self._settings.train.local_optimizer, purpose.proximal),
            planned=purpose.trained,
            batch=self._settings.train.batch_size,
            input_shape=self._rows.x.shape[1:],
            target_shape=_target_shape(self._rows),
            signatures=SIGNATURES,
            coordinates=dict(purpose.coordinates) or None,
        )

    def _compared(self, program: Program, purpose: _Purpose) -> Check:
        """Compare a program with PyTorch.

        Raises:
            ExportError: It does not do the same.
        """
        from frugalfl_server.compiler import check_program, optimizer_of

        assert self._module is not None, "follow() comes first"
        return check_program(
            program, self._module, loss=self._task.loss,
            optimizer=optimizer_of(self._settings.train.local_optimizer, purpose.proximal),
            planned=purpose.trained,
        )  # fmt: skip


def pays_to_compile(settings: Settings) -> bool:
    """Say whether a run is long enough to win back what compiling its programs takes."""
    recovery = settings.export.recover_rounds if settings.export.prunes else 0
    rounds = settings.rounds.count + recovery
    return rounds * settings.rounds.clients_per_round >= FEWEST_TRAININGS


def _target_shape(rows: Examples) -> Shape:
    """Return the shape of one target as a program describes it: empty for a class number.

    Raises:
        ExportError: Targets that a program cannot take.
    """
    classes = np.issubdtype(rows.y.dtype, np.integer)
    if classes != (rows.y.ndim == 1):
        hint = "" if classes else ": give the task's targets as y[:, None]"
        raise ExportError(
            f"targets are {rows.y.dtype} of shape {rows.y.shape[1:]} a row; a training program "
            f"takes one class number a row, or float32 values of shape (1,) or more{hint}"
        )
    return () if classes else rows.y.shape[1:]
