"""Figures of a run as inline SVG, drawn with matplotlib's object interface."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from frugalfl.energy import EnergyRecord
from frugalfl.sizes import size_text
from frugalfl_server.records import RoundRecord
from frugalfl_server.summary import BASELINE, OURS

# Okabe and Ito's palette: apart for every kind of colour vision, on light and on dark.
_COLOURS = {OURS: "#0072B2", BASELINE: "#D55E00"}
_NAMES = {OURS: "FrugalFL", BASELINE: "Flower FedAvg, float32"}
_PHASES = {"download": "#56B4E9", "train": "#0072B2", "encode": "#E69F00"}
_INK = "#808890"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def accuracy_against_bytes(rounds: Sequence[RoundRecord]) -> str:
    """Draw test accuracy over the bytes spent, both directions, a line a federation."""
    with rc_context(_STYLE):
        figure, axes = _canvas(4.2)
        for federation in (BASELINE, OURS):
            of_it = [record for record in rounds if record.federation == federation]
            if of_it:
                _line(axes, federation, of_it)
        axes.set_xscale("log")
        _label_sizes(axes.xaxis)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_ylim(0, 1.04)
        axes.set_xlabel("bytes sent so far, all clients, both ways (log scale)")
        axes.set_ylabel("test accuracy")
        axes.grid(alpha=0.25)
        axes.legend(loc="lower right", frameon=False, labelcolor="linecolor")
        return _svg(figure, "accuracy")


def _label_sizes(axis: Axis) -> None:
    """Put ticks at round numbers of KiB and MiB: a quarter, one, four, sixteen."""
    axis.set_major_locator(LogLocator(base=4, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda count, _: size_text(count)))
    axis.set_minor_locator(NullLocator())


def _line(axes: Axes, federation: str, rounds: Sequence[RoundRecord]) -> None:
    spent = list(accumulate(record.uplink_bytes + record.downlink_bytes for record in rounds))
    trained = sum(record.phase == "train" for record in rounds)
    colour = _COLOURS[federation]
    scores = [record.accuracy for record in rounds]
    axes.plot(
        spent, scores, ".-", color=colour, markersize=4, linewidth=1, label=_NAMES[federation]
    )
    if trained < len(rounds):
        axes.axvline(spent[trained], color=colour, linestyle=":", linewidth=1)
        axes.annotate(
            "pruned", (spent[trained], 0.06), xytext=(-6, 0), textcoords="offset points",
            ha="right", color=colour,
        )  # fmt: skip


def energy_by_client(energy: Sequence[EnergyRecord]) -> str:
    """Draw each client's joules, stacked by phase, largest first; estimates are hatched."""
    clients = sorted(
        {record.client for record in energy}, key=lambda client: -_joules(energy, client=client)
    )
    with rc_context(_STYLE):
        figure, axes = _canvas(3.4)
        for measured in (True, False):
            _stack(axes, [r for r in energy if r.measured is measured], clients, measured)
        axes.set_xlabel(f"{len(clients)} clients, most joules first")
        axes.set_ylabel("J above idle")
        axes.set_xticks([])
        axes.grid(axis="y", alpha=0.25)
        axes.legend(loc="upper right", frameon=False)
        return _svg(figure, "energy")


def _stack(
    axes: Axes, energy: Sequence[EnergyRecord], clients: Sequence[str], measured: bool
) -> None:
    word = "measured" if measured else "estimated"
    bottom = [0.0] * len(clients)
    for phase, colour in _PHASES.items():
        of_phase = [record for record in energy if record.phase == phase]
        if not of_phase:
            continue
        heights = [_joules(of_phase, client=client) for client in clients]
        axes.bar(
            range(len(clients)), heights, bottom=bottom, color=colour, width=0.8,
            hatch=None if measured else "///", edgecolor="#ffffff66", linewidth=0,
            label=f"{phase}, {word}",
        )  # fmt: skip
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]


def bytes_by_round(rounds: Sequence[RoundRecord]) -> str:
    """Draw the bytes of each of our rounds, up and down."""
    ours = [record for record in rounds if record.federation == OURS]
    numbers = [record.round for record in ours]
    with rc_context(_STYLE):
        figure, axes = _canvas(3.0)
        axes.plot(
            numbers, [r.downlink_bytes for r in ours], color="#009E73", label="down, to clients"
        )
        axes.plot(
            numbers, [r.uplink_bytes for r in ours], color="#CC79A7", label="up, from clients"
        )
        axes.set_yscale("log")
        _label_sizes(axes.yaxis)
        axes.set_xlabel("round")
        axes.set_ylabel("bytes of the round")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, labelcolor="linecolor")
        return _svg(figure, "traffic")


def _joules(energy: Sequence[EnergyRecord], client: str) -> float:
    return sum(r.energy_j for r in energy if r.client == client and r.energy_j is not None)


def _canvas(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8.6, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    return figure, axes


def _svg(figure: Figure, name: str) -> str:
    """Return the figure as an SVG element whose ids are its own, without date and prolog."""
    out = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)
