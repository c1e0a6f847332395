"""One run, top to bottom: train, prune, recover, calibrate, export, report."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp

from frugalfl import wire
from frugalfl.blocks import FloatArray, Parameters
from frugalfl.energy import EnergyRecord, spent, totals
from frugalfl.errors import FrugalFLError, Interrupted
from frugalfl.kinds import Scores
from frugalfl.modules import read_parameters, write_parameters
from frugalfl.plans import parse_plan
from frugalfl.private import split
from frugalfl.settings import Settings
from frugalfl.sizes import size_text
from frugalfl.task import Task, load_task
from frugalfl_server.cohort.client_names import Naming
from frugalfl_server.cohort.energy_limits import Control
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.cohort.quarantine import set_aside_of
from frugalfl_server.cohort.sticky_sampling import sampler_of
from frugalfl_server.cohort.training_programs import Programs
from frugalfl_server.exchange.clock import SimulatedLaps
from frugalfl_server.exchange.deadlines import RoundGrid
from frugalfl_server.export import DeviceBudget, PruningPlan, fit
from frugalfl_server.phases.calibrate import (
    FEWEST_CLIENTS,
    Answers,
    ask_clients,
    is_federated,
    keep_ranges,
    merged,
)
from frugalfl_server.phases.dry_run import dry_run
from frugalfl_server.phases.export import export_into, why_private_is_not_exported
from frugalfl_server.phases.initial_model import initial_model, model_with, pin_start
from frugalfl_server.phases.load_libraries import PHASE as SET_UP
from frugalfl_server.phases.load_libraries import set_up
from frugalfl_server.phases.prune import example_of, plan_for, prune_as_planned
from frugalfl_server.phases.public_rows import ask_for_facts, public_of, without_rows
from frugalfl_server.phases.share_counters import counters_into
from frugalfl_server.report import write_report
from frugalfl_server.rounds.buffered_rounds import add_to_last_row, metered, strategy_in
from frugalfl_server.rounds.downlink import Downlink
from frugalfl_server.rounds.evaluate import (
    check_batches,
    evaluate,
    form_of,
    outcomes_of,
    scoring_for,
)
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.flower_strategies import strategy_of
from frugalfl_server.rounds.rate_control import Steering
from frugalfl_server.rounds.stalls import step_size_after
from frugalfl_server.rounds.stopping import TrainingOver, check_stop, why_over
from frugalfl_server.rounds.strategy import FrugalStrategy
from frugalfl_server.run import summary
from frugalfl_server.run.checkpoint import (
    FILE,
    Tree,
    random_state,
    set_random_state,
    write_checkpoint,
)
from frugalfl_server.run.directory import RunDirectory, versions
from frugalfl_server.run.outcomes import write_outcomes
from frugalfl_server.run.progress import LOG, Progress, scores_text
from frugalfl_server.run.records import MEASURES, RoundRecord, known_scores
from frugalfl_server.run.resume import (
    COMPILED,
    Stopped,
    begin,
    changed_versions,
    claimed,
    compilations_of,
    to_resume,
)
from frugalfl_server.run.server_energy import server_energy

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the federation that the run config describes.

    ``run-dir`` in the node config, or the setting ``resume``, names a run directory that is there
    already; without it, a new one is made under ``runs`` in the working folder.
    """
    settings = Settings.of(context.run_config)
    task = load_task(settings.task)
    settings = pin_start(settings, task)
    given = context.node_config.get("run-dir")
    if given is not None:
        run = RunDirectory.open(Path(str(given)))
    elif settings.resume:
        run = to_resume(Path(settings.resume), settings)
    else:
        run = RunDirectory.create(Path("runs"), task.name, settings, app=None)
    with claimed(run), keeping_status(run):
        if settings.trees:
            from frugalfl_server.trees.federation import grow

            grow(_carrying(grid), settings, task, run)
        else:
            Federation(_carrying(grid), settings, task, run).conduct()
    write_report(run)


def _carrying(grid: Grid) -> Grid:
    """Let messages carry their content where there is a SuperLink, which a simulation has not."""
    if type(grid).__module__ != "flwr.superlink.grid.http_grid":
        return grid
    from frugalfl_server.exchange.flower import CarryingGrid  # 54 MB
    from frugalfl_server.exchange.own_random import leave_random_alone

    leave_random_alone()
    return CarryingGrid(grid)


