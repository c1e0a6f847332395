"""Update to bytes and back: codecs (chains of links) and frames (one encoded update)."""

from frugalfl.codec.codec import Codec, parse_codec
from frugalfl.codec.cut import Cut, encode_cut
from frugalfl.codec.feedback import Residual
from frugalfl.codec.fold import Fold, encode_fold
from frugalfl.codec.frame import (
    CodedFrame,
    Frame,
    Limits,
    check_fits,
    decode_frame,
    encode_frame,
    read_frame,
)
from frugalfl.codec.frame_bundle import MOST_MODELS, MOST_PARTS, read_bundle
from frugalfl.codec.links import Compact, Product, Sparse, Steering

__all__ = [
    "MOST_MODELS",
    "MOST_PARTS",
    "Codec",
    "CodedFrame",
    "Compact",
    "Cut",
    "Fold",
    "Frame",
    "Limits",
    "Product",
    "Residual",
    "Sparse",
    "Steering",
    "check_fits",
    "decode_frame",
    "encode_cut",
    "encode_fold",
    "encode_frame",
    "parse_codec",
    "read_bundle",
    "read_frame",
]
