"""Which table is made of which benchmark's figures, and by what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rendering import (
    aggregate,
    asynchronous,
    authoring,
    codec,
    communication,
    digits,
    energy_control,
    export,
    fraud,
    hostile,
    nodes,
    posts,
    prune,
    refresh,
    training,
    trees,
    uplink,
)
from rendering.markdown import Figures


@dataclass(frozen=True)
class Source:
    """Where a table comes from.

    Attributes:
        program: benchmarks/PROGRAM.py, whose figures are in results/PROGRAM.json.
        render: Makes the table of the figures.
        glance: Makes a row of the table at a glance; ``None``: it has none there.
        options: What the program needs beside ``--json``.
    """

    program: str
    render: Callable[[Figures], str]
    glance: Callable[[Figures], tuple[str, ...]] | None = None
    options: str = ""


#: By the name of the table, in the order in which they are worth making.
TABLES = {
    "digits": Source("digits", digits.render),
    "fraud": Source("fraud_pilot", fraud.render, fraud.glance),
    "refresh": Source("refresh", refresh.render),
    "uplink": Source("uplink", uplink.render),
    "aggregate": Source("aggregate", aggregate.render, aggregate.glance),
    "training": Source("training", training.render, training.glance, "--federation"),
    "training-steps": Source("training_program", training.render_steps),
    "prune": Source("prune", prune.render, prune.glance),
    "asynchronous": Source("asynchronous", asynchronous.render, asynchronous.glance),
    "hostile": Source("hostile", hostile.render),
    "energy-control": Source("energy_control", energy_control.render),
    "fleet": Source("fleet", nodes.render),
    "posts": Source("posts", posts.render),
    "codec": Source("codec", codec.render, codec.glance),
    "trees": Source("trees", trees.render, trees.glance),
    "authoring": Source("authoring", authoring.render),
    "export": Source("export", export.render, export.glance),
    "foreign-nets": Source("foreign_nets", export.render_foreign),
    "installed": Source("installed", nodes.render_installed),
    "communication": Source(
        "communication", communication.render, options="--tasks digits --cohorts 10"
    ),
}
