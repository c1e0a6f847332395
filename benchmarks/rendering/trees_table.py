"""What a tree costs: docs/benchmarks.md."""

from __future__ import annotations

from rendering.markdown import Figures, count, table


def render(figures: Figures) -> str:
    """Return the bytes of a tree by benchmarks/trees.py."""
    frame = figures["frame_bytes_per_tree"]
    forms = {
        "as a frame": "frame_bytes_per_tree",
        "LightGBM's text, deflated": "zlib_text_bytes_per_tree",
        "that text without the statistics of rows": "zlib_stripped_text_bytes_per_tree",
    }
    sizes = [(name, figures[key]) for name, key in forms.items()]
    rows = [(name, count(size, "B"), f"{size / frame:.3g}") for name, size in sizes]
    before, after = (
        figures[f"average_precision{when}"] for when in ("", "_after_the_frame")
    )  # fmt: skip
    about = f"{figures['trees']} trees of {figures['leaves']} leaves; average precision "
    about += f"{before:.4f} before, {after:.4f} after the frame."
    return f"{table(('', 'a tree', 'times as long'), rows)}\n\n{about}"


def glance(figures: Figures) -> tuple[str, ...]:
    """Return the row of the table at a glance."""
    ours, text = (figures[f"{key}_bytes_per_tree"] for key in ("frame", "zlib_text"))
    return (
        f"a boosted tree of {figures['leaves']} leaves on the wire", count(ours, "B"),
        f"{count(text, 'B')}, LightGBM's text deflated", f"{text / ours:.0f} times fewer",
    )  # fmt: skip
