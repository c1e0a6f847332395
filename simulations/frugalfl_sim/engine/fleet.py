"""What the simulated devices of a run have in common: two files, and an answer as a cohort."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from frugalfl.energy import many_ledgers
from frugalfl.energy.many_ledgers import ManyLedgers
from frugalfl_client.device import ContextWithDevice
from frugalfl_client.disk import Disk
from frugalfl_sim.engine import many_stores
from frugalfl_sim.engine.cohort_answers import CohortAnswers, TrainsCohort
from frugalfl_sim.engine.many_stores import ManyStores


class Fleet:
    """The devices of one run, which keep what they hold in two files, not in two each."""

    def __init__(self, folder: Path, trainer: TrainsCohort | None) -> None:
        """Open the files, or make them.

        Args:
            folder: For both.
            trainer: Trains many devices at once; ``None``: each answers alone.

        Raises:
            RunError: They cannot be opened.
        """
        self._stores = ManyStores(folder / many_stores.FILE)
        self._ledgers = ManyLedgers(folder / many_ledgers.FILE)
        self.answers = None if trainer is None else CohortAnswers(trainer, self.flush)

    def context(self, node_config: dict[str, Any], **about: Any) -> ContextWithDevice:
        """Return a device's context; arguments as of Flower's Context."""
        number = int(node_config["partition-id"])
        return ContextWithDevice(partial(self._disk, number), node_config=node_config, **about)

    def flush(self) -> None:
        """Put on the disk what devices keep: before what they answered is used.

        Raises:
            RunError: It does not take it.
        """
        self._stores.flush()
        self._ledgers.flush()

    def close(self) -> None:
        """Put everything on the disk, and close the files."""
        self._stores.close()
        self._ledgers.close()

    def _disk(self, number: int) -> Disk:
        return Disk(self._stores.of(number), self._ledgers.of(number))
