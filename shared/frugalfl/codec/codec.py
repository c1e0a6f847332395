"""A codec is a chain of small links, named by a short text.

``stochastic(24 sigma) | range`` is one; ``feedback | topk(1%) | sign | golomb`` is another.

There are two families of links, and they do not mix. *Unbiased* links (stochastic rounding, random
entries) are right on average, so that a server that averages many clients needs nothing else.
*Biased* links (top-k, sign, nearest, low rank) are nearer for one client, but what they drop is
lost unless ``feedback`` in front keeps it and adds it to the next update (`codec/feedback.py`).
Feedback in front of an unbiased link is refused: its error is larger than the update, so the
residual grows from round to round (accuracy 0.11 instead of 0.88).

In the coder's place there may be a choice between chains, which does not treat all tensors alike:
``large`` has a chain for large tensors and one for small ones, ``auto`` chooses for each tensor by
itself, and ``statistics`` has one for running statistics, which every codec that loses anything
keeps apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial

import numpy as np

from frugalfl.blocks import FloatArray, Shape, is_statistic
from frugalfl.calls import Call, parse_chain, unknown
from frugalfl.codec import feedback as error_feedback
from frugalfl.codec import statistics
from frugalfl.codec.chain import ORDER, Chain
from frugalfl.codec.feedback import Feedback, Residual
from frugalfl.codec.finite import is_finite
from frugalfl.codec.links import Compact, Family, Steering, Tensor, Transform
from frugalfl.codec.registry import (
    CHOOSERS,
    CODERS,
    ENCODER_ONLY,
    ENDS,
    READERS,
    TRANSFORMS,
)
from frugalfl.codec.statistics import FOLLOWING, Statistics
from frugalfl.errors import CodecError, FrameError, UsageError


class Codec:
    """Error feedback, if there is any, and a chain. Build it with :func:`parse_codec`."""

    def __init__(
        self, calls: Sequence[Call], feedback: Feedback | None, chain: Chain | Statistics
    ) -> None:
        self.calls = tuple(calls)
        self.text = " | ".join(map(str, calls))
        #: The text as frames have it: without what tells a receiver nothing.
        self.wire_text = " | ".join(
            str(_without_options(call)) for call in calls if call.name != "feedback"
        )
        self.feedback = feedback
        self._chain = chain
        if feedback and "unbiased" in self.families:
            raise UsageError(
                f"codec {self.text!r}: feedback does not go with an unbiased link, whose error is "
                "larger than the update, so that the residual diverges; leave 'feedback' out"
            )

    @property
    def family(self) -> Family:
        """``biased`` if any link is, else ``unbiased`` if any is, else ``exact``."""
        return max(self.families, key=ORDER.index)

    @property
    def families(self) -> frozenset[Family]:
        """The family of each way that a tensor can take; several if the last link chooses."""
        return self._chain.families

    def for_tensors(self, names: Sequence[str]) -> Codec:
        """Return the codec that is to write these tensors.

        Running statistics are kept apart by a codec that loses anything, as if its text was
        ``statistics(the codec, FOLLOWING)``, with :data:`~frugalfl.codec.statistics.FOLLOWING`. A
        codec that says how it treats them, but is given none, is the one for the weights.
        """
        some = any(map(is_statistic, names))
        if self._chain.keeps_statistics_apart:
            return self if some else _codec_for(self.text, False)
        if not some or self.family == "exact":
            return self
        return _codec_for(self.text, True)

    def encode(
        self,
        update: Mapping[str, FloatArray],
        residual: Mapping[str, FloatArray] | None = None,
        seed: int = 0,
        missed: int = 0,
    ) -> tuple[bytes, Residual]:
        """Encode tensors, adding the residual first if the chain has error feedback.

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
        _check_tensors(update)
        if self.feedback is None:
            return self._chain.pack_named(update, seed), {}
        wanted, kept = self.feedback.add(update, residual or {}, missed)
        payload = self._chain.pack_named(wanted, seed)
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
            tensors = self._chain.unpack(payload, shapes, seed)
            decoded = [np.asarray(tensor, dtype=np.float32) for tensor in tensors]
        if not all(map(is_finite, decoded)):
            raise FrameError("the frame decodes to NaN or infinity; it is refused")
        return decoded

    def decode_compact(
        self, payload: memoryview, shapes: Sequence[Shape], seed: int = 0
    ) -> Compact:
        """Decode only as far as adding needs: :meth:`~frugalfl.codec.chain.Chain.unpack_compact`.

        Made out in full, it is what :meth:`decode` returns.
        """
        return self._chain.unpack_compact(payload, shapes, seed)

    def steering(self, payload: memoryview) -> Steering | None:
        """Return what a payload says of its step, for the server that steers it.

        Raises:
            FrameError: The payload does not fit the chain.
        """
        return self._chain.steering(payload)

    def ideal_bytes(self, update: Mapping[str, FloatArray], seed: int = 0) -> float:
        """Return what an update's symbols are worth to the coder's own model (B).

        That is the length of :meth:`encode` (first call), if decisions could be written in
        fractions of a bit, and without the few bytes of the transforms' side information.

        Raises:
            CodecError: A tensor is not float32, or holds NaN or infinity.
            UsageError: The chain does not end in ``range``, the coder that has a model.
        """
        _check_tensors(update)
        ideal = self._chain.ideal_bytes(list(update.values()), seed)
        if ideal is None:
            raise UsageError(f"codec {self.text!r} has no ideal size; only those with 'range' have")
        return ideal


