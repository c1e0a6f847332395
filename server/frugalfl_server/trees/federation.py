"""A run that grows trees, top to bottom: counters, bins, rounds, the model in its files."""

from __future__ import annotations

import logging
import random
from contextlib import suppress

from flwr.app import ArrayRecord
from flwr.serverapp import Grid

from frugalfl.energy import EnergyRecord
from frugalfl.kinds import Scores, scoring_of
from frugalfl.settings import Settings
from frugalfl.sizes import size_text
from frugalfl.task import Task
from frugalfl.trees.ways import BAGGING, CYCLIC, HISTOGRAM, Way
from frugalfl_server.cohort.client_names import Naming
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.cohort.quarantine import Quarantine
from frugalfl_server.exchange.cost import Cost
from frugalfl_server.exchange.deadlines import RoundGrid
from frugalfl_server.phases.check_task import rows_for_trees
from frugalfl_server.phases.share_counters import counters_into, wait_for
from frugalfl_server.rounds.stopping import TrainingOver
from frugalfl_server.rounds.synchronous import SynchronousRounds
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.progress import LOG, Progress
from frugalfl_server.run.records import MEASURES, RoundRecord
from frugalfl_server.run.resume import StoppedAt, begin, tell_of_resuming
from frugalfl_server.run.server_energy import server_energy
from frugalfl_server.run.sink import RunSink
from frugalfl_server.trees.agree_bins import Agreement
from frugalfl_server.trees.bagging import Bagging, Cyclic
from frugalfl_server.trees.exchanges import Exchanges
from frugalfl_server.trees.growing import Growing, most_exchanges
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.guard import Guard
from frugalfl_server.trees.histogram import Histogram
from frugalfl_server.trees.model_files import write_model
from frugalfl_server.trees.refit import Refit
from frugalfl_server.trees.server_rows import ServerRows
from frugalfl_server.trees.strategy import TreeStrategy

_log = logging.getLogger(__name__)


def grow(grid: Grid, settings: Settings, task: Task, run: RunDirectory) -> None:
    """Run a federation of trees to its end, or go on where it was stopped.

    Raises:
        FederationError: Clients cannot go on.
        TaskError: The task is none of two classes.
        RunError: It was stopped, and cannot be resumed.
    """
    way = settings.train.tree_way
    assert way is not None  # the ServerApp asks before it comes here
    TreeFederation(grid, settings, task, run, way).conduct()


