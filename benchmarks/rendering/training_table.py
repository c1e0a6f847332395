"""Epochs and steps without PyTorch: docs/benchmarks.md, docs/training-programs.md."""

from __future__ import annotations

from rendering.markdown import Figures, count, table


def render(figures: Figures) -> str:
    """Return the table of benchmarks/training.py."""
    nets = figures["nets"]
    rows = [
        (
            name, count(one["parameters"]), count(one["program_bytes"], "B"),
            f"{one['torch_ms']:.3g} ms", f"{one['litert_ms']:.3g} ms", f"{one['ratio']:.1f}",
            f"{nets[f'{name}, head only']['ratio']:.1f}", f"{one['difference']:.0e}",
        )
        for name, one in nets.items()
        if not name.endswith(", head only")
    ]  # fmt: skip
    headings = (
        "net", "parameters", "program", "PyTorch", "LiteRT", "times faster", "head only",
        "difference",
    )  # fmt: skip
    return table(headings, rows)


def glance(figures: Figures) -> tuple[str, ...]:
    """Return the row of the table at a glance."""
    whole = [one for name, one in figures["nets"].items() if not name.endswith(", head only")]
    ours, torch = ([one[key] for one in whole] for key in ("litert_ms", "torch_ms"))
    ratios = [one["ratio"] for one in whole]
    return (
        f"a local epoch of {len(whole)} nets without PyTorch",
        f"{min(ours):.1g} to {max(ours):.2g} ms",
        f"{min(torch):.1g} to {max(torch):.2g} ms, eager PyTorch, one thread",
        f"{min(ratios):.1f} to {max(ratios):.1f} times faster",
    )


def render_steps(figures: Figures) -> str:
    """Return the table of benchmarks/training_program.py."""
    rows = [
        (
            one["net"], one["plan"], one["batch"], count(one["file_bytes"]), one["operators"],
            "refused" if one["arena_bytes"] is None else count(one["arena_bytes"]),
            f"{one['difference']:.0e}", f"{one['litert_ms']:.3f}", f"{one['pytorch_ms']:.3f}",
            f"{one['pytorch_ms'] / one['litert_ms']:.1f}",
        )
        for one in figures["programs"]
    ]  # fmt: skip
    headings = (
        "net", "trained", "batch", "file B", "operators", "arena B", "difference", "ms",
        "PyTorch ms", "times faster",
    )  # fmt: skip
    return table(headings, rows)
