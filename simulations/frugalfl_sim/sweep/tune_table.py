"""What a search found, as a terminal and JSON have it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from optuna.trial import TrialState
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from frugalfl.energy.record import known_sum
from frugalfl.sizes import size_text
from frugalfl.text import MOST_OF_A_LINE, printable
from frugalfl_server.report.texts import duration, energy, joules
from frugalfl_server.run.pack_app import toml_lines
from frugalfl_sim.sweep.points import point_of
from frugalfl_sim.sweep.search import Spent, failed
from frugalfl_sim.sweep.tune import Best, Found

_WIDTH = 100
_TEXTS = {"bytes": size_text, "joules": joules, "seconds": "{:.1f}".format}


def print_found(found: Found) -> None:
    """Print the trials, the best settings as lines to paste, and what the search took."""
    console = Console(highlight=False, width=max(_WIDTH, Console().width))
    console.print(_trials(found))
    for best in found.best:
        console.print(Text(_sentence(found, best), style="bold"), soft_wrap=True)
        console.print(Text("\n".join(lines_to_paste(found, best)) + "\n"), soft_wrap=True)
    console.print(_costs(found))


def lines_to_paste(found: Found, best: Best) -> list[str]:
    """Return the chosen settings as TOML, for ``[tool.flwr.app.config]``."""
    search = found.search
    point = point_of(search.app, search.space.changes(best.trial.params))
    config = point.settings.as_config()
    return list(toml_lines({key: config[key] for key, _ in point.changes}))


def as_json(found: Found) -> dict[str, Any]:
    """Return all of it for programs."""
    return {
        "metrics": dict(zip(found.search.metrics, found.search.better, strict=True)),
        "sampler": found.search.sampler,
        "trials": [
            {
                "settings": one.params,
                "state": one.state.name.lower(),
                "values": one.values,
                "failed": failed(one) or None,
            }
            for one in found.trials
        ],
        "best": [
            {
                "settings": one.trial.params,
                "chosen_on": one.chosen_on,
                "measured_again": one.again,
                "seeds": one.seeds,
            }
            for one in found.best
        ],
        "spent": asdict(found.spent),
        "spent_again": asdict(found.spent_again),
        "random": None if found.random is None else as_json(found.random),
    }


def _trials(found: Found) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("trial", *found.search.space.free, *found.search.metrics, "ended"):
        table.add_column(Text(name))
    for number, trial in enumerate(found.trials, start=1):
        chosen = [_short(trial.params.get(key)) for key in found.search.space.free]
        values = trial.values or [None] * len(found.search.metrics)
        figures = [
            _text(name, value) for name, value in zip(found.search.metrics, values, strict=True)
        ]
        cells = [str(number), *chosen, *figures, _ended(trial.state, failed(trial))]
        table.add_row(*(Text(printable(cell, MOST_OF_A_LINE)) for cell in cells))
    return table


def _sentence(found: Found, best: Best) -> str:
    names = found.search.metrics
    first = ", ".join(f"{n} {_text(n, v)}" for n, v in zip(names, best.chosen_on, strict=True))
    if not best.seeds:
        return f"best: {first}, on the seed that it was chosen on; not measured again"
    again = ", ".join(f"{n} {_text(n, v)}" for n, v in zip(names, best.again, strict=True))
    seeds = ", ".join(map(str, best.seeds))
    return f"best: {again} (mean of seeds {seeds}; when it was chosen: {first})"


def _costs(found: Found) -> Table:
    """Return what the search took beside one by chance, a dash for that if it was not run."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("", "runs", "joules, clients and server", "seconds of rounds", "best"):
        table.add_column(Text(name))
    other = found.random
    for name, spent, best in (
        (f"search ({found.search.sampler})", found.spent, _bests(found)),
        ("best settings again", found.spent_again, ""),
        (
            "random search, as many trials",
            other.spent if other is not None else None,
            _bests(other),
        ),
    ):
        table.add_row(name, *_spent(spent), best)
    return table


def _spent(spent: Spent | None) -> list[str]:
    if spent is None:
        return ["–", "–", "–"]
    both = {"measured": spent.measured_j, "estimated": spent.estimated_j}
    known = known_sum(both.values()) is not None
    return [str(spent.runs), energy(both) if known else "–", duration(spent.seconds)]


def _bests(found: Found | None) -> str:
    """Return the figures of the best settings, those of other seeds if there are such."""
    if found is None:
        return "–"
    names = found.search.metrics
    return "; ".join(
        ", ".join(
            _text(n, v) for n, v in zip(names, b.again if b.seeds else b.chosen_on, strict=True)
        )
        for b in found.best
    )


def _text(name: str, value: float | None) -> str:
    return "–" if value is None else _TEXTS.get(name, "{:.4g}".format)(value)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)


def _ended(state: TrialState, why: str) -> str:
    words = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "stopped early"}
    return words.get(state, f"failed: {why}")
