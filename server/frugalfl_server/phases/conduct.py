"""The phases of a run, in order: those that are left of it, if it was stopped."""

from __future__ import annotations

import logging

import torch

from frugalfl.modules import read_parameters
from frugalfl_server.phases.calibrate import calibrate
from frugalfl_server.phases.dry_run import try_on_shapes
from frugalfl_server.phases.export import export, why_private_is_not_exported
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.initial_model import initial_model, model_with
from frugalfl_server.phases.kept_ranges import keep_ranges
from frugalfl_server.phases.prune import plan_pruning_of, prune, ratio_of
from frugalfl_server.phases.share_counters import counters_into
from frugalfl_server.phases.train import recover, train
from frugalfl_server.rounds.evaluate import evaluate, outcomes_of
from frugalfl_server.run.outcomes import write_outcomes
from frugalfl_server.run.records import MEASURES
from frugalfl_server.run.resume import begin, compilations_of, tell_of_resuming

_log = logging.getLogger(__name__)


def conduct(federation: Federation) -> None:
    """Train, prune, recover, calibrate, export; or go on from where the run was stopped."""
    with federation.telling():
        stopped_in = _begin(federation)
        _plan(federation)
        if federation.settings.train.shares_counters:
            _share_counters(federation)
        module = _trained(federation, stopped_in)
        federation.limits.keep_back(0)
        if federation.ratio and stopped_in != "calibrate":
            recover(federation, module)
        federation.run.flush()
        if _is_exported(federation, module):
            if federation.clients_calibrate and stopped_in != "calibrate":
                _calibrate(federation, module)
            export(federation, module)


def _begin(federation: Federation) -> str:
    """Begin a run, or go back to its checkpoint; return the phase in which it was stopped."""
    run = federation.run
    _log.info(f"run {run.path}")
    for key, choice in run.chosen.items():
        _log.info(f"{key} = {choice}")
    measured = {"kind": federation.scoring.kind.name, "measures": federation.scoring.about()}
    run.write_json(MEASURES, measured)
    federation.left_off, federation.clients.resumed = begin(run)
    if federation.facts:
        row, cost = federation.facts
        federation.sink.add_round(row, cost.energy, cost.heads)
    if federation.clients.resumed:
        tell_of_resuming(run, federation.left_off)
        federation.compilations = compilations_of(run)
    return federation.left_off.phase if federation.left_off else ""


def _plan(federation: Federation) -> None:
    """Find out what the run will do: what it prunes, how many rounds, what energy is kept back."""
    settings, stopped = federation.settings, federation.left_off
    if settings.export.prunes:
        federation.set_up("prune")
    if stopped is None:
        try_on_shapes(federation)
    ratio = stopped.tree["ratio"] if stopped else ratio_of(federation)
    if stopped is None or stopped.phase == "train":
        plan_pruning_of(federation, ratio)
    else:
        federation.ratio = ratio
    recovery = settings.export.recover_rounds if federation.ratio else 0
    if stopped is None and settings.export.recovers_in_vain:
        _log.info(
            f"recover-rounds is {settings.export.recover_rounds}, but with prune = 0 nothing is "
            "pruned: there is nothing to recover, and these rounds are left out"
        )
    federation.progress.expect(settings.rounds.count + recovery)
    after = recovery + (federation.clients_calibrate and settings.export.enabled)
    federation.limits.keep_back(after / max(settings.rounds.count + after, 1))


def _share_counters(federation: Federation) -> None:
    settings = federation.settings
    before = evaluate(
        initial_model(federation.task, settings), federation.public.test, federation.scoring
    )
    counters_into(
        federation.run, federation.grid, settings.rounds.clients_per_round, before,
        settings.train.counters_at_least, federation.clients.identities,
    )  # fmt: skip


def _trained(federation: Federation, stopped_in: str) -> torch.nn.Module:
    """Return the trained and pruned model; if these phases are over, that of the checkpoint."""
    if federation.left_off is None or stopped_in == "train":
        return prune(federation, train(federation))
    return model_with(federation.task, federation.left_off.model)


def _is_exported(federation: Federation, module: torch.nn.Module) -> bool:
    """Say whether a run ends with a model file; if not, tell why."""
    settings = federation.settings
    if settings.wire.private:
        _log.info(f"no export: {why_private_is_not_exported(settings)}")
        return False
    if federation.task.has_public_rows:
        # If there is no export, or it fails, these are what a report has.
        outcomes = outcomes_of(module, federation.public.test, federation.scoring)
        write_outcomes(federation.run.path / "model", outcomes)
    if not settings.export.enabled:
        _log.info("no export: export is false; the model is in checkpoints/model.npz")
    return settings.export.enabled


def _calibrate(federation: Federation, module: torch.nn.Module) -> None:
    model = read_parameters(module)
    keep_ranges(federation.run, model, calibrate(federation, module))
    federation.write_checkpoint("calibrate", 1, model)
