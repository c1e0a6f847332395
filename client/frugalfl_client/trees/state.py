"""What a device holds of a run's trees: the agreed bins and the model so far, also on its disk.

The raw scores of the device's own rows are kept beside them in memory, so that only new trees have
to be run over the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from frugalfl.errors import FrameError
from frugalfl.trees.bins import Bins
from frugalfl.trees.frame import decode_forest
from frugalfl.trees.histogram import Grid
from frugalfl.trees.parcel import Parcel
from frugalfl_client import kept_file
from frugalfl_client.device import Device
from frugalfl_client.trees.histograms import Worker

_FILE = "trees.bin"


@dataclass
class Holding:
    """The trees that a device holds of one run.

    Attributes:
        run: Name of the run.
        packed: Bins and segments as they came; what is on the disk.
        bins: The agreed bins; ``None``: none yet.
        binned: The device's rows in bins, uint8, shape ``(rows, features)``.
        scores: Raw scores of the model on them (log odds), float64, shape ``(rows,)``.
    """

    run: str
    packed: Parcel = field(default_factory=Parcel)
    bins: Bins | None = None
    binned: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    scores: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    _worker: Worker | None = None

    @property
    def version(self) -> int:
        """Segments that are held; -1: not even bins."""
        return -1 if self.bins is None else len(self.packed.segments)

    def worker(self, device: Device) -> Worker:
        """Return what answers requests for histograms of these bins."""
        assert self.bins is not None  # they come with the first request
        if self._worker is None:
            grid = Grid(self.bins.counts, seed=device.settings.run.seed)
            rows = np.arange(len(self.binned), dtype=np.uint64)
            keys = rows + (np.uint64(device.number) << np.uint64(40))
            self._worker = Worker(self.binned, device.examples.y, grid, keys)
        return self._worker

    def add(self, parcel: Parcel, device: Device) -> None:
        """Take in bins and segments.

        Raises:
            FrameError: They cannot be read, or are for other features than the device's rows have.
        """
        bins, packed, binned, scores = self.bins, self.packed, self.binned, self.scores
        x = device.examples.x.reshape(len(device.examples), -1)
        if parcel.bins:
            bins = Bins.from_bytes(parcel.bins)
            if len(bins) != x.shape[1]:
                raise FrameError(
                    f"the bins are of {len(bins)} features, this device's rows have {x.shape[1]}"
                )
            packed = Parcel(parcel.bins)
            binned, scores = bins.of(x), np.zeros(len(x))
            self._worker = None
        if bins is None:
            raise FrameError("trees came without the bins that they are about")
        for segment in parcel.segments:
            forest = decode_forest(segment, len(bins))
            scores = scores + forest.raw_scores(binned)
        self.bins, self.binned, self.scores = bins, binned, scores
        self.packed = Parcel(packed.bins, [*packed.segments, *parcel.segments])


_held: dict[Path, Holding] = {}


def holding_of(device: Device, run: str) -> Holding:
    """Return what the device holds of a run: from memory, from its disk, or nothing."""
    held = _held.get(device.folder)
    if held is None or held.run != run:
        held = Holding(run)
        data = kept_file.kept(device.folder / _FILE, run)
        try:
            if data is not None:
                held.add(Parcel.unpack(data), device)
        except FrameError:
            held = Holding(run)  # the server sends it all again
        _held[device.folder] = held
    return held


def keep(device: Device, held: Holding) -> None:
    """Write what is held to the disk.

    Raises:
        RunError: The disk does not take it.
    """
    kept_file.keep(device.folder / _FILE, held.run, held.packed.pack(), "the trees of this run")


def forget() -> None:
    """Drop what is held in memory."""
    _held.clear()
