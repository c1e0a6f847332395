"""The requests of one round: docs/benchmarks.md."""

from __future__ import annotations

from rendering.markdown import Figures, count, table


def render(figures: Figures) -> str:
    """Return the requests of a later round by benchmarks/posts.py."""
    exchanges = figures["exchanges"]
    parts = ("head", "body", "answer_head", "answer_body")
    rows = [
        (one["path"].rsplit("/", 1)[-1], *(count(one[part], "B") for part in parts))
        for one in exchanges
    ]
    everything = [sum(one[part] for one in exchanges) for part in parts]
    rows.append(("all", *(count(size, "B") for size in everything)))
    headings = ("request", "head", "body", "answer's head", "its body")
    return f"{table(headings, rows)}\n\n{count(sum(everything), 'B')} in all."
