"""One range for each tensor out of those of many clients.

The smallest minimum and the largest maximum count, so that no client's values saturate. One reply
with a huge number in it would make every scale coarse, hence two rules. A reply that makes no
sense (NaN or infinity, a minimum above its maximum, another number of tensors) is left out. So is
a reply in which some tensor reaches more than :data:`FAR` times as far from 0 as in the median
client: half of the clients would have to lie to move that bound. Both are named, never silent. A
client that reports too narrow a range does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from frugalfl.activation_ranges import with_zero
from frugalfl.task import FloatArray

#: How many times the median client's reach is too far. Honest clients with uneven shares of
#: digits, of vibrations and of biopsies reach up to 1.2, 1.4 and 2.8 times as far.
FAR = 4.0


def merge_ranges(
    replies: Mapping[int, FloatArray], tensors: int
) -> tuple[FloatArray | None, list[str]]:
    """Merge what clients report.

    Args:
        replies: By node, shape ``(tensors, 2)``: minimum and maximum.
        tensors: How many tensors the model has.

    Returns:
        The merged ranges, or None where no reply is usable; and a line for each reply that was
        left out.
    """
    sound, complaints = {}, []
    for node, ranges in replies.items():
        wrong = _nonsense(ranges, tensors)
        if wrong:
            complaints.append(f"node {node}: its ranges are left out: {wrong}")
        else:
            sound[node] = with_zero(ranges)
    if not sound:
        return None, complaints
    far = _far(sound)
    complaints += far.values()
    kept = np.array([ranges for node, ranges in sound.items() if node not in far])
    return np.stack([kept[..., 0].min(axis=0), kept[..., 1].max(axis=0)], axis=-1), complaints


def _nonsense(ranges: FloatArray, tensors: int) -> str:
    if len(ranges) != tensors:
        return f"{len(ranges)} tensors, the model has {tensors}; has it another version of PyTorch?"
    if not np.isfinite(ranges).all():
        return "they hold NaN or infinity"
    if (ranges[:, 0] > ranges[:, 1]).any():
        return "a minimum is above its maximum"
    return ""


def _far(sound: Mapping[int, FloatArray]) -> dict[int, str]:
    """Return a line for each client with a tensor that reaches too far."""
    reach = np.array([np.abs(ranges).max(axis=1) for ranges in sound.values()], np.float64)
    # A tensor that is 0 on most clients (a unit that seldom fires) has its median over the others.
    typical = [np.median(one[one > 0]) if one.any() else 1.0 for one in reach.T]
    excess = reach / np.array(typical)
    return {
        node: f"node {node}: its ranges are left out: tensor {int(over.argmax())} reaches "
        f"{over.max():.3g} times as far as on the median client (limit {FAR:g})"
        for node, over in zip(sound, excess, strict=True)
        if over.max() > FAR
    }
