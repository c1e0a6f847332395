"""The sentences and the few numbers that a reader sees first, on the page and on the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frugalfl.energy import SERVER
from frugalfl.metrics import number
from frugalfl.sizes import size_text
from frugalfl_server.report.run_facts import TREES, Facts
from frugalfl_server.report.texts import (
    beside,
    carbon,
    duration,
    energy,
    less,
    percent,
    whole_energy,
)
from frugalfl_server.run.directory import MODEL

BASELINE_NAME = "Flower FedAvg float32"


@dataclass(frozen=True)
class Headline:
    """One number.

    Attributes:
        name: What it is.
        value: The number with its unit.
        note: What it compares with, or where it holds; may be empty.
    """

    name: str
    value: str
    note: str


def status(facts: Facts) -> str:
    """Say in one sentence how the run ended."""
    done = f"{len(facts.done)} of {facts.planned} rounds"
    match facts.summary["status"]:
        case "finished":
            return _finished(done, facts.summary["stopped"] or "")
        case "interrupted":
            return f"Interrupted after {done}; the figures cover what was done."
        case "failed":
            return f"Failed after {done}: {facts.summary['reason'] or 'no reason was recorded'}"
        case _:
            return (
                f"Unfinished: {done}. There is no summary.json, so the run is still going or was "
                "killed."
            )


def _finished(done: str, stopped: str) -> str:
    _, same, why = stopped.partition(f" ended after {done}: ")
    if same:
        return f"Finished after {done}: {why}."
    return f"Finished: {done}{f'; {stopped}' if stopped else ''}."


def missing(facts: Facts) -> list[str]:
    """Say what a complete run would have and this one has not."""
    notes = []
    if not facts.ours:
        notes.append("No round was finished, so there is nothing to compare yet.")
    if facts.export is None and facts.trees is None:
        kept = f"; the newest model is {MODEL}" if facts.run.has_checkpoint else ""
        notes.append(f"Nothing was exported, so there are no figures of an int8 model{kept}.")
    if not facts.baseline:
        notes.append(f"No baseline was run; frugalfl simulate --baseline adds {BASELINE_NAME}.")
    elif not facts.baseline_complete:
        notes.append(
            f"The baseline stopped after {len(facts.baseline)} of {facts.summary['rounds']} "
            "rounds, so its totals are too small."
        )
    if skipped := facts.summary["skipped"]:
        notes.append(
            f"{skipped:,} times a client could not be asked in a round, because of energy-budget "
            "or min-battery."
        )
    if not facts.run.energy:
        notes.append("There are no energy records, so joules by client are not known.")
    return notes


def headlines(facts: Facts) -> list[Headline]:
    """Return the numbers of a run; those that are not known say so."""
    return [
        *_scores(facts),
        *_slim(facts),
        _upload(facts),
        _traffic(facts),
        _energy(facts),
        _whole_energy(facts),
        Headline("wall time", duration(facts.summary["wall_s"]), "all rounds, without export"),
        _model(facts),
    ]


def scored_on(facts: Facts) -> str:
    """Say which rows the measures by round are of."""
    if facts.about["settings"].get("private"):
        return "Measures are those of the clients’ own models, on rows that they hold out."
    by_server = [
        one for one in facts.run.energy if one.client == SERVER and one.phase == "evaluate"
    ]
    if facts.run.energy and not by_server:
        return "Measures are those of the global model, as clients measured it on their own rows."
    return "Measures are those of the global model after each round, on the server’s test rows."


def comparison(facts: Facts) -> str:
    """Say how many bytes each federation needed, in all and for the same accuracy."""
    own = f"FrugalFL sent {size_text(facts.total_bytes)} in all."
    if not facts.comparable:
        return own
    own = (
        f"FrugalFL sent {size_text(facts.total_bytes)} in all, {BASELINE_NAME} "
        f"{size_text(facts.baseline_bytes)}: {less(facts.total_bytes, facts.baseline_bytes)}."
    )
    ours, other = (facts.bytes_to_target(rounds) for rounds in (facts.ours, facts.baseline))
    if ours is None or other is None:
        return own
    return (
        f"{own} To reach {facts.score_text(facts.target)} for the first time, {size_text(ours)} "
        f"against {size_text(other)}: {less(ours, other)}."
    )


def slim_sentence(facts: Facts) -> str:
    """Say whether pruning a large model or training a small one did better; empty without both.

    The int8 models are compared, on the same rows, and in rows: a point is few of them.
    """
    if not facts.slim or facts.export is None or not facts.summary["slim"]["model"]:
        return ""
    if facts.metric:
        return _slim_metric(facts, facts.metric)
    rows = facts.export["verification"]["rows"]
    apart = facts.summary["accuracy_int8"] - facts.summary["slim"]["accuracy_int8"]
    more = round(abs(apart) * rows)
    if more == 0:
        return f"as int8 both get the same number of {rows:,} test rows right"
    winner = "the pruned model" if apart > 0 else "the model trained slim from scratch"
    return f"as int8 {winner} gets {more:,} more of {rows:,} test rows right"


def _slim_metric(facts: Facts, name: str) -> str:
    pruned, slim = (of["metrics_int8"].get(name) for of in (facts.summary, facts.summary["slim"]))
    return (
        f"as int8 the pruned model has {facts.name_of(name)} {number(pruned)}, the model trained "
        f"slim from scratch {number(slim)}"
    )


def _slim(facts: Facts) -> list[Headline]:
    if not facts.slim:
        return []
    figures = facts.summary["slim"]
    note = slim_sentence(facts) or "float; not exported"
    if facts.metric:
        both = [figures[key].get(facts.metric) for key in ("metrics_int8", "metrics")]
        value = number(next((one for one in both if one is not None), None))
        return [Headline("slim from scratch", value, note)]
    known = figures["accuracy_int8"] is not None
    value = percent(figures["accuracy_int8"] if known else figures["accuracy"])
    return [Headline("slim from scratch", value, note)]


def _scores(facts: Facts) -> list[Headline]:
    """Return what the model is measured by, the first measure first."""
    metrics = [_metric(facts, name) for name in facts.metrics]
    if not facts.has_accuracy:
        return metrics or [_unknown(facts)]
    both = [_accuracy(facts), _accuracy_int8(facts)]
    return [*metrics, *both] if facts.metric else [*both, *metrics]


def _unknown(facts: Facts) -> Headline:
    return Headline(facts.drawn, "–", "no round was finished")


def _metric(facts: Facts, name: str) -> Headline:
    trained = facts.summary["metrics"].get(name)
    note = f"float; int8 {number(facts.summary['metrics_int8'].get(name))}"
    if facts.recovered and facts.outcomes:
        note = _before_and_after(facts, name)
    if facts.baseline:
        note += f"; baseline {number(facts.baseline[-1].metrics.get(name))}"
    if trained is None and facts.summary["rounds"] == 0:  # recovery rounds alone
        trained = facts.ours[-1].metrics[name]
    return Headline(facts.name_of(name), number(trained), f"{note}; {facts.direction(name)}")


def _before_and_after(facts: Facts, name: str) -> str:
    """Say which model each value is of: pruning changes it, and so it may not be int8 that does."""
    recovered = number(facts.recovered[-1].metrics.get(name))
    int8 = number(facts.summary["metrics_int8"].get(name))
    return f"float, before pruning; pruned: float {recovered}, int8 {int8}"


def _accuracy(facts: Facts) -> Headline:
    if not facts.ours:
        return Headline("accuracy", "–", "no round was finished")
    start = facts.about["settings"].get("start-from")
    if start and facts.summary["accuracy"] is None:
        rounds = len(facts.ours)
        note = f"float, pruned, {rounds} recovery rounds on the model of {Path(start).name}"
        return Headline("accuracy", percent(facts.ours[-1].accuracy), note)
    rounds = facts.summary["rounds"]
    note = f"float, {rounds} {'round' if rounds == 1 else 'rounds'}"
    if facts.about["settings"].get("private"):
        note += "; mean of the clients' own models, on their own rows"
    if facts.baseline:
        note += f"; baseline {percent(facts.baseline[-1].accuracy)}"
    return Headline("accuracy", percent(facts.summary["accuracy"]), note)


def _accuracy_int8(facts: Facts) -> Headline:
    if facts.export is None:
        why = "not exported" if facts.trees is None else "trees have no int8 file"
        return Headline("accuracy int8", "–", why)
    if facts.export["verification"].get("drawn"):
        return Headline("accuracy int8", "–", "not measured: the server has no test rows")
    in_micro = facts.export["verification"]["accuracy"]["tflite_micro_int8"] is not None
    ran = "run in TFLite-Micro" if in_micro else "run in LiteRT"
    note = f"pruned and recovered, {ran}" if facts.recovered else ran
    return Headline("accuracy int8", percent(facts.summary["accuracy_int8"]), note)


def _upload(facts: Facts) -> Headline:
    size = facts.summary["uplink_bytes_per_update"]
    if size is None:
        why = "no round before pruning" if facts.ours else "nothing was uploaded"
        return Headline("bytes per upload", "–", why)
    if facts.float32_bytes is None:
        why = "" if facts.trees else "; float32 size not known"
        return Headline("bytes per upload", size_text(size), f"mean{why}")
    whole = size_text(facts.float32_bytes)
    return Headline(
        "bytes per upload",
        size_text(size),
        f"{less(size, facts.float32_bytes)} than float32 ({whole})",
    )


def _traffic(facts: Facts) -> Headline:
    total, note = facts.total_bytes, "no baseline to compare with"
    if facts.comparable:
        other = size_text(facts.baseline_bytes)
        note = f"{less(total, facts.baseline_bytes)} than the baseline ({other})"
    if programs := facts.summary.get("program_bytes"):
        note += f"; {size_text(programs)} of it are training programs, sent once"
    return Headline("bytes both ways", size_text(total), note)


def _energy(facts: Facts) -> Headline:
    note = "all clients, above idle"
    total = facts.client_totals
    if total.unknown:
        note += f"; {total.unknown:,} of {total.records:,} records without joules"
    if facts.baseline:
        other = facts.summary["baseline"]["energy_j"]
        note += f"; {beside(facts.summary['energy_j'], other, facts.trained_at_once)}"
    if facts.grids:
        note += f"; {carbon(facts.summary['carbon_g'])}"
    return Headline("energy", energy(facts.summary["energy_j"]), note)


def _whole_energy(facts: Facts) -> Headline:
    """Return the joules of clients and server together."""
    ours = whole_energy(facts.summary)
    note = f"with the server's {energy(facts.summary['server_energy_j'])}"
    if facts.baseline:
        other = whole_energy(facts.summary["baseline"])
        note += f"; {beside(ours, other, facts.trained_at_once)}"
    return Headline("energy in all", energy(ours), note)


def _model(facts: Facts) -> Headline:
    if facts.trees is not None:
        note = f"{facts.trees['trees']:,} trees; in {TREES} and, for LightGBM, model/trees.txt"
        return Headline("model", size_text(facts.trees["bytes"]), note)
    if facts.export is None:
        return Headline("int8 model", "–", "not exported")
    arena = facts.export["arena_bytes"]
    note = "arena not measured" if arena is None else f"arena {size_text(arena)} or less"
    return Headline("int8 model", size_text(facts.export["int8_bytes"]), note)
