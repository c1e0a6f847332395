"""Several runs on one page: mean and band by round if they share all settings but the seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from matplotlib.axes import Axes

from frugalfl.errors import UsageError
from frugalfl.kinds import ACCURACY
from frugalfl.text import for_file_name
from frugalfl_server.report.by_round import Quantity, limits_of, mark_pruned, quantities
from frugalfl_server.report.headlines import scored_on
from frugalfl_server.report.panels import Panel, panel
from frugalfl_server.report.run_facts import Facts, read_facts
from frugalfl_server.report.sheet import Cell, Sheet
from frugalfl_server.report.svg import INK, OURS, PHASE_COLOURS
from frugalfl_server.report.texts import measure_name
from frugalfl_server.run.directory import blaming
from frugalfl_server.run.newest import open_newest

#: The page, beside the first run.
FILE = "seeds.html"
#: Settings that runs of one experiment differ in.
_FREE = ("seed",)
_MOST_DIFFERENCES = 8


@dataclass(frozen=True)
class Compared:
    """Several runs, read.

    Attributes:
        facts: Of each.
        differences: What they do not share beside their seeds: name, and each run's value.
    """

    facts: Sequence[Facts]
    differences: Mapping[str, Sequence[str]]

    @property
    def same(self) -> bool:
        """Whether only seeds differ, so that they are samples of one experiment."""
        return not self.differences

    @property
    def tasks(self) -> str:
        """Their tasks, each once."""
        return " · ".join(dict.fromkeys(str(one.about["task"]) for one in self.facts))

    @property
    def quantities(self) -> list[Quantity]:
        """What all of them know by round, the measure that they go by first."""
        known = [{one.name for one in quantities(facts)} for facts in self.facts]
        return [one for one in quantities(self.facts[0]) if all(one.name in of for of in known)]

    @property
    def rounds(self) -> int:
        """Rounds that all of them finished."""
        return min(len(one.done) for one in self.facts)


def read_compared(paths: Sequence[Path]) -> Compared:
    """Open runs and see what they share.

    Raises:
        RunError: One is no run, or damaged.
        UsageError: One is named twice, has no finished round, or goes by another measure.
    """
    facts = []
    for path in paths:
        run = open_newest(path)
        with blaming(run.path):
            facts.append(read_facts(run))
        if not facts[-1].done:
            raise UsageError(f"{path} has no finished round to compare; leave it out")
    if len({one.run.path for one in facts}) < len(facts):
        raise UsageError("a run is named twice; name each one once")
    _check_measures(facts)
    return Compared(facts, _differences(facts))


def _check_measures(facts: Sequence[Facts]) -> None:
    """Refuse runs that no drawing can be of.

    Raises:
        UsageError: They go by different measures.
    """
    first = [(one.run.name, quantities(one)[0].name) for one in facts]
    if len({name for _, name in first}) > 1:
        named = ", ".join(f"{run} by {measure_name(name)}" for run, name in first)
        raise UsageError(
            f"one page cannot compare runs that go by different measures ({named}): report each "
            "run alone, or list them with frugalfl runs"
        )


def sentence(compared: Compared) -> str:
    """Say what the band is, or why there is none."""
    number = len(compared.facts)
    if compared.same:
        seeds = ", ".join(str(one.about["settings"].get("seed", "–")) for one in compared.facts)
        return (
            f"{number} runs that share all settings but the seed ({seeds}). Lines are their means; "
            "bands go from the lowest run to the highest."
        )
    named = [
        f"{name} ({'; '.join(values)})"
        for name, values in list(compared.differences.items())[:_MOST_DIFFERENCES]
    ]
    more = len(compared.differences) - len(named)
    end = f", and {more} more" if more > 0 else ""
    return (
        f"{number} runs that differ in more than the seed, so there is no mean and no band: "
        f"{', '.join(named)}{end}."
    )


def caption(compared: Compared) -> str:
    """Say what the drawings are of."""
    drawn = "Each line is one run, as numbered below"
    if compared.same:
        drawn = f"Rounds 1 to {compared.rounds}, which all of them finished"
    return f"{drawn}. {scored_on(compared.facts[0])}"


def seed_panels(compared: Compared) -> list[Panel]:
    """Draw every quantity by round."""
    return [_panel(compared, one) for one in compared.quantities]


def round_sheet(compared: Compared) -> Sheet:
    """Return every quantity of every run and round."""
    drawn = compared.quantities
    rows: list[list[Cell]] = [
        [facts.run.name, facts.about["settings"].get("seed"), record.phase, record.round,
         *(_or_none(one.of(record)) for one in drawn)]
        for facts in compared.facts
        for record in facts.done
    ]  # fmt: skip
    return Sheet("rounds", ["run", "seed", "phase", "round", *(one.name for one in drawn)], rows)


def end_sheet(compared: Compared) -> Sheet:
    """Return how each run ended; below, mean and standard deviation if only seeds differ."""
    names = [one.name for one in compared.quantities]
    measured = [name for name in names if name != "loss"]
    header = [
        "run", "seed", "rounds",
        *(f"{measure_name(name)}, float, last round" for name in measured),
        *(f"{measure_name(name)}, int8" for name in measured),
        "bytes both ways (B)", "energy measured (J)", "energy estimated (J)",
    ]  # fmt: skip
    rows = [_end(number, facts, measured) for number, facts in enumerate(compared.facts, 1)]
    if compared.same:
        rows += [
            ["mean", None, *_over(rows, fmean)],
            [f"standard deviation of {len(rows)}", None, *_over(rows, stdev)],
        ]
    return Sheet("ends", header, rows)


def _end(number: int, facts: Facts, measured: Sequence[str]) -> list[Cell]:
    last, joules = facts.done[-1], facts.summary["energy_j"]
    scores = {ACCURACY: last.accuracy, **last.metrics}
    in_int8 = {ACCURACY: facts.summary["accuracy_int8"], **facts.summary["metrics_int8"]}
    return [
        f"{number}: {facts.run.name}", facts.about["settings"].get("seed"), len(facts.done),
        *(scores.get(name) for name in measured), *(in_int8.get(name) for name in measured),
        facts.total_bytes, joules["measured"], joules["estimated"],
    ]  # fmt: skip


def _over(rows: Sequence[Sequence[Cell]], of: Any) -> list[Cell]:
    """Return a figure of each column, from rounds on; None if a run's value is not known."""
    found: list[Cell] = []
    for column in list(zip(*rows, strict=True))[2:]:
        known = [float(value) for value in column if isinstance(value, int | float)]
        found.append(of(known) if len(known) == len(column) else None)
    return found


