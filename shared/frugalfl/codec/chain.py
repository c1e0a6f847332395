"""A codec is a chain of small links, named by a short text.

``stochastic(24 sigma) | range`` is one; ``feedback | topk(1%) | sign | golomb`` is another.

Transforms come first, each turning tensors into tensors that are easier to code, with a little
side information (a step, a scale); a coder ends the chain and turns them into bytes. Decoding runs
the chain backwards.

There are two families, and they do not mix. *Unbiased* links (stochastic rounding, random
entries) are right on average, so that a server that averages many clients needs nothing else.
*Biased* links (top-k, sign, nearest, low rank) are nearer for one client, but what they drop is
lost unless ``feedback`` in front keeps it and adds it to the next update (`codec/feedback.py`).
Feedback in front of an unbiased link is refused: its error is larger than the update, so the
residual grows from round to round (accuracy 0.11 instead of 0.88).

In the coder's place there may be a chooser, which does not treat all tensors alike: ``large`` has
a chain for large tensors and one for small ones, ``auto`` chooses for each tensor by itself, and
``statistics`` has one for running statistics, which every codec that loses anything keeps apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np

from frugalfl.blocks import FloatArray, Shape, is_statistic
from frugalfl.calls import Call, parse_chain, unknown
from frugalfl.codec import feedback as error_feedback
from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.feedback import Feedback, Residual
from frugalfl.codec.links import (
    Chooser,
    Coder,
    Compact,
    Family,
    Product,
    Sparse,
    Tensor,
    Thresholds,
    Transform,
    shared_thresholds,
    squared_norm,
)
from frugalfl.codec.registry import CHOOSERS, CODERS, ENCODER_ONLY, READERS, TRANSFORMS
from frugalfl.codec.statistics import FOLLOWING, Statistics
from frugalfl.codec.stochastic import Steering, Stochastic, read_steering
from frugalfl.errors import CodecError, FrameError, UsageError

_MAX_SIDE = 1 << 16
#: A chain is of the last of these that one of its links is of.
_ORDER: Final[tuple[Family, ...]] = ("exact", "unbiased", "biased")
_LARGEST = float(np.finfo(np.float32).max)


class Codec:
    """A whole chain. Build it with :func:`parse_codec`."""

    def __init__(
        self,
        calls: Sequence[Call],
        feedback: Feedback | None,
        transforms: Sequence[Transform],
        coder: Coder | Chooser,
    ) -> None:
        self.calls = tuple(calls)
        self.text = " | ".join(map(str, calls))
        #: The text as frames have it: without what tells a receiver nothing.
        self.wire_text = " | ".join(
            str(_without_options(call)) for call in calls if call.name != "feedback"
        )
        self.feedback = feedback
        self._transforms = tuple(transforms)
        self._coder = coder
        self._keeps_to_nonzeros = hasattr(coder, "decode_sparse") and all(
            getattr(transform, "pointwise", False) for transform in transforms
        )
        if feedback and "unbiased" in self.families:
            raise UsageError(
                f"codec {self.text!r}: feedback does not go with an unbiased link, whose error is "
                "larger than the update, so that the residual diverges; leave 'feedback' out"
            )

    @property
    def family(self) -> Family:
        """``biased`` if any link is, else ``unbiased`` if any is, else ``exact``."""
        return max(self.families, key=_ORDER.index)

    @property
    def families(self) -> frozenset[Family]:
        """The family of each way that a tensor can take; several where the last link chooses."""
        own = [transform.family for transform in self._transforms]
        last: frozenset[Family] = getattr(self._coder, "families", frozenset(["exact"]))
        return frozenset(max([*own, family], key=_ORDER.index) for family in last)

    def for_tensors(self, names: Sequence[str]) -> Codec:
        """Return the codec that is to write these tensors.

        Running statistics are kept apart by a codec that loses anything, as if its text was
        ``statistics(the codec, FOLLOWING)``, with :data:`~frugalfl.codec.statistics.FOLLOWING`. A
        codec that says how it treats them, but is given none, is the one for the weights.
        """
        statistics = any(map(is_statistic, names))
        if isinstance(self._coder, Statistics):
            return self if statistics else _codec_for(self.text, False)
        if not statistics or self.family == "exact":
            return self
        return _codec_for(self.text, True)

    def encode(
        self,
        update: Mapping[str, FloatArray],
        residual: Mapping[str, FloatArray] | None = None,
        seed: int = 0,
        missed: int = 0,
    ) -> tuple[bytes, Residual]:
        """Encode tensors, adding the residual first where the chain has error feedback.

        Args:
            update: float32 tensors of any shape, by name; the order is kept.
            residual: What the last call returned; nothing, for the first.
            seed: Seed of the chain's randomness, 32 bits; the decoder needs the same.
            missed: Versions of the model that were let pass since the last call; see
                :mod:`frugalfl.codec.feedback`.

        Returns:
            The payload, and the new residual (empty without error feedback). Tensors in
            ``residual`` but not in ``update`` keep theirs.

        Raises:
            CodecError: A tensor is not float32, or holds NaN or infinity.
        """
        checked = {name: _checked(name, tensor) for name, tensor in update.items()}
        if self.feedback is None:
            return self._pack(checked, seed), {}
        wanted, kept = self.feedback.add(checked, residual or {}, missed)
        payload = self._pack(wanted, seed)
        shapes = [tensor.shape for tensor in wanted.values()]
        sent = self.decode(memoryview(payload), shapes, seed)
        return payload, self.feedback.keep(wanted, sent, kept)

    def decode(
        self, payload: memoryview, shapes: Sequence[Shape], seed: int = 0
    ) -> list[FloatArray]:
        """Decode a payload into float32 tensors of the given shapes.

        Raises:
            FrameError: The payload does not fit the chain and the shapes, or is not finite.
        """
        with np.errstate(over="ignore"):
            tensors = self.unpack(payload, shapes, seed)
            decoded = [np.asarray(tensor, dtype=np.float32) for tensor in tensors]
        if not all(np.isfinite(tensor).all() for tensor in decoded):
            raise FrameError("the frame decodes to NaN or infinity; it is refused")
        return decoded

    def decode_compact(
        self, payload: memoryview, shapes: Sequence[Shape], seed: int = 0
    ) -> Compact:
        """Decode a payload only as far as adding it to something needs.

        Args:
            payload: As for :meth:`decode`.
            shapes: As for :meth:`decode`.
            seed: As for :meth:`decode`.

        Returns:
            The nonzero entries, where coder and transforms all keep to them; otherwise tensors,
            or the two factors of one, in the order of ``shapes``. Made out in full, it is what
            :meth:`decode` returns.

        Raises:
            FrameError: As for :meth:`decode`, and where the square of an entry is beyond float32.
        """
        if isinstance(self._coder, Statistics):
            return self._coder.decode_compact(payload, shapes, seed)
        reader, sides = self._open(payload)
        if self._keeps_to_nonzeros:
            sparse = self._nonzeros(reader, sides, shapes, seed)
            if not squared_norm(sparse.values) < _LARGEST:
                raise FrameError("the frame decodes to NaN, infinity or beyond; it is refused")
            return sparse
        with np.errstate(over="ignore"):
            parts = [
                part if isinstance(part, Product) else np.asarray(part, np.float32)
                for part in self._undo(reader, sides, shapes, seed, factored=True)
            ]
        if not all(squared_norm(part) < _LARGEST for part in parts):
            raise FrameError("the frame decodes to NaN, infinity or beyond; it is refused")
        return parts

    def _open(self, payload: memoryview) -> tuple[Reader, list[Reader]]:
        """Return a reader of the coder's bytes, and one of each transform's side information."""
        reader = Reader(payload)
        sides = [Reader(reader.bytes(reader.varint(_MAX_SIDE))) for _ in self._transforms]
        return reader, sides

    def unpack(self, payload: memoryview, shapes: Sequence[Shape], seed: int) -> list[Tensor]:
        """Undo :meth:`pack`; the tensors are as the chain was given them, or near."""
        reader, sides = self._open(payload)
        return self._undo(reader, sides, shapes, seed)

    def _undo(
        self,
        reader: Reader,
        sides: list[Reader],
        shapes: Sequence[Shape],
        seed: int,
        factored: bool = False,
    ) -> list[Any]:
        """Run the chain backwards; ``factored``: leave products that come out last as factors."""
        on_the_way = [list(shapes)]
        for transform in self._transforms:
            on_the_way.append(transform.shapes_after(on_the_way[-1]))
        coded = on_the_way.pop()
        tensors = self._decode_last(reader.rest(), coded, seed)
        for transform, side in zip(reversed(self._transforms), reversed(sides), strict=True):
            backward = transform.backward
            if factored and len(on_the_way) == 1:
                backward = getattr(transform, "factors", backward)
            tensors = backward(tensors, side, on_the_way.pop(), seed)
            _at_end(side)
        return tensors

    def _nonzeros(
        self, reader: Reader, sides: list[Reader], shapes: Sequence[Shape], seed: int
    ) -> Sparse:
        """Run the chain backwards on the nonzero entries alone."""
        coder: Any = self._coder
        found: Sparse = coder.decode_sparse(reader.rest(), shapes, self._thresholds(shapes, seed))
        values = found.values
        for transform, side in zip(self._transforms[::-1], sides[::-1], strict=True):
            (values,) = transform.backward([values], side, [values.shape], seed)
            _at_end(side)
        return Sparse(found.places, np.asarray(values, np.float32))

    def steering(self, payload: memoryview) -> Steering | None:
        """Return what a payload says of its step, for the server that steers it.

        Raises:
            FrameError: The payload does not fit the chain.
        """
        if isinstance(self._coder, Statistics):
            return self._coder.steering(payload)
        reader = Reader(payload)
        for transform in self._transforms:
            side = Reader(reader.bytes(reader.varint(_MAX_SIDE)))
            if isinstance(transform, Stochastic):
                return read_steering(side)
        return None

    def _pack(self, named: Mapping[str, Tensor], seed: int) -> bytes:
        """Return the payload of named tensors."""
        if isinstance(self._coder, Statistics):
            return self._coder.encode(list(named.values()), seed, list(map(is_statistic, named)))
        return self.pack(list(named.values()), seed)

    def pack(self, tensors: list[Tensor], seed: int) -> bytes:
        """Return the payload of these tensors."""
        tensors, sides = self._transformed(tensors, seed)
        return sides + self._encode_last(tensors, seed)

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

    def _transformed(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return what the coder gets, and the side information of all transforms."""
        parts = []
        for transform in self._transforms:
            tensors, side = transform.forward(tensors, seed)
            parts += [varint(len(side)), side]
        return tensors, b"".join(parts)

    def _encode_last(self, tensors: list[Tensor], seed: int) -> bytes:
        if isinstance(self._coder, Chooser):
            return self._coder.encode(tensors, seed)
        shapes = [tensor.shape for tensor in tensors]
        return self._coder.encode(tensors, self._thresholds(shapes, seed))

    def _decode_last(self, data: memoryview, shapes: Sequence[Shape], seed: int) -> list[Tensor]:
        if isinstance(self._coder, Chooser):
            return self._coder.decode(data, shapes, seed)
        return self._coder.decode(data, shapes, self._thresholds(shapes, seed))

    def _thresholds(self, shapes: Sequence[Shape], seed: int) -> Thresholds | None:
        """Return the thresholds of the rounding link, if it is the last transform of the chain."""
        if not self._transforms or not getattr(self._transforms[-1], "shares_thresholds", False):
            return None
        return shared_thresholds(shapes, seed)


