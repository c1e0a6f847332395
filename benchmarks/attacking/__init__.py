"""Attacks on a federation, one file a subject; `benchmarks/attacks.py` runs them all."""

from attacking.outcome import Attacks, Outcome

#: Names of the modules here that have an ``attacks`` of their own, in the order of the table.
SUBJECTS: tuple[str, ...] = (
    "network",
    "device",
    "programs",
    "identity",
    "trees_and_counters",
    "files",
    "texts",
    "damage",
)

__all__ = ["SUBJECTS", "Attacks", "Outcome"]
