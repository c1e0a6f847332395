"""A codec is a chain of small links, named by a short text.

``feedback | topk(1%) | sign | golomb`` is one.

Transforms come first, each turning tensors into tensors that are easier to code, with a little
side information (a scale); a coder ends the chain and turns them into bytes. Decoding runs the
chain backwards. ``feedback`` in front adds error feedback: what the lossy links dropped is kept
and added to the next update (Seide et al. 2014; Karimireddy et al. 2019); its state is explicit:
``encode`` takes the old residual and returns the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import FloatArray, Shape
from frugalfl.calls import Call, parse_call, unknown
from frugalfl.codec.buffer import Reader
from frugalfl.errors import CodecError, FrameError

#: float32 values, or int32 symbols once a quantizing link has run.
Tensor = npt.NDArray[Any]
#: What error feedback keeps between updates: the dropped part of each tensor, by tensor name.
Residual = dict[str, FloatArray]


class Transform(Protocol):
    """A link before the last: tensors to tensors, with side information."""

    def forward(self, tensors: list[Tensor]) -> tuple[list[Tensor], bytes]:
        """Return the transformed tensors and the bytes that :meth:`backward` needs."""

    def backward(self, tensors: list[Tensor], side: Reader) -> list[Tensor]:
        """Undo :meth:`forward` as far as it can be undone, reading its side information."""


class Coder(Protocol):
    """The last link: tensors to bytes."""

    def encode(self, tensors: list[Tensor]) -> bytes:
        """Return all tensors as bytes."""

    def decode(self, data: memoryview, shapes: Sequence[Shape]) -> list[Tensor]:
        """Return the tensors; must not take more memory than the shapes need.

        Raises:
            FrameError: The bytes are not what :meth:`encode` could have written.
        """


class Codec:
    """A whole chain. Build it with :func:`parse_codec`."""

    def __init__(
        self, text: str, feedback: bool, transforms: Sequence[Transform], coder: Coder
    ) -> None:
        self.text = text
        self.feedback = feedback
        self._transforms = tuple(transforms)
        self._coder = coder

    def encode(
        self, update: Mapping[str, FloatArray], residual: Mapping[str, FloatArray] | None = None
    ) -> tuple[bytes, Residual]:
        """Encode tensors, adding the residual first where the chain has error feedback.

        Args:
            update: float32 tensors of any shape, by name; the order is kept.
            residual: What the last call returned; nothing, for the first.

        Returns:
            The payload, and the new residual (empty without error feedback). Tensors in
            ``residual`` but not in ``update`` keep theirs.

        Raises:
            CodecError: A tensor is not float32, or holds NaN or infinity.
        """
        kept = dict(residual or {}) if self.feedback else {}
        wanted = {name: _checked(name, tensor) for name, tensor in update.items()}
        for name in wanted.keys() & kept.keys():
            wanted[name] = wanted[name] + kept[name]
        payload = self._pack(list(wanted.values()))
        if self.feedback:
            shapes = [tensor.shape for tensor in wanted.values()]
            sent = self.decode(memoryview(payload), shapes)
            kept |= {name: wanted[name] - got for name, got in zip(wanted, sent, strict=True)}
        return payload, kept

    def decode(self, payload: memoryview, shapes: Sequence[Shape]) -> list[FloatArray]:
        """Decode a payload into float32 tensors of the given shapes.

        Raises:
            FrameError: The payload does not fit the chain and the shapes, or is not finite.
        """
        reader = Reader(payload)
        sides = [reader.bytes(reader.varint(255)) for _ in self._transforms]
        tensors = self._coder.decode(reader.rest(), shapes)
        for transform, side in zip(reversed(self._transforms), reversed(sides), strict=True):
            tensors = transform.backward(tensors, Reader(side))
        decoded = [np.asarray(tensor, dtype=np.float32) for tensor in tensors]
        if not all(np.isfinite(tensor).all() for tensor in decoded):
            raise FrameError("the frame decodes to NaN or infinity; it is refused")
        return decoded

    def _pack(self, tensors: list[Tensor]) -> bytes:
        parts = []
        for transform in self._transforms:
            tensors, side = transform.forward(tensors)
            parts.append(bytes([len(side)]) + side)
        return b"".join(parts) + self._coder.encode(tensors)


def _checked(name: str, tensor: FloatArray) -> FloatArray:
    if tensor.dtype != np.float32:
        raise CodecError(f"tensor {name!r} is {tensor.dtype}; codecs take float32")
    if not np.isfinite(tensor).all():
        raise CodecError(
            f"tensor {name!r} holds NaN or infinity; training diverged: lower the learning rate"
        )
    return tensor


def parse_codec(text: str) -> Codec:
    """Build the codec that a text names.

    Raises:
        UsageError: The text has an unknown link, a wrong argument, or no coder at its end.
    """
    from frugalfl.codec.registry import CODERS, TRANSFORMS

    calls = [parse_call(part) for part in text.split("|")]
    feedback = calls[0].name == "feedback" and not calls[0].arguments
    links = calls[1:] if feedback else calls
    canonical = " | ".join(map(str, calls))
    if not links or links[-1].name not in CODERS:
        raise unknown(
            f"coder at the end of codec {canonical!r}:", links[-1].name if links else "", CODERS
        )
    transforms: list[Transform] = [_link("codec link", call, TRANSFORMS) for call in links[:-1]]
    coder: Coder = _link("coder", links[-1], CODERS)
    return Codec(canonical, feedback, transforms, coder)


def _link(what: str, call: Call, known: Mapping[str, Callable[[Call], Any]]) -> Any:
    if call.name not in known:
        raise unknown(what, call.name, known)
    return known[call.name](call)
