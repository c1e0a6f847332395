"""A training program: a TFLite file that trains one model, and the description that goes with it.

The server compiles it from the task's PyTorch model; a device runs it with LiteRT and numpy alone.
Its signatures take and return tensors by these names (every tensor is float32 but ``y`` of a
classification, which is int32):

* ``train``: ``x``, ``y``, ``learning_rate``, ``proximal_mu``, ``w`` (row weights: 1 for a row, 0
  for the padding of a ragged last batch), ``p0`` ... (all parameters, in order), ``g0`` ... (the
  trained ones as the round began with them, only with ``proximal``), ``s0`` ... (optimiser state),
  ``m0`` ... (dropout masks, drawn anew for every batch), ``q0`` ... (the trained ones' signs, as
  :meth:`frugalfl.subspace.Subspace.signs` draws them, only with ``coordinates``) to ``loss`` and
  the new values of what changed, under the same names.
* ``evaluate``: ``x``, ``y``, ``w``, ``p0`` ... to ``loss`` and ``right`` (rows whose largest output
  is their class).
* ``predict``: ``x``, ``p0`` ... to ``outputs``.
* ``calibrate``: ``x``, ``p0`` ... to ``ranges``, shape ``(tensors, 2)``, as
  :func:`frugalfl.activation_ranges.ranges_of` records them; fill a short batch up with its own
  rows.

Serialised it is ``fP``, a format byte, SHA-256 of all that follows, the description's length (4
bytes, little-endian), the description as JSON, and the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from frugalfl.errors import ProgramError

MAGIC = b"fP"
FORMAT = 1
_START = MAGIC + bytes([FORMAT])
_HASH_BYTES = 32
_LENGTH_BYTES = 4
_BODY = len(_START) + _HASH_BYTES
#: Longest program that is read (B), and longest description in it.
MAX_BYTES = 1 << 28
_MAX_DESCRIPTION = 1 << 20
_MAX_BATCH = 1 << 16
_MAX_TENSORS = 4096
_MAX_NAME = 255
_MAX_RANK = 8
_MAX_ENTRIES = 1 << 28
#: How PyTorch calls the running statistics of its batch norms.
_STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class Tensor:
    """One parameter or state tensor of a program.

    Attributes:
        name: As in the module's ``state_dict()``.
        shape: Its shape.
        changes: True if ``train`` returns a new value (a trained parameter, a running statistic).
    """

    name: str
    shape: tuple[int, ...]
    changes: bool


@dataclass(frozen=True)
class Mask:
    """One dropout mask that ``train`` takes.

    Attributes:
        shape: Its shape, batch included.
        drop: Probability of an entry to be 0, below 1; the others are ``1 / (1 - drop)``.
    """

    shape: tuple[int, ...]
    drop: float


@dataclass(frozen=True)
class Program:
    """A training program.

    Attributes:
        model: The .tflite file.
        batch: Rows of a batch.
        input_shape: Shape of one row of ``x``.
        target_shape: Shape of one row of ``y``; empty for a class number.
        parameters: In the order of ``p0`` ...
        state: In the order of ``s0`` ...; zero when training begins.
        proximal: True if ``train`` takes ``proximal_mu`` and ``g0`` ...
        masks: In the order of ``m0`` ...
        classes: Number of classes; 0 if targets are values.
        coordinates: How many each of :attr:`trained` follows; empty: weights move freely.
    """

    model: bytes
    batch: int
    input_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    parameters: tuple[Tensor, ...]
    state: tuple[Tensor, ...]
    proximal: bool
    masks: tuple[Mask, ...] = ()
    classes: int = 0
    coordinates: tuple[int, ...] = ()

    @property
    def trained(self) -> tuple[Tensor, ...]:
        """The parameters that get gradients, in the order of ``g0`` ... and ``q0`` ..."""
        return _trained(self.parameters)

    @property
    def train_inputs(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor that ``train`` may take, by name."""
        shapes: dict[str, tuple[int, ...]] = {
            "x": (self.batch, *self.input_shape), "y": (self.batch, *self.target_shape),
            "w": (self.batch,), "learning_rate": (),
        }  # fmt: skip
        named: dict[str, Sequence[Tensor | Mask]] = {
            "p": self.parameters, "s": self.state, "m": self.masks,
        }  # fmt: skip
        if self.proximal:
            shapes["proximal_mu"] = ()
            named["g"] = self.trained
        for kind, tensors in named.items():
            shapes |= {f"{kind}{place}": one.shape for place, one in enumerate(tensors)}
        return shapes | {f"q{place}": shape for place, shape in enumerate(self.signs)}

    @property
    def signs(self) -> tuple[tuple[int, int], ...]:
        """Shapes of ``q0`` ..., none if weights move freely."""
        if not self.coordinates:
            return ()
        followed = zip(self.trained, self.coordinates, strict=True)
        return tuple(signs_shape(one.shape, count) for one, count in followed)

    @property
    def digest(self) -> str:
        """SHA-256 of the file, as hexadecimal digits."""
        return hashlib.sha256(self.model).hexdigest()


