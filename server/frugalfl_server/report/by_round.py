"""Each measure, and the loss of training, by round."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from frugalfl.kinds import ACCURACY
from frugalfl.metrics import number
from frugalfl.text import for_file_name
from frugalfl_server.report.headlines import BASELINE_NAME
from frugalfl_server.report.marks import annotate
from frugalfl_server.report.panels import Panel, panel
from frugalfl_server.report.run_facts import Facts
from frugalfl_server.report.sheet import Sheet
from frugalfl_server.report.svg import INK, MUTED, OTHER, OURS
from frugalfl_server.report.texts import percent
from frugalfl_server.report.ticks import only_grid
from frugalfl_server.run.records import RoundRecord, score_of

#: More measures than this are in the table only.
_MOST_PANELS = 7
#: Losses this far apart need an axis of powers of ten.
_FAR_APART = 20
LOSS = "loss"


@dataclass(frozen=True)
class Quantity:
    """One thing that is drawn by round.

    Attributes:
        name: Of a measure, or :data:`LOSS`.
        title: Above the drawing.
        of: Takes it from a round; NaN: not known.
    """

    name: str
    title: str
    of: Callable[[RoundRecord], float]

    @property
    def percent(self) -> bool:
        """Whether people read it in percent."""
        return self.name == ACCURACY

    def text(self, value: float) -> str:
        """Return a value for people."""
        if math.isnan(value):
            return "–"
        return percent(value) if self.percent else number(value)


def quantities(facts: Facts) -> list[Quantity]:
    """Return what a run knows by round: its measures, the first one first, then the loss."""
    names = [one["name"] for one in facts.measures] if facts.measures else _older(facts)
    found = [Quantity(name, _title(facts, name), _score(name)) for name in names]
    known = [one for one in found if any(not math.isnan(one.of(r)) for r in facts.done)]
    loss = Quantity(LOSS, "Training loss (mean of the clients, lower is better)", _loss)
    return [*known[: _MOST_PANELS - 1], loss]


def _title(facts: Facts, name: str) -> str:
    return f"{facts.title_of(name)} ({facts.direction(name)})".replace(") (", ", ")


def round_panels(facts: Facts) -> list[Panel]:
    """Draw each by round; the baseline beside it if it ran."""
    if not facts.done:
        return []
    return [_panel(facts, one) for one in quantities(facts)]


def round_sheet(facts: Facts) -> Sheet:
    """Return all that is known of each round."""
    rows = [record.as_row() for record in facts.run.rounds]
    header = list(dict.fromkeys(name for row in rows for name in row))
    used = [name for name in header if any(row.get(name) is not None for row in rows)]
    return Sheet("rounds", used, [[row.get(name) for name in used] for row in rows])


def limits_of(axes: Axes, quantity: Quantity, values: Sequence[float]) -> None:
    """Scale the y axis to some values: shares up to 1, losses in powers of ten if far apart."""
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if quantity.name == LOSS and low > 0 and high > _FAR_APART * low:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="y", which="minor", length=0)
        axes.set_ylim(low / 1.5, high * 1.5)
    else:
        room = 0.08 * (high - low) or 0.08 * abs(high) or 1.0
        axes.set_ylim(low - room, high + room)
        axes.yaxis.set_major_locator(MaxNLocator(5))
    shown = (lambda v: f"{v * 100:g} %") if quantity.percent else "{:g}".format
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: shown(round(value, 10)).replace("-", "−"))
    )
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True, min_n_ticks=1))
    axes.set_xlabel("round", labelpad=6)
    only_grid(axes)


def mark_pruned(axes: Axes, first: int) -> None:
    """Mark between which rounds the model was pruned."""
    axes.axvline(first - 0.5, color=MUTED, linestyle=(0, (2, 3)), linewidth=1.2)
    of = ("data", "axes fraction")
    annotate(axes, "pruned", (first - 0.5, 0), (4, 5), of, color=MUTED, fontsize=12)


def _panel(facts: Facts, quantity: Quantity) -> Panel:
    series = [(facts.done, OURS, "FrugalFL"), (facts.baseline, OTHER, BASELINE_NAME)]
    drawn = [one for one in series if one[0]]

    def paint(axes: Axes) -> None:
        for rounds, colour, name in drawn:
            dots = "o" if len(rounds) == 1 else None
            x, y = [one.round for one in rounds], [quantity.of(one) for one in rounds]
            axes.plot(x, y, color=colour, linewidth=1.8, label=name, marker=dots)
        limits_of(axes, quantity, [quantity.of(r) for rounds, *_ in drawn for r in rounds])
        axes.set_xlim(0.5, max(rounds[-1].round for rounds, *_ in drawn) + 0.5)
        if facts.recovered:
            mark_pruned(axes, facts.recovered[0].round)
        if len(drawn) > 1:
            axes.legend(loc="best", frameon=False, labelcolor=INK, handlelength=1.4, fontsize=12)

    last = quantity.text(quantity.of(facts.done[-1]))
    label = f"{quantity.title} by round; {last} in the last one"
    return panel(f"round-{for_file_name(quantity.name)}", quantity.title, label, paint)


def _older(facts: Facts) -> list[str]:
    return [ACCURACY, *facts.metrics]


def _score(name: str) -> Callable[[RoundRecord], float]:
    def of(record: RoundRecord) -> float:
        value = score_of(record, name)
        return math.nan if value is None else value

    return of


def _loss(record: RoundRecord) -> float:
    return math.nan if record.loss is None or not record.updates else record.loss
