"""Numbers for people: three digits or so, and always a unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frugalfl.energy.record import known_sum
from frugalfl.metrics import words

_GRAMS = ((1e6, "t"), (1e3, "kg"), (1.0, "g"), (1e-3, "mg"), (1e-6, "µg"))
#: Measures that have a short name in their field.
_FIELDS_NAMES = {
    "rmse": "RMSE", "mae": "MAE", "mse": "MSE", "r2": "R²", "f1": "F1", "iou": "mean IoU",
    "roc_auc": "ROC AUC",
}  # fmt: skip
#: Measures whose words are ours, and no name that somebody gave.
_OUR_OWN = (*_FIELDS_NAMES, "accuracy", "average_precision", "label_accuracy", "pixel_accuracy")
_JOULES = ((1e6, "MJ"), (1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"))


def percent(share: float | None) -> str:
    """Return a share in percent.

    >>> percent(0.9472), percent(None)
    ('94.7 %', '–')
    """
    return "–" if share is None else f"{share * 100:.1f} %"


def measure_name(name: str, unit: str = "") -> str:
    """Return the name of a measure as its field writes it.

    Args:
        name: Of the measure.
        unit: As of :class:`frugalfl.metrics.Measure`.

    >>> measure_name("rmse"), measure_name("average_precision"), measure_name("rmse_kw", "kW")
    ('RMSE', 'average precision', 'RMSE (kW)')
    """
    if unit and name.lower().endswith(f"_{unit.lower()}"):
        return f"{measure_name(name[: -len(unit) - 1])} ({unit})"
    return _FIELDS_NAMES.get(name, words(name))


def measure_title(name: str, unit: str = "") -> str:
    """Return the same as a heading; a task's own metric as the task writes it.

    >>> measure_title("rmse"), measure_title("average_precision"), measure_title("rmse_kw")
    ('RMSE', 'Average precision', 'rmse kw')
    """
    said = measure_name(name, unit)
    return said[0].upper() + said[1:] if name in _OUR_OWN else said


def direction(better: str, unit: str, of_targets: str = "") -> str:
    """Say which value of a measure is better, and what its unit is.

    Args:
        better: ``higher`` or ``lower``.
        unit: As of :class:`frugalfl.metrics.Measure`.
        of_targets: The targets' unit, if the task says it.

    >>> direction("lower", "target"), direction("lower", "target", "mm")
    ("lower is better, in the targets' unit", 'lower is better, in mm')
    >>> direction("lower", "target squared", "mm"), direction("higher", "share")
    ('lower is better, in mm squared', 'higher is better')
    >>> direction("lower", "kW")
    'lower is better, in kW'
    """
    known = of_targets or "the targets' unit"
    named = {"target": known, "target squared": f"{known} squared", "share": ""}.get(unit, unit)
    return f"{better} is better{f', in {named}' if named else ''}"


def joules(value: float | None) -> str:
    """Return joules with the prefix that keeps the number short.

    >>> joules(23.93), joules(0.0042), joules(1500), joules(0), joules(None)
    ('23.9 J', '4.20 mJ', '1.50 kJ', '0 J', '–')
    """
    return _scale(value, _JOULES, "J")


def grams(value: float | None) -> str:
    """Return grams with the prefix that keeps the number short.

    >>> grams(0.0137), grams(None)
    ('13.7 mg', '–')
    """
    return _scale(value, _GRAMS, "g")


def _scale(value: float | None, units: tuple[tuple[float, str], ...], base: str) -> str:
    if value is None:
        return "–"
    for scale, unit in units:
        if abs(value) >= scale:
            return f"{_three_digits(value / scale)} {unit}"
    return f"0 {base}" if value == 0 else f"{value:.1e} {base}"


def energy(sums: Mapping[str, float | None]) -> str:
    """Return measured and estimated joules, each with its word and never added together.

    >>> energy({"measured": 3.0, "estimated": 5.25}), energy({"measured": None, "estimated": None})
    ('3.00 J measured + 5.25 J estimated', 'unknown')
    """
    parts = [f"{joules(value)} {word}" for word, value in sums.items() if value is not None]
    return " + ".join(parts) or "unknown"


def whole_energy(figures: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the joules of clients and server together, of a summary's or its baseline's figures.

    Nothing is known of the whole if nothing is known of one of them.

    >>> whole_energy({"energy_j": {"estimated": 2.0}, "server_energy_j": {"estimated": 3.0}})
    {'estimated': 5.0}
    """
    clients, server = figures["energy_j"], figures.get("server_energy_j", {})
    if not any(value is not None for value in server.values()):
        return dict.fromkeys(clients)
    return {kind: known_sum([value, server.get(kind)]) for kind, value in clients.items()}


def less_energy(ours: Mapping[str, float | None], other: Mapping[str, float | None]) -> str:
    """Say how much less ours is than the other; empty if they were not obtained alike.

    >>> less_energy({"measured": None, "estimated": 2.0}, {"measured": None, "estimated": 4.0})
    '2.00× less'
    >>> less_energy({"measured": 2.0, "estimated": None}, {"measured": None, "estimated": 4.0})
    ''
    """
    kinds = [{kind for kind, value in one.items() if value} for one in (ours, other)]
    if kinds[0] != kinds[1] or len(kinds[0]) != 1:
        return ""
    (kind,) = kinds[0]
    return less(ours[kind] or 0.0, other[kind] or 0.0)


def beside(
    ours: Mapping[str, float | None], other: Mapping[str, float | None], at_once: bool = False
) -> str:
    """Say what the baseline took, and how much less ours is.

    Args:
        ours: Joules by kind.
        other: The baseline's.
        at_once: Whether our clients were simulated all at once, and the baseline's one by one.

    >>> beside({"measured": None, "estimated": 2.0}, {"measured": None, "estimated": 4.0})
    'baseline 4.00 J estimated, 2.00× less'
    """
    if at_once:
        return f"baseline {energy(other)}, simulated one by one: engine=sequential compares them"
    return ", ".join(filter(None, (f"baseline {energy(other)}", less_energy(ours, other))))


def carbon(sums: Mapping[str, float | None]) -> str:
    """Return the CO2e of measured and of estimated joules, never added together.

    >>> carbon({"measured": None, "estimated": 0.0137}), carbon({})
    ('13.7 mg CO2e of estimated joules', 'unknown')
    """
    known = {word: value for word, value in sums.items() if value is not None}
    parts = [f"{grams(value)} CO2e of {word} joules" for word, value in known.items()]
    return " + ".join(parts) or "unknown"


def times(factor: float) -> str:
    """Return a factor with its sign.

    >>> times(309.06), times(10.74), times(1.2)
    ('309×', '10.7×', '1.20×')
    """
    return f"{_three_digits(factor)}×"


def less(ours: float, other: float, word: str = "less") -> str:
    """Say how much less (or more) ours is than the other.

    >>> less(500, 154000), less(6, 5), less(500, 1000, "fewer bytes")
    ('308× less', '1.20× more', '2.00× fewer bytes')
    """
    if ours <= other:
        return f"{times(other / ours)} {word}"
    return f"{times(ours / other)} {word.replace('less', 'more').replace('fewer', 'more')}"


def duration(seconds: float) -> str:
    """Return a length of time.

    >>> duration(2.89), duration(185), duration(7320)
    ('2.9 s', '3 min 05 s', '2 h 02 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _three_digits(value: float) -> str:
    size = abs(value)
    decimals = 0 if size >= 99.95 else 1 if size >= 9.995 else 2
    return f"{value:,.{decimals}f}"
