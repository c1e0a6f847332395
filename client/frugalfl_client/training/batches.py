"""Which rows are in which mini-batch, and how few of them may be.

What a device sends is made of sums over its batches. A batch of one row gives that row away, so a
device has a smallest batch: settings and programs with smaller ones are refused, and what an epoch
leaves over is filled up with other rows of the epoch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from frugalfl.errors import NotAllowedError

#: Rows of a batch on a device whose owner names no other number. It keeps single rows and
#: differences of two out of every sum, and lets all but the smallest clients take part; sums of so
#: few rows still say much about them, and owners who can afford more should ask for more.
SMALLEST_BATCH = 4


def batches(
    rows: int, size: int, rng: np.random.Generator, least: int = 1
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the row numbers of each mini-batch of one epoch: all rows once, in a drawn order.

    If fewer than ``least`` are left for the last one, the epoch's first rows fill it up.
    """
    order = rng.permutation(rows)
    for start in range(0, rows, size):
        batch = order[start : start + size]
        missing = max(least - len(batch), 0)
        yield np.concatenate([batch, order[: min(missing, start)]]) if missing else batch


def check_batch_size(size: int, least: int) -> None:
    """Refuse batches that are too small.

    Raises:
        NotAllowedError: They are.
    """
    if size < least:
        raise NotAllowedError(
            f"batch-size is {size}, and this device trains on at least {least} rows at a time; "
            "raise batch-size, or lower smallest-batch in its node config"
        )


def check_rows(rows: int, least: int) -> None:
    """Refuse to work on too few rows: all that is sent would be about them.

    Raises:
        NotAllowedError: There are too few.
    """
    if rows < least:
        raise NotAllowedError(
            f"this device has {rows} row{'s' * (rows != 1)}, and its smallest-batch is {least}; it "
            "takes no part"
        )