def _check_tensors(update: Mapping[str, Tensor]) -> None:
    for name, tensor in update.items():
        if tensor.dtype != np.float32:
            raise CodecError(f"tensor {name!r} is {tensor.dtype}; codecs take float32")
        if not is_finite(tensor):
            raise CodecError(
                f"tensor {name!r} holds NaN or infinity; training diverged: lower the learning rate"
            )


def parse_codec(text: str, reading: bool = False) -> Codec:
    """Build the codec that a text names.

    Args:
        text: Links with ``|`` between them.
        reading: The text is a frame's: links may lack what only the encoder needs.

    Raises:
        UsageError: The text has an unknown link, a wrong argument, links that do not go together,
            or no coder at its end.
    """
    whole = parse_chain(text)
    calls = whole.links
    feedback = error_feedback.build(calls[0]) if calls[0].name == "feedback" else None
    links = calls if feedback is None else calls[1:]
    if links and links[-1].name == "statistics":
        if len(links) > 1:
            raise _not_whole()
        chain: Chain | Statistics = statistics.build(links[0], partial(_part, reading=reading))
    else:
        chain = _chain(whole, links, reading)
    return Codec(calls, feedback, chain)


def _chain(whole: Call, links: Sequence[Call], reading: bool) -> Chain:
    """Build a chain of links; ``whole`` is what an error names."""
    last = links[-1] if links else Call("")
    if last.name not in ENDS:
        raise unknown(f"coder at the end of codec {str(whole)!r}:", last.name, ENDS)
    transforms = [_transform(call, reading) for call in links[:-1]]
    if last.name in CODERS:
        return Chain(transforms, CODERS[last.name](last))
    return Chain(transforms, CHOOSERS[last.name](last, partial(_part, reading=reading)))


def _part(chain: Call, reading: bool) -> Chain:
    """Build a chain that is an argument of a choice between chains."""
    if chain.links[-1].name == "statistics":
        raise _not_whole()
    _refuse_feedback(chain.links[0])
    return _chain(chain, chain.links, reading)


def _transform(call: Call, reading: bool) -> Transform:
    if call.name in ENDS:
        raise UsageError(f"{call.name!r} ends a codec; nothing may follow it")
    _refuse_feedback(call)
    if call.name not in TRANSFORMS:
        raise unknown("codec link", call.name, TRANSFORMS)
    if reading and call.name in READERS and not call.arguments:
        return READERS[call.name]()
    return TRANSFORMS[call.name](call)


@lru_cache(maxsize=32)
def _codec_for(text: str, apart: bool) -> Codec:
    """Return the codec that a text stands for, for an update with running statistics or without."""
    chain = parse_chain(text)
    front = chain.links[:1] if chain.links[0].name == "feedback" else ()
    links = chain.links[len(front) :]
    if apart:
        inner = links[0] if len(links) == 1 else Call("|", tuple(links))
        links = (Call("statistics", (inner, parse_chain(FOLLOWING))),)
    else:
        links = links[0].arguments[0].links
    return parse_codec(" | ".join(map(str, (*front, *links))))


def _refuse_feedback(call: Call) -> None:
    if call.name == "feedback":
        raise UsageError("'feedback' goes in front of the whole codec")


def _not_whole() -> UsageError:
    return UsageError("'statistics' is the whole codec; only 'feedback' may be in front of it")


def _without_options(call: Call) -> Call:
    if call.name in ENCODER_ONLY or call.name in READERS:
        return Call(call.name)
    return Call(call.name, tuple(map(_without_options, call.arguments)))