def _differences(facts: Sequence[Facts]) -> dict[str, list[str]]:
    shared = [
        {"task": one.about["task"], **one.about["settings"],
         "version of FrugalFL": one.about["versions"].get("frugalfl")}
        for one in facts
    ]  # fmt: skip
    names = dict.fromkeys(name for one in shared for name in one if name not in _FREE)
    told = {name: [_text_of(one.get(name)) for one in shared] for name in names}
    return {name: values for name, values in told.items() if len(set(values)) > 1}


def _text_of(value: Any) -> str:
    return "–" if value is None else "empty" if value == "" else str(value)


def _panel(compared: Compared, quantity: Quantity) -> Panel:
    def paint(axes: Axes) -> None:
        (_band if compared.same else _lines)(axes, compared, quantity)
        every = [quantity.of(record) for facts in compared.facts for record in facts.done]
        limits_of(axes, quantity, every)
        axes.set_xlim(0.5, max(facts.done[-1].round for facts in compared.facts) + 0.5)
        pruned = {facts.recovered[0].round for facts in compared.facts if facts.recovered}
        if len(pruned) == 1:
            mark_pruned(axes, pruned.pop())

    name = f"seeds-{for_file_name(quantity.name)}"
    label = f"{quantity.title} by round, {len(compared.facts)} runs"
    return panel(name, quantity.title, label, paint, 300)


def _band(axes: Axes, compared: Compared, quantity: Quantity) -> None:
    """Draw the mean of all runs, and from the lowest to the highest, over rounds that all have."""
    rounds = [record.round for record in compared.facts[0].done[: compared.rounds]]
    columns = [
        [quantity.of(facts.done[place]) for facts in compared.facts]
        for place in range(compared.rounds)
    ]
    lowest, highest = list(map(min, columns)), list(map(max, columns))
    axes.fill_between(rounds, lowest, highest, color=OURS, alpha=0.25, linewidth=0)
    dot = "o" if len(rounds) == 1 else None
    axes.plot(rounds, list(map(fmean, columns)), color=OURS, linewidth=1.8, marker=dot)


def _lines(axes: Axes, compared: Compared, quantity: Quantity) -> None:
    for place, facts in enumerate(compared.facts):
        x, y = [one.round for one in facts.done], [quantity.of(one) for one in facts.done]
        again, colour = divmod(place, len(PHASE_COLOURS))
        style, name = "--" if again else "-", f"run {place + 1}"
        axes.plot(x, y, style, color=PHASE_COLOURS[colour], linewidth=1.6, label=name)
    axes.legend(loc="best", frameon=False, labelcolor=INK, handlelength=1.4, fontsize=12)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
