"""A codec is a chain of small links, named by a short text.

``stochastic(24 sigma) | range`` is one; ``feedback | topk(1%) | sign | golomb`` is another.

Transforms come first, each turning tensors into tensors that are easier to code, with a little
side information (a step, a scale); a coder ends the chain and turns them into bytes. Decoding runs
the chain backwards.

There are two families, and they do not mix. *Unbiased* links (stochastic rounding, random
entries) are right on average, so that a server that averages many clients needs nothing else.
*Biased* links (top-k, sign, nearest, low rank) are nearer for one client, but what they drop is
lost unless ``feedback`` in front keeps it and adds it to the next update (Seide et al. 2014;
Karimireddy et al. 2019). Feedback in front of an unbiased link is refused: its error is larger
than the update, so the residual grows from round to round (accuracy 0.11 instead of 0.88).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from frugalfl.blocks import FloatArray, Shape
from frugalfl.calls import Call, parse_call, unknown
from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.links import (
    Coder,
    Family,
    Tensor,
    Thresholds,
    Transform,
    shared_thresholds,
)
from frugalfl.codec.registry import CODERS, TRANSFORMS
from frugalfl.errors import CodecError, FrameError, UsageError

#: What error feedback keeps between updates: the dropped part of each tensor, by tensor name.
Residual = dict[str, FloatArray]
_MAX_SIDE = 1 << 16


class Codec:
    """A whole chain. Build it with :func:`parse_codec`."""

    def __init__(
        self, calls: Sequence[Call], feedback: bool, transforms: Sequence[Transform], coder: Coder
    ) -> None:
        self.calls = tuple(calls)
        self.text = " | ".join(map(str, calls))
        self.feedback = feedback
        self._transforms = tuple(transforms)
        self._coder = coder
        if feedback and self.family == "unbiased":
            raise UsageError(
                f"codec {self.text!r}: feedback does not go with an unbiased link, whose error is "
                "larger than the update, so that the residual diverges; leave 'feedback' out"
            )

    @property
    def family(self) -> Family:
        """``biased`` if any link is, else ``unbiased`` if any is, else ``exact``."""
        families = {transform.family for transform in self._transforms}
        return (
            "biased" if "biased" in families else "unbiased" if "unbiased" in families else "exact"
        )

    def encode(
        self,
        update: Mapping[str, FloatArray],
        residual: Mapping[str, FloatArray] | None = None,
        seed: int = 0,
    ) -> tuple[bytes, Residual]:
        """Encode tensors, adding the residual first where the chain has error feedback.

        Args:
            update: float32 tensors of any shape, by name; the order is kept.
            residual: What the last call returned; nothing, for the first.
            seed: Seed of the chain's randomness, 32 bits; the decoder needs the same.

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
        payload = self._pack(list(wanted.values()), seed)
        if self.feedback:
            shapes = [tensor.shape for tensor in wanted.values()]
            sent = self.decode(memoryview(payload), shapes, seed)
            kept |= {name: wanted[name] - got for name, got in zip(wanted, sent, strict=True)}
        return payload, kept

    def decode(
        self, payload: memoryview, shapes: Sequence[Shape], seed: int = 0
    ) -> list[FloatArray]:
        """Decode a payload into float32 tensors of the given shapes.

        Raises:
            FrameError: The payload does not fit the chain and the shapes, or is not finite.
        """
        reader = Reader(payload)
        sides = [Reader(reader.bytes(reader.varint(_MAX_SIDE))) for _ in self._transforms]
        on_the_way = [list(shapes)]
        for transform in self._transforms:
            on_the_way.append(transform.shapes_after(on_the_way[-1]))
        coded = on_the_way.pop()
        tensors = self._coder.decode(reader.rest(), coded, self._thresholds(coded, seed))
        for transform, side in zip(reversed(self._transforms), reversed(sides), strict=True):
            tensors = transform.backward(tensors, side, on_the_way.pop(), seed)
            if len(side.rest()):
                raise FrameError("the frame's side information is longer than its codec needs")
        with np.errstate(over="ignore"):
            decoded = [np.asarray(tensor, dtype=np.float32) for tensor in tensors]
        if not all(np.isfinite(tensor).all() for tensor in decoded):
            raise FrameError("the frame decodes to NaN or infinity; it is refused")
        return decoded

    def ideal_bytes(self, update: Mapping[str, FloatArray], seed: int = 0) -> float:
        """Return what an update's symbols are worth to the coder's own model (B).

        That is the length of :meth:`encode` (first call), if decisions could be written in
        fractions of a bit, and without the few bytes of the transforms' side information.

        Raises:
            CodecError: A tensor is not float32, or holds NaN or infinity.
            UsageError: The chain does not end in ``range``, the coder that has a model.
        """
        ideal = getattr(self._coder, "ideal_bytes", None)
        if ideal is None:
            raise UsageError(f"codec {self.text!r} has no ideal size; only those with 'range' have")
        tensors = [_checked(name, tensor) for name, tensor in update.items()]
        symbols, _ = self._transformed(tensors, seed)
        size: float = ideal(symbols, self._thresholds([t.shape for t in symbols], seed))
        return size

    def _pack(self, tensors: list[Tensor], seed: int) -> bytes:
        tensors, sides = self._transformed(tensors, seed)
        shapes = [tensor.shape for tensor in tensors]
        return sides + self._coder.encode(tensors, self._thresholds(shapes, seed))

    def _transformed(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return what the coder gets, and the side information of all transforms."""
        parts = []
        for transform in self._transforms:
            tensors, side = transform.forward(tensors, seed)
            parts += [varint(len(side)), side]
        return tensors, b"".join(parts)

    def _thresholds(self, shapes: Sequence[Shape], seed: int) -> Thresholds | None:
        """Return the thresholds of the rounding link, if it is the last transform of the chain."""
        if not self._transforms or not getattr(self._transforms[-1], "shares_thresholds", False):
            return None
        return shared_thresholds(shapes, seed)


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
        UsageError: The text has an unknown link, a wrong argument, links that do not go together,
            or no coder at its end.
    """
    calls = [parse_call(part) for part in text.split("|")]
    feedback = calls[0].name == "feedback" and not calls[0].arguments
    links = calls[1:] if feedback else calls
    if not links or links[-1].name not in CODERS:
        canonical = " | ".join(map(str, calls))
        name = links[-1].name if links else ""
        raise unknown(f"coder at the end of codec {canonical!r}:", name, CODERS)
    transforms: list[Transform] = [_link("codec link", call, TRANSFORMS) for call in links[:-1]]
    coder: Coder = _link("coder", links[-1], CODERS)
    return Codec(calls, feedback, transforms, coder)


def _link(what: str, call: Call, known: Mapping[str, Callable[[Call], Any]]) -> Any:
    if call.name not in known:
        raise unknown(what, call.name, known)
    return known[call.name](call)