def _at_end(side: Reader) -> None:
    if not side.finished:
        raise FrameError("the frame's side information is longer than its codec needs")


def _checked(name: str, tensor: FloatArray) -> FloatArray:
    if tensor.dtype != np.float32:
        raise CodecError(f"tensor {name!r} is {tensor.dtype}; codecs take float32")
    if not np.isfinite(tensor).all():
        raise CodecError(
            f"tensor {name!r} holds NaN or infinity; training diverged: lower the learning rate"
        )
    return tensor


def parse_codec(text: str, reading: bool = False) -> Codec:
    """Build the codec that a text names.

    Args:
        text: Links with ``|`` between them.
        reading: The text is a frame's: links may lack what only the encoder needs.

    Raises:
        UsageError: The text has an unknown link, a wrong argument, links that do not go together,
            or no coder at its end.
    """
    return _codec(parse_chain(text), reading)


def _codec(chain: Call, reading: bool) -> Codec:
    calls = chain.links
    feedback = error_feedback.build(calls[0]) if calls[0].name == "feedback" else None
    links = calls if feedback is None else calls[1:]
    last = links[-1].name if links else ""
    if last not in CODERS and last not in CHOOSERS:
        raise unknown(f"coder at the end of codec {str(chain)!r}:", last, [*CODERS, *CHOOSERS])
    if last == "statistics" and len(links) > 1:
        raise _not_whole()
    transforms = [_transform(call, reading) for call in links[:-1]]
    if last in CHOOSERS:
        part = partial(_part, reading=reading)
        return Codec(calls, feedback, transforms, CHOOSERS[last](links[-1], part))
    return Codec(calls, feedback, transforms, CODERS[last](links[-1]))