def describe(program: Program) -> dict[str, Any]:
    """Return all of a program but the file, for JSON.

    What there was before there were subspaces is described as it was: programs keep their bytes,
    and devices their pins.
    """
    described = asdict(program)
    del described["model"]
    if not program.coordinates:
        del described["coordinates"]
    return described


def to_bytes(program: Program) -> bytes:
    """Serialise a program; equal programs are equal bytes."""
    described = json.dumps(describe(program), sort_keys=True, separators=(",", ":"))
    description = described.encode()
    body = len(description).to_bytes(_LENGTH_BYTES, "little") + description + program.model
    return _START + hashlib.sha256(body).digest() + body


def from_bytes(data: bytes) -> Program:
    """Read a program back; nothing in it is trusted before its hash is right.

    Raises:
        ProgramError: Truncated, altered, beyond the bounds, or of another format.
    """
    if len(data) > MAX_BYTES:
        raise ProgramError(f"a training program of {len(data)} B; at most {MAX_BYTES} B are read")
    if data[: len(MAGIC)] != MAGIC:
        raise ProgramError(f"{len(data)} B that are not a training program; ask for it again")
    if data[: len(_START)] != _START:
        raise ProgramError(
            f"a training program of another format than {FORMAT}; install the same version of "
            "FrugalFL on server and device"
        )
    body = data[_BODY:]
    if hashlib.sha256(body).digest() != data[len(_START) : _BODY]:
        raise ProgramError("the training program is truncated or altered; ask for it again")
    end = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "little")
    if not _LENGTH_BYTES < end <= min(len(body), _MAX_DESCRIPTION):
        raise ProgramError(f"the training program's description ends at byte {end} of {len(body)}")
    try:
        return _read(json.loads(body[_LENGTH_BYTES:end]), bytes(body[end:]))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ProgramError(
            f"the training program's description cannot be read: {type(error).__name__}: {error}"
        ) from error


def _read(text: Any, model: bytes) -> Program:
    """Check and convert a description; whatever does not fit raises one of the usual errors."""
    parameters = _tensors(text["parameters"])
    return Program(
        model=model,
        batch=_whole(text["batch"], 1, _MAX_BATCH),
        input_shape=_shape(text["input_shape"]),
        target_shape=_shape(text["target_shape"]),
        parameters=parameters,
        state=_tensors(text["state"]),
        proximal=_flag(text["proximal"]),
        masks=tuple(
            Mask(_shape(one["shape"]), _probability(one["drop"])) for one in _few(text["masks"])
        ),
        classes=_whole(text["classes"], 0, _MAX_ENTRIES),
        coordinates=_coordinates(text.get("coordinates", []), _trained(parameters)),
    )


def signs_shape(shape: tuple[int, ...], count: int) -> tuple[int, int]:
    """Return the shape of a tensor's signs, if so many coordinates lie beside each other."""
    return -(-prod(shape) // count), count


def _trained(parameters: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(
        one for one in parameters
        if one.changes and one.name.rpartition(".")[2] not in _STATISTICS
    )  # fmt: skip


def _coordinates(counts: Any, trained: tuple[Tensor, ...]) -> tuple[int, ...]:
    """Check one count for each trained tensor, of at most its entries, or none at all."""
    if not _few(counts):
        return ()
    if len(counts) != len(trained):
        raise ValueError(f"coordinates of {len(counts)} tensors, of which {len(trained)} train")
    return tuple(
        _whole(count, 1, prod(one.shape)) for count, one in zip(counts, trained, strict=True)
    )


def _tensors(listed: Any) -> tuple[Tensor, ...]:
    tensors = tuple(
        Tensor(_name(one["name"]), _shape(one["shape"]), _flag(one["changes"]))
        for one in _few(listed)
    )
    if len({one.name for one in tensors}) < len(tensors):
        raise ValueError("two tensors have the same name")
    return tensors


def _few(listed: Any) -> list[Any]:
    if not isinstance(listed, list) or len(listed) > _MAX_TENSORS:
        raise ValueError(f"not a list of at most {_MAX_TENSORS} tensors")
    return listed


def _shape(axes: Any) -> tuple[int, ...]:
    if not isinstance(axes, list) or len(axes) > _MAX_RANK:
        raise ValueError(f"not a shape of at most {_MAX_RANK} axes")
    entries = 1
    for axis in axes:
        entries *= _whole(axis, 1, _MAX_ENTRIES)
    _whole(entries, 1, _MAX_ENTRIES)
    return tuple(axes)


def _name(text: Any) -> str:
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_NAME:
        raise ValueError(f"not a name of 1 to {_MAX_NAME} characters")
    return text


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _probability(value: Any) -> float:
    if not isinstance(value, float) or not 0 <= value < 1:
        raise ValueError(f"{value!r} is not a probability below 1")
    return value


def _whole(value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{value!r} is not a whole number from {low} to {high}")
    return value
