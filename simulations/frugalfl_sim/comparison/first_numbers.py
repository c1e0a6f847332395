"""The sentence and the few numbers that a reader of the page sees first."""

from __future__ import annotations

from frugalfl.sizes import size_text
from frugalfl_server.report.headlines import Headline
from frugalfl_server.report.texts import carbon, energy, percent
from frugalfl_sim.comparison.comparison import Comparison
from frugalfl_sim.comparison.notes import Notes
from frugalfl_sim.comparison.rows import METHODS
from frugalfl_sim.comparison.terminal_table import gap_text, number, title


def statement(comparison: Comparison) -> str:
    """Say in one sentence what the pilot found, on each branch's own rows."""
    cell, method = comparison.headline, comparison.chosen
    name = METHODS[method].name.capitalize()
    where = f"({title(cell)})"
    gap = comparison.gap(cell, method, "own_rows")
    if gap is None:
        return (
            f"{name} cannot be compared {where}, because it, branches alone or centralised trees "
            "were not run."
        )
    if gap.closed is None:
        return (
            f"There is no gap to close {where}: centralised trees reach average precision "
            f"{gap.central:.3f} on each branch's own rows, the mean branch alone {gap.alone:.3f}, "
            f"{METHODS[method].name} {gap.federated:.3f}."
        )
    return (
        f"{name} closes {gap.closed * 100:.0f} % of the gap between the mean branch alone "
        f"(average precision {gap.alone:.3f} on its own rows) and forbidden centralised trees "
        f"({gap.central:.3f}): it reaches {gap.federated:.3f} {where}."
    )


def headlines(comparison: Comparison, notes: Notes) -> list[Headline]:
    """Return the numbers of the chosen method; those that are not known say so."""
    return [
        _precision(comparison),
        _gap(comparison),
        _cards(comparison),
        _money(comparison, notes.currency),
        _bytes(comparison),
        _counters(comparison),
        _energy(comparison, notes),
        _models(comparison),
    ]


def _precision(comparison: Comparison) -> Headline:
    cell = comparison.headline
    found = comparison.average_precision(cell, comparison.chosen)
    others = ", ".join(
        f"{METHODS[one].name} {number(comparison.average_precision(cell, one))}"
        for one in ("alone", "central")
        if one in comparison.methods(cell)
    )
    if found is None:
        return Headline("average precision", "–", "not run, or unknown")
    half = found.half_width
    note = "one seed" if half is None else f"± {half:.3f} over {len(found.values)} seeds"
    note = "; ".join(filter(None, ("all test rows", note, others)))
    return Headline("average precision", number(found), note)


def _gap(comparison: Comparison) -> Headline:
    own, pooled = (
        gap_text(comparison, comparison.headline, comparison.chosen, basis)
        for basis in ("own_rows", "pooled")
    )
    return Headline("gap closed", own, f"each branch's own rows; {pooled} on all rows together")


def _cards(comparison: Comparison) -> Headline:
    cell, method = comparison.headline, comparison.chosen
    found, best = (
        comparison.figure(cell, method, of)
        for of in (
            lambda row: row.evaluation.alerts.precision,
            lambda row: row.evaluation.alerts.best_precision,
        )
    )
    runs = comparison.runs(cell, method)
    cards = runs[0].evaluation.alerts.cards_a_day if runs else 0
    return Headline(
        f"card precision at {cards}", number(found), f"a perfect ranking reaches {number(best)}"
    )


def _money(comparison: Comparison, currency: str) -> Headline:
    runs = comparison.runs(comparison.headline, comparison.chosen)
    alerts = [row.evaluation.alerts for row in runs]
    caught, frauds = sum(one.caught for one in alerts), sum(one.frauds for one in alerts)
    money, every = sum(one.caught_amount for one in alerts), sum(one.amount for one in alerts)
    share = percent(caught / frauds) if frauds else "–"
    note = f"of frauds; {percent(money / every)} of their money" if every else "of frauds"
    if money:
        amount = f"{money / len(runs):,.0f} {currency}".strip()
        note += f", {amount} a run"
    return Headline("caught", share, note)


def _bytes(comparison: Comparison) -> Headline:
    cell, method = comparison.headline, comparison.chosen
    up = comparison.figure(cell, method, lambda row: row.uplink_bytes)
    rounds = comparison.figure(cell, method, lambda row: row.rounds)
    if up is None or rounds is None:
        return Headline("uploaded", "–", "not run")
    return Headline("uploaded", size_text(up.mean), f"all branches, {rounds.mean:g} rounds in all")


def _counters(comparison: Comparison) -> Headline:
    splits = dict.fromkeys(cell.split for cell in comparison.cells)
    gains = {
        split: comparison.counters_gain(split, comparison.chosen, "pooled") for split in splits
    }
    known = {split: gain.mean for split, gain in gains.items() if gain is not None}
    if not known:
        return Headline("shared counters", "–", "run with shared or with local counters only")
    most = max(known, key=lambda split: known[split])
    note = f"average precision, {most} split"
    others = (f"; {gain:+.3f} in {split}" for split, gain in known.items() if split != most)
    return Headline("shared counters", f"{known[most]:+.3f}", note + "".join(others))


def _energy(comparison: Comparison, notes: Notes) -> Headline:
    used = comparison.training(comparison.headline, comparison.chosen)
    note = "training, all branches"
    if notes.grid is not None:
        sums = {word: notes.grid.grams(value) for word, value in used.sums().items()}
        note += f"; {carbon(sums)}"
    return Headline("energy", energy(used.sums()), note)


def _models(comparison: Comparison) -> Headline:
    cell = comparison.headline
    sizes = {
        one: comparison.figure(cell, one, lambda row: row.model_bytes)
        for one in dict.fromkeys((comparison.chosen, "mlp_int8"))
    }
    known = {one: size_text(size.mean) for one, size in sizes.items() if size is not None}
    own = known.pop(comparison.chosen, "–")
    note = "; ".join(f"{METHODS[one].name} {size}" for one, size in known.items())
    return Headline("model", own, note or METHODS[comparison.chosen].name)
