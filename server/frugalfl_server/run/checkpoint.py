"""``checkpoints/resume.npz``: all that a run needs to go on, as one file that is there or not.

A tree of plain values, arrays and bytes is an NPZ archive: ``tree.json`` holds the plain values and
the format's version, the other entries the arrays that it refers to, and ``checksum`` BLAKE2b over
all of them. Nothing in it is code, and nothing is unpickled.

Random numbers are drawn from Python's generator by Flower's sampling, and by tasks from any of the
three; so all three are kept.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.atomic import write_atomically
from frugalfl.errors import RunError
from frugalfl.foreign_arrays import arrays_in

FILE = "checkpoints/resume.npz"
#: Of the file and of the tree in it; another one is refused.
FORMAT = 1
#: What is left to do with a run whose checkpoint is damaged.
CANNOT = "this run cannot be resumed; begin a new one, with start-from for its newest model"
_ARRAY, _BYTES = "$array", "$bytes"
_TREE, _CHECKSUM = "tree.json", "checksum"

#: A list of nothing else is JSON as it is.
_SCALARS = {type(None), bool, int, float, str}

_Array = npt.NDArray[Any]
Tree = dict[str, Any]


def write_checkpoint(path: Path, tree: Tree) -> int:
    """Replace a checkpoint by this tree; it is on the disk when this returns.

    Args:
        path: Its file.
        tree: ``None``, truth values, numbers, texts, bytes, arrays, and dictionaries and sequences
            of such; keys are texts that do not begin with ``$``.

    Returns:
        Length of the file (B).

    Raises:
        TypeError: Another kind of value.
    """
    arrays: list[_Array] = []
    text = json.dumps({"format": FORMAT, "tree": _plain(tree, arrays)})
    entries = {_TREE: np.frombuffer(text.encode(), np.uint8)}
    entries |= {str(place): array for place, array in enumerate(arrays)}
    entries[_CHECKSUM] = np.frombuffer(_checksum(entries), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **entries)  # type: ignore[arg-type]
    data = buffer.getvalue()
    write_atomically(path, data, durable=True)
    return len(data)


def read_checkpoint(path: Path) -> Tree:
    """Read a checkpoint; sequences come back as lists.

    Raises:
        RunError: It is missing, damaged, or of another version of FrugalFL.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read the checkpoint {path}: {error}") from error
    try:
        tree = _tree_in(data)
    except RunError as error:
        raise RunError(f"the checkpoint {path} {error}") from error
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        said = " ".join(str(error).split())[:100]
        raise RunError(f"the checkpoint {path} is damaged ({said}): {CANNOT}") from error
    return tree


def _tree_in(data: bytes) -> Tree:
    entries = arrays_in(io.BytesIO(data))
    checksum = entries.pop(_CHECKSUM).tobytes()
    if checksum != _checksum(entries):
        raise ValueError("its checksum does not agree")
    about = json.loads(entries[_TREE].tobytes())
    if about["format"] != FORMAT:
        raise RunError(
            f"has format {about['format']!r:.20}, this FrugalFL reads {FORMAT}: resume it with the "
            "version that began it (run.json)"
        )
    tree = _filled(about["tree"], entries)
    if not isinstance(tree, dict):
        raise ValueError(f"it holds a {type(tree).__name__}")
    return tree


def random_state() -> Tree:
    """Return the state of Python's, NumPy's and PyTorch's global generators."""
    import torch

    version, numbers, gauss = random.getstate()
    kind, keys, place, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, np.array(numbers, np.uint64), gauss],
        "numpy": [kind, keys, int(place), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state().numpy(),
    }


def set_random_state(state: Tree) -> None:
    """Put the three generators back to where they were."""
    import torch

    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(map(int, numbers)), gauss))
    np.random.set_state(tuple(state["numpy"]))
    torch.set_rng_state(torch.from_numpy(state["torch"].copy()))


def by_client(values: Mapping[int, Any], name: str) -> Tree:
    """Return what is known of each client as columns, which are written quickly: there are many.

    Args:
        values: By node.
        name: What they are.
    """
    return {"node": list(values), name: list(values.values())}


def by_row(state: Tree | Sequence[Sequence[Any]]) -> list[Any]:
    """Return columns row by row, such as :func:`by_client` makes; older checkpoints have rows."""
    return list(zip(*state.values(), strict=True)) if isinstance(state, dict) else list(state)


def _plain(value: Any, arrays: list[_Array]) -> Any:
    """Return JSON's part of a value, and add its arrays to the list."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes):
        arrays.append(np.frombuffer(value, np.uint8))
        return {_BYTES: len(arrays) - 1}
    if isinstance(value, np.ndarray) and value.dtype != object:
        arrays.append(value)
        return {_ARRAY: len(arrays) - 1}
    if isinstance(value, (list, tuple)):
        if set(map(type, value)) <= _SCALARS:
            return list(value)
        return [_plain(one, arrays) for one in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(one, arrays) for key, one in value.items()}
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _filled(value: Any, entries: dict[str, _Array]) -> Any:
    if isinstance(value, list):
        return [_filled(one, entries) for one in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return entries[str(value[_ARRAY])]
    if _BYTES in value:
        return entries[str(value[_BYTES])].tobytes()
    return {key: _filled(one, entries) for key, one in value.items()}


def _checksum(entries: dict[str, _Array]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name, array in entries.items():
        digest.update(repr((name, array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
