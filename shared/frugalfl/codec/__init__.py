"""Update to bytes and back: codecs (chains of links) and frames (one encoded update)."""

from frugalfl.codec.chain import Codec, parse_codec
from frugalfl.codec.feedback import Residual
from frugalfl.codec.frame import Frame, Limits, decode_bundle, decode_frame, encode_frame
from frugalfl.codec.stochastic import Steering

__all__ = [
    "Codec",
    "Frame",
    "Limits",
    "Residual",
    "Steering",
    "decode_bundle",
    "decode_frame",
    "encode_frame",
    "parse_codec",
]
