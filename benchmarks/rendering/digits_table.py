"""FrugalFL beside Flower's FedAvg: README.md."""

from __future__ import annotations

from collections.abc import Mapping

from rendering.markdown import Figures, count, spread, table


def render(figures: Figures) -> str:
    """Return the table of benchmarks/digits.py."""
    less, more = (figures[name]["mean"] for name in ("uplink_times_smaller", "total_times_smaller"))
    joules = "energy_estimated_j"
    times = figures[joules]["mean"] / figures[f"{joules}_float32_fedavg"]["mean"]
    files = f"{count(figures['model_int8_bytes']['mean'], 'B')} file, "
    files += f"{count(figures['model_arena_bytes']['mean'], 'B')} arena"
    of = figures.__getitem__
    rows = [
        ("test accuracy", spread(of("accuracy")), spread(of("accuracy_float32_fedavg")), ""),
        (
            "an upload", _bytes(of("uplink_bytes_per_update")),
            count(of("uplink_bytes_per_update_float32_fedavg")["mean"], "B"),
            f"**{less:,.0f} times fewer**",
        ),
        (
            "all bytes, both ways", _megabytes(of("total_bytes")),
            f"{of('total_bytes_float32_fedavg')['mean'] / 1e6:,.1f} MB",
            f"**{more:,.0f} times fewer**",
        ),
        ("accuracy, pruned to int8", spread(of("accuracy_int8_pruned")), "", files),
        (
            "joules on the clients, *estimated*", _joules(of(joules)),
            _joules(of(f"{joules}_float32_fedavg")), _times(times),
        ),
    ]  # fmt: skip
    return table(("", "FrugalFL", "Flower FedAvg, float32", ""), rows)


def _times(ratio: float) -> str:
    return f"**{ratio:.1f} times more**" if ratio > 1 else f"**{1 / ratio:.1f} times fewer**"


def _bytes(values: Mapping[str, float]) -> str:
    return f"{values['mean']:,.0f} B ({values['low']:,.0f} to {values['high']:,.0f})"


def _megabytes(values: Mapping[str, float]) -> str:
    mean, low, high = (values[name] / 1e6 for name in ("mean", "low", "high"))
    return f"{mean:.2f} MB ({low:.2f} to {high:.2f})"


def _joules(values: Mapping[str, float]) -> str:
    return f"{values['mean']:.3g} J ({values['low']:.3g} to {values['high']:.3g})"
