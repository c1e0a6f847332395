"""A run that grows trees, top to bottom: counters, bins, rounds, the model in its files."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterable
from contextlib import suppress

import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp import Grid

from frugalfl import wire
from frugalfl.atomic import write_atomically
from frugalfl.codec.buffer import Reader
from frugalfl.energy import EnergyRecord, spent, totals
from frugalfl.errors import FederationError, FrameError, TaskError
from frugalfl.kinds import Scores, scoring_of
from frugalfl.settings import Settings
from frugalfl.sizes import size_text
from frugalfl.task import FloatArray, Task
from frugalfl.text import printable
from frugalfl.trees.bins import Bins, Sketch
from frugalfl.trees.forest import Forest
from frugalfl.trees.lightgbm_text import to_lightgbm_text
from frugalfl.trees.ways import BAGGING, CYCLIC, HISTOGRAM, REFIT, SKETCH, Way
from frugalfl_server.cohort.client_names import Naming
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.cohort.quarantine import (
    ClientFailedError,
    SetAside,
    TaskFailedError,
    failure_of,
)
from frugalfl_server.exchange.deadlines import RoundGrid
from frugalfl_server.phases.share_counters import counters_into, wait_for
from frugalfl_server.rounds.stopping import TrainingOver
from frugalfl_server.rounds.synchronous import SynchronousRounds
from frugalfl_server.rounds.traffic import Traffic
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.outcomes import FLOAT, count_outcomes, write_outcomes
from frugalfl_server.run.progress import LOG, Progress
from frugalfl_server.run.records import MEASURES, RoundRecord, known_scores
from frugalfl_server.run.server_energy import server_energy
from frugalfl_server.run.summary import OURS
from frugalfl_server.trees.bagging import Bagging, Cyclic
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.guard import Guard
from frugalfl_server.trees.histogram import Histogram
from frugalfl_server.trees.refit import Refit
from frugalfl_server.trees.sketches import Sketches, check_sketch
from frugalfl_server.trees.strategy import QUESTION, TreeStrategy

_TIMEOUT_S = 3600.0


def grow(grid: Grid, settings: Settings, task: Task, run: RunDirectory) -> None:
    """Run a federation of trees to its end.

    Raises:
        FederationError: Clients cannot go on.
        TaskError: The task is none of two classes.
    """
    way = settings.train.tree_way
    assert way is not None  # the ServerApp asks before it comes here
    TreeFederation(grid, settings, task, run, way).conduct()


class TreeFederation:
    """The rounds of one run, and what is made of their result."""

    def __init__(
        self, grid: Grid, settings: Settings, task: Task, run: RunDirectory, way: Way
    ) -> None:
        self._settings, self._task, self._run, self._way = settings, task, run, way
        self._test = task.public_rows(settings.train.shares_counters).test
        if self._test.y.ndim != 1 or not np.isin(self._test.y, (0, 1)).all():
            raise TaskError(
                f"task {task.name!r}: trees need targets 0 and 1, one a row; leave trees empty "
                "for other tasks"
            )
        rounds = way.trees if way.name == HISTOGRAM else settings.rounds.count
        self._who = Identities(run.path)
        named = Naming(self._who.client_of, getattr(grid, "client_numbers", {}))
        self._progress = Progress(rounds, log=run.path / LOG, named=named)
        self._rounds = rounds
        self._grid = RoundGrid(
            grid, settings.rounds.clients_per_round, settings.rounds.round_deadline
        )
        self._scoring = scoring_of(task)
        self._energy = server_energy(run.name, settings.energy.electricity)
        aside = SetAside(settings.rounds.patience, settings.rounds.clients_per_round)
        self._guard = Guard(aside, compares=bool(settings.rounds.norm_bound))
        self._scores = np.zeros(0)

    def conduct(self) -> None:
        """Agree on bins, grow trees, write the model."""
        with self._progress.listening():
            self._conduct()

    def _conduct(self) -> None:
        say = self._progress.say
        say(f"run {self._run.path}")
        self._run.write_json(
            MEASURES, {"kind": self._scoring.kind.name, "measures": self._scoring.about()}
        )
        random.seed(self._settings.run.seed)
        if self._settings.train.shares_counters:
            counters_into(
                self._run, self._grid, self._settings.rounds.clients_per_round, self._score(0),
                self._settings.train.counters_at_least, self._who,
            )  # fmt: skip
        grown = self._agreed()
        strategy = self._strategy(grown)
        strategy.who = self._who
        self._follow(grown.bins, grown.forest)
        try:
            exchanges = self._grow(strategy, grown)
        finally:
            self._guard.aside.keep(self._run, self._who.client_of)
        self._run.flush()
        self._write(grown, exchanges)
        say(f"model: {len(grown.forest)} trees, {size_text(sum(map(len, grown.segments)))}")

    def _agreed(self) -> Grown:
        """Ask everybody for the quantiles of their features; return bins and base rate.

        Raises:
            FederationError: Nobody gave any, or there are rows of one class only.
        """
        traffic = Traffic(0, time.monotonic())
        nodes = wait_for(self._grid, self._settings.rounds.clients_per_round)
        traffic.clients = len(nodes)
        told, silent = Sketches(self._guard), set(nodes)
        for message in self._asked(nodes):
            node = message.metadata.src_node_id
            silent.discard(node)
            try:
                told.take(node, *self._sketched(message, traffic))
            except FrameError as error:
                self._complain(traffic, node, error)
        for node, why in told.judge(self._way.bins).items():
            self._complain(traffic, node, FrameError(why))
        traffic.failures += [f"bins: node {node}: no answer" for node in sorted(silent)]
        for failure in [*traffic.failures, *self._guard.newly_capped(told.sketches)]:
            self._progress.warn(failure)
        if not told.sketches:
            if traffic.unfit == traffic.clients:
                self._guard.aside.unfit.check_round(0, traffic.clients)
            raise FederationError(
                f"bins: none of {traffic.clients} clients gave quantiles; "
                f"{next(iter(traffic.failures), 'nobody answered')}"
            )
        positives, rows = told.classes()
        if not 0 < positives < rows:
            raise FederationError(
                f"bins: {positives} of the {rows} training rows of all clients are of class 1; "
                "trees need rows of both classes"
            )
        bins = told.bins(self._way.bins)
        traffic.loss = _entropy(positives / rows)
        grown = Grown(bins, math.log(positives / (rows - positives)))
        score = self._score(0)
        self._keep("bins", traffic, score, self._energy.take())
        self._progress.say(
            f"bins: {sum(bins.counts)} of {len(bins)} features, {positives:,} of {rows:,} rows "
            f"are positive  up {size_text(traffic.uplink_bytes)}"
        )
        return grown

    def _complain(self, traffic: Traffic, node: int, error: FrameError) -> None:
        """Note that a client's quantiles do not count, or not all of what it said."""
        said = printable(str(error))
        if isinstance(error, TaskFailedError):
            said = self._guard.task_failed(node, 0, error)
            traffic.unfit += 1
        traffic.failures.append(f"bins: node {node}: {said}")
        if not isinstance(error, ClientFailedError):
            traffic.failures += map(str, self._guard.wrong(node, 0, said))

    def _asked(self, nodes: list[int]) -> Iterable[Message]:
        messages = [
            Message(
                wire.pack_request(wire.TrainRequest(self._run.name, 0, -1, 0, (), b"", SKETCH)),
                dst_node_id=node, message_type=QUESTION, group_id="0",
            )
            for node in nodes
        ]  # fmt: skip
        replies = self._grid.send_and_receive(messages, timeout=_TIMEOUT_S)
        return sorted(replies, key=lambda reply: reply.metadata.src_node_id)

    def _sketched(self, message: Message, traffic: Traffic) -> tuple[int, Sketch]:
        """Return a client's positive rows, and its quantiles.

        Raises:
            FrameError: The reply is an error, cannot be read, or is of other features.
        """
        if message.has_error():
            raise failure_of(message)
        reply = wire.unpack_reply(message)
        told = self._who.check(
            message.metadata.src_node_id, reply.records, reply.head, self._run.name, 0,
            traffic.started_s,
        )  # fmt: skip
        reader = Reader(reply.frame)
        positives = reader.varint(1 << 31)
        sketch = Sketch.from_bytes(bytes(reader.rest()))
        check_sketch(positives, sketch)
        features = self._test.x.reshape(len(self._test), -1).shape[1]
        if len(sketch.values) != features:
            raise FrameError(
                f"its rows have {len(sketch.values)} features, the server's have {features}"
            )
        for line in self._who.bind(told):
            self._progress.warn(f"bins: {line}")
        traffic.heads += told.heads
        traffic.energy += told.records
        traffic.uplink_bytes += len(reply.frame)
        return positives, sketch

    def _strategy(self, grown: Grown) -> TreeStrategy:
        kinds: dict[str, type[TreeStrategy]] = {BAGGING: Bagging, CYCLIC: Cyclic, REFIT: Refit}
        kind = kinds.get(self._way.name)
        if kind is None:
            return Histogram(
                grown, self._way, self._run.name, self._progress.warn, self._settings.run.seed,
                self._guard,
            )  # fmt: skip
        return kind(grown, self._way, self._run.name, self._progress.warn, self._guard)

    def _grow(self, strategy: TreeStrategy, grown: Grown) -> int:
        """Run the rounds; return how many times clients were asked."""
        before, traffic, exchanges = grown.version, Traffic(1, time.monotonic()), 0

        def finish_round(number: int, arrays: ArrayRecord) -> MetricRecord | None:
            nonlocal before, traffic, exchanges
            if number == 0:
                return None
            exchanges = number
            traffic = _joined(traffic, strategy.traffic)
            if grown.version == before:
                return None  # a tree that is not finished yet
            self._follow(grown.bins, grown.added)
            own = self._energy.take()
            done = before = grown.version
            traffic.round = done - 1
            record = self._keep("train", traffic, self._score(traffic.round), own)
            self._progress.round_done(record)
            traffic = Traffic(done, time.monotonic())
            if done - 1 == self._rounds:
                raise TrainingOver("all trees are grown")
            return known_scores(record)

        most = strategy.most_exchanges(self._rounds)
        with suppress(TrainingOver):
            SynchronousRounds(strategy, self._energy, 1).run(
                self._grid, ArrayRecord(), most, finish_round
            )
        return exchanges

    def _follow(self, bins: Bins, step: Forest) -> None:
        """Add the scores of new trees to those of the server's rows."""
        x = self._test.x.reshape(len(self._test), -1)
        if not len(self._scores):
            self._binned, self._scores = bins.of(x), np.zeros(len(x))
        self._scores = self._scores + step.raw_scores(self._binned)

    def _score(self, number: int) -> Scores:
        """Return the scores of the model on the server's rows."""
        with self._energy.window("evaluate", round=number, samples=len(self._test)) as window:
            found = self._scoring.score(self._outputs(), self._test.y)
            window.correct = found.right
        return found

    def _outputs(self) -> FloatArray:
        """Return two scores a row, as of a network of two classes."""
        scores = self._scores if len(self._scores) else np.full(len(self._test), -1.0)
        return np.stack([np.zeros(len(scores)), scores], axis=1).astype(np.float32)

    def _keep(
        self, phase: str, traffic: Traffic, scores: Scores, own: tuple[EnergyRecord, ...]
    ) -> RoundRecord:
        """Add a row to the run's tables."""
        energy, server = spent(traffic.energy), totals(own)
        record = RoundRecord(
            federation=OURS, phase=phase, round=traffic.round, accuracy=scores.accuracy,
            loss=traffic.loss, clients=traffic.clients, updates=traffic.updates,
            uplink_bytes=traffic.uplink_bytes, downlink_bytes=traffic.downlink_bytes,
            energy_measured_j=energy.measured_j, energy_estimated_j=energy.estimated_j,
            wall_s=time.monotonic() - traffic.started_s,
            server_measured_j=server.measured_j, server_estimated_j=server.estimated_j,
            metrics=scores.metrics, set_aside=traffic.set_aside,
        )  # fmt: skip
        self._run.add_round(record, traffic.energy, traffic.heads)
        self._who.keep(self._run)
        self._run.add_energy(own)
        return record

    def _write(self, grown: Grown, exchanges: int) -> None:
        """Write the model: as frames, as LightGBM's text, and what it is."""
        folder = self._run.path / "model"
        frames = grown.packed()
        write_atomically(folder / "trees.bin", frames)
        names = [f"feature_{number}" for number in range(len(grown.bins))]
        text = to_lightgbm_text(grown.forest, grown.bins, names)
        write_atomically(folder / "trees.txt", text.encode())
        about = {
            "way": str(self._way),
            "trees": len(grown.forest),
            "leaves": sum(tree.leaves for tree in grown.forest.trees),
            "features": len(grown.bins),
            "bytes": len(frames),
            "exchanges": exchanges,
        }
        self._run.write_json("model/trees.json", about)
        outcomes = count_outcomes(self._scoring.kind, {FLOAT: self._outputs()}, self._test.y)
        write_outcomes(folder, outcomes)


def _joined(before: Traffic, now: Traffic) -> Traffic:
    """Return the traffic of several exchanges that make one round."""
    now.started_s = before.started_s
    now.uplink_bytes += before.uplink_bytes
    now.downlink_bytes += before.downlink_bytes
    now.energy = before.energy + now.energy
    now.heads = before.heads + now.heads
    return now


def _entropy(share: float) -> float:
    """Return the log loss of a model that knows the base rate only."""
    return -share * math.log(share) - (1 - share) * math.log(1 - share)