def _chain_of(links: Sequence[Call]) -> Call:
    return links[0] if len(links) == 1 else Call("|", tuple(links))


@lru_cache(maxsize=32)
def _codec_for(text: str, statistics: bool) -> Codec:
    """Return the codec that a text stands for, for an update with running statistics or without."""
    chain = parse_chain(text)
    front = chain.links[:1] if chain.links[0].name == "feedback" else ()
    links = chain.links[len(front) :]
    if statistics:
        links = (Call("statistics", (_chain_of(links), parse_chain(FOLLOWING))),)
    else:
        links = links[0].arguments[0].links
    return parse_codec(" | ".join(map(str, (*front, *links))))


def _transform(call: Call, reading: bool) -> Transform:
    if call.name in CODERS or call.name in CHOOSERS:
        raise UsageError(f"{call.name!r} ends a codec; nothing may follow it")
    if call.name == "feedback":
        raise UsageError("'feedback' goes in front of the whole codec")
    if call.name not in TRANSFORMS:
        raise unknown("codec link", call.name, TRANSFORMS)
    if reading and call.name in READERS and not call.arguments:
        return READERS[call.name]()
    return TRANSFORMS[call.name](call)


def _part(chain: Call, reading: bool) -> Codec:
    """Build a chain that is an argument of a chooser."""
    if chain.links[-1].name == "statistics":
        raise _not_whole()
    if chain.links[0].name == "feedback":
        raise UsageError("'feedback' goes in front of the whole codec")
    return _codec(chain, reading)


def _not_whole() -> UsageError:
    return UsageError("'statistics' is the whole codec; only 'feedback' may be in front of it")


def _without_options(call: Call) -> Call:
    if call.name in ENCODER_ONLY or call.name in READERS:
        return Call(call.name)
    return Call(call.name, tuple(map(_without_options, call.arguments)))