class TreeFederation:
    """The rounds of one run, and what is made of their result."""

    def __init__(
        self, grid: Grid, settings: Settings, task: Task, run: RunDirectory, way: Way
    ) -> None:
        self._settings, self._run, self._way = settings, run, way
        test = rows_for_trees(task, settings)
        self._rounds = way.trees if way.name == HISTOGRAM else settings.rounds.count
        self._who = Identities(run.path)
        named = self._named = Naming(self._who.client_of, getattr(grid, "client_numbers", {}))
        self._progress = Progress(self._rounds, log=run.path / LOG, named=named)
        self._grid = RoundGrid(
            grid, settings.rounds.clients_per_round, settings.rounds.round_deadline
        )
        self._energy = server_energy(run.name, settings.energy.electricity)
        quarantine = Quarantine(settings.rounds.patience, settings.rounds.clients_per_round)
        self._guard = Guard(quarantine, compares=bool(settings.rounds.norm_bound))
        self._test = ServerRows(test, scoring_of(task), self._energy)

    def conduct(self) -> None:
        """Agree on bins, grow trees, write the model."""
        with self._progress.listening():
            self._conduct()

    def _conduct(self) -> None:
        _log.info(f"run {self._run.path}")
        self._run.write_json(
            MEASURES, {"kind": self._test.scoring.kind.name, "measures": self._test.scoring.about()}
        )
        stopped, resumed = begin(self._run)
        if resumed:
            tell_of_resuming(self._run, stopped)
        random.seed(self._settings.run.seed)
        grown = self._agreed() if stopped is None else Grown.of_state(stopped.tree["grown"])
        growing = growing_of(self._way, grown, self._guard, self._settings.run.seed)
        done = 0
        if stopped is None:
            self._checkpoint(0, grown, growing)
        else:
            done = self._go_on(stopped, growing)
        self._test.follow_all(grown)
        asking = Exchanges(
            growing, grown, self._way, self._run.name, self._guard, self._who, resumed
        )
        try:
            exchanges = self._grow(
                TreeStrategy(growing, grown, asking, self._guard), grown, growing, done
            )
        finally:
            self._guard.quarantine.write(self._run, self._named.client_of)
        self._run.flush()
        write_model(self._run, self._way, grown, exchanges, self._test)
        _log.info(f"model: {len(grown.forest)} trees, {size_text(sum(map(len, grown.segments)))}")

    def _agreed(self) -> Grown:
        """Share counters, if the settings say so, and agree on bins and base rate.

        Raises:
            FederationError: Nobody gave any, or there are rows of one class only.
        """
        fewest = self._settings.rounds.clients_per_round
        if self._settings.train.shares_counters:
            at_least, scores = self._settings.train.counters_at_least, self._test.score(0)
            counters_into(self._run, self._grid, fewest, scores, at_least, self._who)
        cost = Cost(0)
        agreement = Agreement(
            self._run.name, self._who, self._guard, self._test.features, self._way.bins, cost
        )
        grown, line = agreement.reach(self._grid, wait_for(self._grid, fewest))
        scores = self._test.score(0)
        self._keep("bins", cost, scores, self._energy.take())
        _log.info(line)
        return grown

    def _grow(self, strategy: TreeStrategy, grown: Grown, growing: Growing, exchanges: int) -> int:
        """Run the rounds; return how many times clients were asked, of these so many before."""
        before, cost, done = grown.version, Cost(1), exchanges
        if before - 1 >= self._rounds:
            return done

        def finish_round(number: int, arrays: ArrayRecord) -> ArrayRecord:
            nonlocal before, cost, exchanges
            exchanges = number
            strategy.cost.join(cost)
            cost = strategy.cost
            if grown.version == before:
                return arrays  # a tree that is not finished yet
            self._test.follow(grown.added)
            before = grown.version
            cost.round = before - 1
            scores = self._test.score(cost.round)
            record = self._keep("train", cost, scores, self._energy.take())
            self._checkpoint(exchanges, grown, growing)
            self._progress.round_done(record)
            cost = Cost(before)
            if before - 1 == self._rounds:
                raise TrainingOver("all trees are grown")
            return arrays

        with suppress(TrainingOver):
            SynchronousRounds(strategy, self._energy, 1, done).run(
                self._grid, ArrayRecord(), most_exchanges(self._way, self._rounds), finish_round
            )
        return exchanges

    def _keep(
        self, phase: str, cost: Cost, scores: Scores, own: tuple[EnergyRecord, ...]
    ) -> RoundRecord:
        """Add a row to the run's tables."""
        record = cost.record(phase, scores, own)
        self._run.add_round(record, cost.energy, cost.heads)
        self._who.write(self._run)
        self._run.add_energy(own)
        return record

    def _checkpoint(self, exchanges: int, grown: Grown, growing: Growing) -> None:
        """Write down all that the next step depends on."""
        RunSink(self._run).write_checkpoint(
            {
                "phase": "train",
                "done": exchanges,
                "next": exchanges + 1,
                "model": {},
                "grown": grown.state(),
                "growing": growing.state(),
                "guard": self._guard.state(),
                "identities": self._who.state(),
            }
        )

    def _go_on(self, stopped: StoppedAt, growing: Growing) -> int:
        """Put everything back to where the run was stopped; return how often clients were asked."""
        growing.restore(stopped.tree["growing"])
        self._guard.restore(stopped.tree["guard"])
        self._who.restore(stopped.tree["identities"])
        return stopped.done


def growing_of(way: Way, grown: Grown, guard: Guard, seed: int) -> Growing:
    """Build what a way of growing trees names.

    Args:
        way: The way.
        grown: The model, to which it adds.
        guard: What is known of the clients.
        seed: Of the rounding of gradients in histograms.
    """
    if way.name == HISTOGRAM:
        return Histogram(grown, way, guard, seed)
    kinds: dict[str, type[Bagging] | type[Refit]] = {BAGGING: Bagging, CYCLIC: Cyclic}
    return kinds.get(way.name, Refit)(grown, way, guard)
