"""What a device makes of the trees that its store holds: its rows in bins, and their scores.

These are kept in memory, so that only new trees have to be run over the rows; whatever the store
says otherwise, they are made anew.
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
from frugalfl_client.held import Held
from frugalfl_client.trees.histograms import Worker

#: Where devices kept trees before their store did.
_OLD_FILE = "trees.bin"


@dataclass
class Holding:
    """The trees that a device holds of one run.

    Attributes:
        packed: Bins, then segments, as they came.
        bins: The agreed bins; ``None``: none yet.
        binned: The device's rows in bins, uint8, shape ``(rows, features)``.
        scores: Raw scores of the model on them (log odds), float64, shape ``(rows,)``.
    """

    packed: tuple[bytes, ...] = ()
    bins: Bins | None = None
    binned: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    scores: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    _worker: Worker | None = None

    @property
    def version(self) -> int:
        """Segments that are held; -1: not even bins."""
        return len(self.packed) - 1

    def worker(self, device: Device) -> Worker:
        """Return what answers requests for histograms of these bins."""
        assert self.bins is not None  # they come with the first request
        if self._worker is None:
            grid = Grid(self.bins.counts, seed=device.settings.run.seed)
            rows = np.arange(len(self.binned), dtype=np.uint64)
            keys = rows + (np.uint64(device.number) << np.uint64(40))
            self._worker = Worker(self.binned, device.rows.examples.y, grid, keys)
        return self._worker

    def add(self, parcel: Parcel, device: Device) -> None:
        """Take in bins and segments.

        Raises:
            FrameError: They cannot be read, or are for other features than the device's rows have.
        """
        bins, packed, binned, scores = self.bins, self.packed, self.binned, self.scores
        x = device.rows.examples.x.reshape(len(device.rows.examples), -1)
        if parcel.bins:
            bins = Bins.from_bytes(parcel.bins)
            if len(bins) != x.shape[1]:
                raise FrameError(
                    f"the bins are of {len(bins)} features, this device's rows have {x.shape[1]}"
                )
            packed = (parcel.bins,)
            binned, scores = bins.of(x), np.zeros(len(x))
            self._worker = None
        if bins is None:
            raise FrameError("trees came without the bins that they are about")
        for segment in parcel.segments:
            forest = decode_forest(segment, len(bins))
            scores = scores + forest.raw_scores(binned)
        self.bins, self.binned, self.scores = bins, binned, scores
        self.packed = (*packed, *parcel.segments)


def holding_of(device: Device, run: str, held: Held) -> Holding:
    """Return what the device makes of the trees that it holds.

    Args:
        device: The device.
        run: Name of the run.
        held: What its store says of that run.
    """
    packed = held.trees or _kept_before(device.folder, run)
    if device.trees is None or device.trees.packed != packed:
        device.trees = _made_of(packed, device)
    return device.trees


def forget_old_file(device: Device) -> None:
    """Remove what was kept before the store kept it."""
    (device.folder / _OLD_FILE).unlink(missing_ok=True)


def _made_of(packed: tuple[bytes, ...], device: Device) -> Holding:
    made = Holding()
    try:
        if packed:
            made.add(Parcel(packed[0], packed[1:]), device)
    except FrameError:
        return Holding()  # the server sends it all again
    return made


def _kept_before(folder: Path, run: str) -> tuple[bytes, ...]:
    """Return what a device kept in a file of its own; nothing, if that is of another run."""
    data = kept_file.kept(folder / _OLD_FILE, run)
    try:
        parcel = Parcel.unpack(data or b"")
    except FrameError:
        return ()
    return (parcel.bins, *parcel.segments) if parcel.bins else ()
