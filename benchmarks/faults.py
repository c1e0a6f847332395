"""What real federations suffer: each fault done to real processes, and what came of it.

    python benchmarks/faults.py [--quick] [--json FILE]

`benchmarks/fleet.py` prints the same table. Beside ours, where it can be put through the same
thing, Flower's own: `flower-supernode` running the same app, or for faults of the server Flower's
SuperLink as `flower-superlink` starts it by default. Every cell is what was observed in this run.
--quick: shorter deadlines and cuts, fewer mutations.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import fault_scenarios as scenarios
from common import arguments, finish
from fault_scenarios import LEAN, STOCK
from machines import Machines
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Fault:
    """A row of the table."""

    fault: str
    goal: str
    ours: str
    flower: str = "-"


@contextmanager
def machines(tls: bool = False, database: bool = False) -> Iterator[Machines]:
    """Machines of which nothing runs yet."""
    folder = Path(tempfile.mkdtemp())
    started = Machines(folder, tls=tls, database=database)
    try:
        yield started
    finally:
        started.stop()
        shutil.rmtree(folder, ignore_errors=True)