@contextmanager
def keeping_status(run: RunDirectory) -> Iterator[None]:
    """Keep what is known of the run in ``summary.json`` however the ``with`` block ends.

    Raises:
        Interrupted: The user pressed Ctrl-C.
    """
    status, reason = "finished", None
    try:
        yield
    except KeyboardInterrupt as error:
        status = "interrupted"
        raise Interrupted(
            f"interrupted after {len(run.rounds)} rounds; they are in {run.path}"
        ) from error
    except BaseException as error:
        status, reason = "failed", str(error)
        raise
    finally:
        run.flush()
        run.write_json("summary.json", summary.of_run(run, status, reason))


class Federation:
    """The rounds of one run, and what is made of their result."""

    def __init__(
        self,
        grid: Grid,
        settings: Settings,
        task: Task,
        run: RunDirectory,
        quiet: bool = False,
        name: str = summary.OURS,
    ) -> None:
        self._settings = settings
        self._task = task
        self._run = run
        self._name = name
        self._who = Identities(run.path)
        self._named = Naming(self._who.client_of, getattr(grid, "client_numbers", {}))
        self._progress = Progress(settings.rounds, quiet, run.path / LOG, self._named)
        self._grid = RoundGrid(
            grid, settings.clients_per_round, settings.round_deadline,
            close_early=settings.over_select > 0, say=self._progress.say,
        )  # fmt: skip
        with self._progress.listening():
            self._facts = ask_for_facts(
                task, settings, run, self._grid, self._who, self._progress.say, self._progress.warn
            )
        self._public = public_of(task, settings, run)
        self._clients_measure = bool(settings.private) or not task.has_public_rows
        first = task.new_model()
        self._scoring = scoring_for(task, first, self._public.test, task.whose_rows)
        if not task.has_public_rows:
            self._scoring = without_rows(self._scoring, self._progress.warn)
        elif task.metrics:
            evaluate(first, self._public.test, self._scoring)  # a metric that fails, fails now
        self._form = form_of(first, self._public.test, self._scoring)
        check_stop(settings, self._scoring)
        check_batches(settings, self._form)
        self._federated = is_federated(settings, self._public)
        self._clients_scores = Scores(None, dict.fromkeys(self._scoring.measures))
        self._programs = Programs(task, settings, self._public.test, self._compiled)
        self._compilations: list[dict[str, Any]] = []
        self._downlink: Downlink | None = None
        self._control = Control(settings)
        self._aside = set_aside_of(settings)
        self._stopped: list[str] = []
        self._plan: PruningPlan | None = None
        self._ratio = 0.0
        self._left_off: Stopped | None = None
        self._resumed: tuple[int, ...] = ()
        self._energy = server_energy(run.name, settings.grid)
        self._simulated = SimulatedLaps(grid)

    def conduct(self) -> None:
        """Train, prune, recover, calibrate, export; or go on where the run was stopped."""
        try:
            with self._progress.listening():
                self._conduct()
        except FrugalFLError as error:
            error.args = (self._named(str(error)),)
            raise

    def _conduct(self) -> None:
        self._progress.say(f"run {self._run.path}")
        self._run.write_json(
            MEASURES, {"kind": self._scoring.kind.name, "measures": self._scoring.about()}
        )
        self._left_off, self._resumed = begin(self._run)
        if self._facts and self._name == summary.OURS:
            asked, cost = self._facts
            self._run.add_round(asked, cost.energy, cost.heads)
        stopped = self._left_off
        if self._resumed:
            self._tell_of_resuming()
            self._compilations = compilations_of(self._run)
        if self._settings.prunes:
            self._set_up("prune")
        if stopped is None:
            self._try_on_shapes()
        phase = stopped.phase if stopped else "train"
        ratio = stopped.tree["ratio"] if stopped else self._pruning_ratio()
        if phase == "train":
            ratio = self._planned(ratio)
        self._ratio = ratio
        recover = self._settings.recover_rounds if ratio else 0
        self._progress.expect(self._settings.rounds + recover)
        after = recover + (self._federated and self._settings.export)
        self._control.keep_back(after / max(self._settings.rounds + after, 1))
        if self._settings.shares_counters:
            self._share_counters()
        if stopped is None or phase == "train":
            module = self.train()
            if not self._settings.rounds:
                self._begin_with(module)
            if self._plan:
                module = self._prune(module, self._plan)
        else:
            module = model_with(self._task, stopped.model)
        self._control.keep_back(0)
        if ratio and phase != "calibrate":
            self._rounds(
                module, "recover", self._settings.recover_rounds, self._settings.rounds + 1
            )
        self._run.flush()
        if self._settings.private:
            self._progress.say(f"no export: {why_private_is_not_exported(self._settings)}")
            return
        if self._task.has_public_rows:
            # If there is no export, or it fails, these are what a report has.
            write_outcomes(
                self._run.path / "model", outcomes_of(module, self._public.test, self._scoring)
            )
        if not self._settings.export:
            self._progress.say("no export: export is false; the model is in checkpoints/model.npz")
            return
        if self._federated and phase != "calibrate":
            keep_ranges(self._run, read_parameters(module), self.calibrate(module))
            self._checkpoint("calibrate", 1, read_parameters(module))
        self._progress.say("export: convert, quantize to int8, run the same rows in every form")
        self._set_up("export")
        with self._energy.window("export", round=self._last_round()):
            result = export_into(
                self._run, module, self._task, self._settings, self._run.path / "model"
            )
        self._run.add_energy(self._energy.take())
        if result.verification.unchecked:
            self._progress.warn(result.verification.unchecked)

    def _try_on_shapes(self) -> None:
        """Find before the first round what would go wrong after the last one."""
        with self._energy.window(SET_UP, round=0):
            lines = dry_run(self._task, self._settings, self._public.test)
        self._run.add_energy(self._energy.take())
        for line in lines:
            self._progress.warn(line)

    def _tell_of_resuming(self) -> None:
        self._progress.say(
            f"resume after {len(self._run.rounds)} finished rounds"
            if self._left_off
            else "resume: no round was finished, so it begins with the first one"
        )
        changed = changed_versions(self._run, versions())
        if changed:
            self._progress.warn(f"{changed}: the bits may differ from those of an unbroken run")

    def _share_counters(self) -> None:
        module = initial_model(self._task, self._settings)
        before = evaluate(module, self._public.test, self._scoring)
        counters_into(
            self._run, self._grid, self._settings.clients_per_round, before, self._progress.say,
            self._progress.warn, self._settings.counters_at_least, self._who,
        )  # fmt: skip

    def _last_round(self) -> int:
        return self._run.rounds[-1].round if self._run.rounds else 0

    def _compiled(self, figures: dict[str, Any]) -> None:
        """Keep what is known of a training program that was compiled for clients."""
        self._progress.say(
            f"compile: {len(figures['trained'])} tensors train, {size_text(figures['bytes'])}"
        )
        if self._name == summary.OURS and figures not in self._compilations:
            self._compilations.append(figures)
            self._run.write_json(COMPILED, {"programs": self._compilations})

    def train(self, module: torch.nn.Module | None = None) -> torch.nn.Module:
        """Run the rounds on a model, by default the one that the settings begin with."""
        if module is None:
            module = initial_model(self._task, self._settings)
        random.seed(self._settings.seed)  # Flower samples clients from this generator
        with self._progress.listening():
            self._rounds(module, "train", self._settings.rounds, first=1)
        return module

    def _begin_with(self, module: torch.nn.Module) -> None:
        """Where no round trains: keep the model that the run begins with, and what it scores."""
        if self._settings.private:
            return
        self._run.checkpoint(read_parameters(module), phase="train", round=0)
        if self._clients_measure:
            return
        scores = evaluate(module, self._public.test, self._scoring)
        about = {"accuracy": scores.accuracy, "metrics": dict(scores.metrics)}
        self._run.write_json(summary.START, about)
        self._progress.say(f"start:{scores_text(scores.accuracy, scores.metrics)}")

    def _pruning_ratio(self) -> float:
        """Return the share of channels to prune; with a budget, the least that makes it fit.

        That does not depend on the weights. So a budget that no model can meet is found before
        the first round.
        """
        budget = DeviceBudget.of_settings(self._settings)
        if not budget.limited:
            return self._settings.prune
        self._progress.say("fit: the largest model within the budget")
        module = initial_model(self._task, self._settings)
        with self._energy.window("prune", round=0):
            found = fit(module, example_of(self._public.test), budget, self._progress.say)
        self._run.add_energy(self._energy.take())
        self._run.write_json("fit.json", found.to_dict())
        return found.ratio

    def _planned(self, ratio: float) -> float:
        """Plan the pruning; return the ratio, or 0 if nothing can become narrower."""
        if not ratio:
            return 0.0
        plan = plan_for(self._task, self._settings, self._public.test, ratio)
        self._run.write_json(summary.PRUNING, plan.to_dict())
        if not plan.narrowed:
            return 0.0
        self._plan = plan
        return ratio

    def _prune(self, module: torch.nn.Module, plan: PruningPlan) -> torch.nn.Module:
        with self._energy.window("prune", round=self._last_round()):
            pruned, report = prune_as_planned(plan, self._task, module, self._public.test)
        self._run.add_energy(self._energy.take())
        self._progress.say(
            f"prune: {report.parameters_before:,} parameters become {report.parameters_after:,}"
        )
        if self._downlink is not None:
            self._downlink.prune(report.kept)
        if not self._settings.recover_rounds:
            self._run.checkpoint(read_parameters(pruned), phase="prune", round=self._last_round())
        return pruned

    def _rounds(self, module: torch.nn.Module, phase: str, rounds: int, first: int) -> None:
        """Run federated rounds on the module's parameters, and leave the result in it."""
        settings = self._settings
        parameters, _ = split(read_parameters(module), settings.private)
        seed = settings.seed if settings.initial == "seeded" and phase == "train" else None
        if settings.start_from:
            seed = None  # these weights were trained, not drawn
        downlink = self._downlink_from(parameters, first, seed)
        if rounds == 0:
            return
        self._programs.follow(module)
        self._set_up_compiler()
        strategy = strategy_in(settings)(
            strategy_of(settings), downlink, parse_plan(settings.refresh),
            Steering(settings.uplink, settings.uplink_budget), self._run.name, first,
            on_failure=self._progress.warn, seed=settings.seed,
            sampler=sampler_of(settings),
            control=self._control if self._control.active else None,
            programs=self._programs, resumed=self._resumed,
            quorum=settings.quorum, over_select=settings.over_select,
            norm_bound=settings.norm_bound, set_aside=self._aside, identities=self._who,
            form=self._form,
        )  # fmt: skip
        left = self._go_on(phase, module, strategy)
        done = left.done if left else 0

        def set_step_size(number: int) -> None:
            """Before a round of this phase, from 1."""
            own = [r for r in self._run.rounds if (r.federation, r.phase) == (self._name, phase)]
            at = first - 1 + number
            strategy.learning_rate = step_size_after(own, self._scoring, settings, at)

        def finish_round(number: int, arrays: ArrayRecord) -> MetricRecord | None:
            if number == 0:
                return None
            number += done
            write_parameters(module, unpack(arrays))
            scores = self._score(module, strategy)
            own = self._energy.take()
            record = self._record(phase, strategy, scores, own)
            if self._name == summary.OURS:
                self._run.add_round(record, strategy.traffic.energy, strategy.traffic.heads)
                self._run.add_energy(own)
                self._run.checkpoint(unpack(arrays), phase=phase, round=record.round)
                self._aside.keep(self._run, self._who.client_of)
                self._who.keep(self._run)
                self._checkpoint(phase, number, unpack(arrays), strategy)
            else:
                self._run.add_round(record)
            self._progress.round_done(record)
            self._set_up_compiler()
            self._end_if_over(phase, number, rounds)
            set_step_size(number + 1)
            return known_scores(record)

        begin_with = pack(left.model if left else parameters)
        try:
            self._end_if_over(phase, done, rounds)
            set_step_size(done + 1)
            metered(strategy, self._energy, first, settings, self._progress.say, done).start(
                self._grid, begin_with, num_rounds=rounds - done, evaluate_fn=finish_round
            )
        except TrainingOver as over:
            self._ended_early(phase, rounds, str(over))
        finally:
            if self._name == summary.OURS:
                self._aside.keep(self._run)
        if settings.asynchronous:
            late = strategy.traffic
            add_to_last_row(self._run, late, self._simulated.lap())
            if self._name == summary.OURS:
                self._run.add_energy(late.energy)
                self._run.heads += late.heads

    def _set_up_compiler(self) -> None:
        """Load the compiler of training programs, once a client needs one."""
        if self._programs.any_needed:
            self._set_up("compile")

    def _set_up(self, work: Literal["prune", "compile", "export"]) -> None:
        """Load what some work needs, and keep what that took apart from any round's joules."""
        set_up(self._energy, work, self._last_round())
        own = self._energy.take()
        if self._name == summary.OURS:
            self._run.add_energy(own)

    def _end_if_over(self, phase: str, done: int, rounds: int) -> None:
        """End training after so many rounds of its phase where a limit says so.

        Raises:
            TrainingOver: With the reason.
        """
        if phase != "train" or not 0 < done < rounds:
            return
        ours = [r for r in self._run.rounds if r.federation == self._name]
        if why := why_over(self._settings, ours, self._scoring):
            raise TrainingOver(why)

    def _go_on(
        self, phase: str, module: torch.nn.Module, strategy: FrugalStrategy
    ) -> Stopped | None:
        """Put everything back to where this phase was stopped; ``None``: it begins."""
        left, self._left_off = self._left_off, None
        if left is None or left.phase != phase:
            return None
        write_parameters(module, left.model)
        tree = left.tree
        self._stopped = tree["stopped"]
        self._clients_scores = Scores(tree["clients_accuracy"], tree["clients_metrics"])
        if self._downlink is not None:
            self._downlink.restore(tree["downlink"])
        self._control.restore(tree["control"])
        self._aside.restore(tree["aside"])
        if "identities" in tree:  # checkpoints from before have none
            self._who.restore(tree["identities"])
        self._programs.restore(tree["programs"])
        strategy.restore(tree["strategy"])
        set_random_state(tree["random"])
        return left

    def _checkpoint(
        self, phase: str, done: int, model: Parameters, strategy: FrugalStrategy | None = None
    ) -> None:
        """Write down all that the next round depends on; without rounds that is not all."""
        if self._settings.asynchronous:
            return
        try:
            tree: Tree = {
                "run": self._run.name,
                "phase": phase,
                "done": done,
                "ratio": self._ratio,
                "model": model,
                "clients_accuracy": self._clients_scores.accuracy,
                "clients_metrics": dict(self._clients_scores.metrics),
                "stopped": self._stopped,
                "random": random_state(),
                "downlink": None if self._downlink is None else self._downlink.state(),
                "control": self._control.state(),
                "aside": self._aside.state(),
                "identities": self._who.state(),
                "programs": self._programs.state(),
                "strategy": None if strategy is None else strategy.state(),
                "tables": self._run.position(),
            }
            write_checkpoint(self._run.path / FILE, tree)
        except TypeError as error:
            self._progress.warn(f"this run could not be resumed: {error}")

    def _ended_early(self, phase: str, rounds: int, why: str) -> None:
        done = [r for r in self._run.rounds if (r.federation, r.phase) == (self._name, phase)]
        told = f"{phase} ended after {len(done)} of {rounds} rounds: {why}"
        self._progress.say(told)
        if self._name == summary.OURS:
            self._stopped.append(told)
            self._run.write_json(summary.STOPPED, {"why": "; ".join(self._stopped)})

    def _downlink_from(self, parameters: Parameters, first: int, seed: int | None) -> Downlink:
        """Return what brings clients on; a new one where what they hold is of no more use."""
        settings = self._settings
        if self._downlink is None:
            self._downlink = Downlink(
                parameters, settings.downlink, first, seed, settings.downlink_budget,
                settings.updates_per_step,
            )  # fmt: skip
        return self._downlink

    def calibrate(self, module: torch.nn.Module) -> FloatArray:
        """Ask clients for the ranges of the final model: as many as a round has, 10 at least.

        Returns:
            Shape ``(tensors, 2)``, merged.

        Raises:
            FederationError: Not one client gave ranges that can be used.
        """
        parameters = read_parameters(module)
        number = self._run.rounds[-1].round + 1 if self._run.rounds else 1
        downlink = self._downlink_from(parameters, number, None)
        # Between rounds the view may lag behind, but ranges of another model are coarse scales.
        downlink.advance(parameters, fine=True)
        everybody = sorted(self._grid.get_node_ids())
        # Without ranges there is no model: where nobody may be asked, somebody has to be.
        sound = [node for node in everybody if not self._aside.rests(node)]
        nodes = [node for node in sound if self._control.may_answer(node)] or sound or everybody
        wanted = max(self._settings.clients_per_round, FEWEST_CLIENTS)
        chosen = random.sample(nodes, min(len(nodes), wanted))
        question = wire.CalibrateRequest(
            self._run.name, number, -1, -1, b"", self._settings.calibration_percentile,
            resumed=self._resumed,
        )  # fmt: skip
        self._programs.follow(module)
        answers = ask_clients(self._grid, downlink, chosen, question, self._programs, self._who)
        record = self._calibrated(number, module, answers)
        if self._name == summary.OURS:
            self._run.add_round(record, answers.energy, answers.heads)
            self._who.keep(self._run)
        else:
            self._run.add_round(record)
        self._run.flush()
        shape = self._public.test.x.shape[1:]
        ranges = merged(answers, module, shape, on_failure=self._progress.warn)
        self._progress.say(
            f"calibrate: {len(ranges)} ranges from {len(answers.ranges)} clients"
            f"  up {size_text(record.uplink_bytes)}  down {size_text(record.downlink_bytes)}"
        )
        if not self._task.has_public_rows:
            self._progress.say(
                "the final model, on rows that clients held out:"
                f"{scores_text(record.accuracy, record.metrics)}"
            )
        return ranges

    def _calibrated(self, number: int, module: torch.nn.Module, answers: Answers) -> RoundRecord:
        energy = spent(answers.energy)
        if self._task.has_public_rows:
            scores = evaluate(module, self._public.test, self._scoring)
        else:
            scores = answers.measured.scores(self._scoring) or self._clients_scores
        return RoundRecord(
            federation=self._name,
            phase="calibrate",
            round=number,
            accuracy=scores.accuracy,
            loss=None,
            clients=answers.clients,
            updates=0,
            uplink_bytes=answers.uplink_bytes,
            downlink_bytes=answers.downlink_bytes + self._grid.again_bytes(),
            energy_measured_j=energy.measured_j,
            energy_estimated_j=energy.estimated_j,
            wall_s=time.monotonic() - answers.started_s,
            program_bytes=answers.program_bytes,
            simulated_s=self._simulated.lap(),
            metrics=scores.metrics,
        )

    def _score(self, module: torch.nn.Module, strategy: FrugalStrategy) -> Scores:
        """Return the scores of a round: the server's, or the clients' where only they can measure.

        Without public rows these are of the model that the round began with.
        """
        if not self._clients_measure:
            test = self._public.test
            number = strategy.traffic.round
            with self._energy.window("evaluate", round=number, samples=len(test)) as window:
                scores = evaluate(module, test, self._scoring)
                window.correct = scores.right
            return scores
        measured = strategy.traffic.measured.scores(self._scoring)
        if measured is not None:  # else nobody trained, and nothing is known to have changed
            self._clients_scores = measured
        return self._clients_scores

    def _record(
        self, phase: str, strategy: FrugalStrategy, scores: Scores, own: Iterable[EnergyRecord]
    ) -> RoundRecord:
        traffic = strategy.traffic
        energy, server = spent(traffic.energy), totals(own)
        return RoundRecord(
            federation=self._name,
            phase=phase,
            round=traffic.round,
            accuracy=scores.accuracy,
            loss=traffic.loss,
            clients=traffic.clients,
            updates=traffic.updates,
            uplink_bytes=traffic.uplink_bytes,
            downlink_bytes=traffic.downlink_bytes + self._grid.again_bytes(),
            energy_measured_j=energy.measured_j,
            energy_estimated_j=energy.estimated_j,
            wall_s=time.monotonic() - traffic.started_s,
            server_measured_j=server.measured_j,
            server_estimated_j=server.estimated_j,
            skipped=traffic.skipped,
            program_bytes=traffic.program_bytes,
            late=traffic.late,
            simulated_s=self._simulated.lap(),
            set_aside=traffic.set_aside,
            metrics=scores.metrics,
        )
