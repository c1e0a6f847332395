"""Which table is made of which benchmark's figures, and by what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rendering import (
    aggregate_table,
    asynchronous_table,
    authoring_table,
    codec_table,
    communication_table,
    digits_table,
    energy_control_table,
    export_table,
    fraud_table,
    hostile_table,
    native_table,
    nodes_table,
    posts_table,
    prune_table,
    refresh_table,
    simulation_table,
    subspaces_table,
    training_table,
    trees_table,
    uplink_table,
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
        file: Its figures are in results/FILE.json; empty: in that of the program's name.
    """

    program: str
    render: Callable[[Figures], str]
    glance: Callable[[Figures], tuple[str, ...]] | None = None
    options: str = ""
    file: str = ""

    @property
    def stem(self) -> str:
        """Name of the file of figures, without its end."""
        return self.file or self.program


#: By the name of the table, in the order in which they are worth making.
TABLES = {
    "digits": Source("digits", digits_table.render),
    "fraud": Source("fraud_pilot", fraud_table.render, fraud_table.glance),
    "refresh": Source("refresh", refresh_table.render),
    "uplink": Source("uplink", uplink_table.render),
    "aggregate": Source("aggregate", aggregate_table.render, aggregate_table.glance),
    "native": Source("native", native_table.render, native_table.glance),
    "simulation": Source("simulation", simulation_table.render, simulation_table.glance),
    "training": Source("training", training_table.render, training_table.glance, "--federation"),
    "training-steps": Source("training_program", training_table.render_steps),
    "prune": Source("prune", prune_table.render, prune_table.glance),
    "asynchronous": Source("asynchronous", asynchronous_table.render, asynchronous_table.glance),
    "hostile": Source("hostile", hostile_table.render),
    "energy-control": Source("energy_control", energy_control_table.render),
    "fleet": Source("fleet", nodes_table.render),
    "posts": Source("posts", posts_table.render),
    "codec": Source("codec", codec_table.render, codec_table.glance),
    "trees": Source("trees", trees_table.render, trees_table.glance),
    "authoring": Source("authoring", authoring_table.render),
    "export": Source("export", export_table.render, export_table.glance),
    "foreign-nets": Source("foreign_nets", export_table.render_foreign),
    "installed": Source("installed", nodes_table.render_installed),
    "communication": Source(
        "communication", communication_table.render, options="--tasks digits --cohorts 10"
    ),
    "subspaces": Source(
        "communication",
        subspaces_table.render,
        file="subspaces",
        options="--tasks digits sensor cancer --schemes float32 ours subspace-512 subspace-1024 "
        "--seeds 5 6 7 8 9 --choose-on 0 1",
    ),
}
