"""What a model says about itself: class names, units, window, scaling, as its task gave them."""

from __future__ import annotations

import json
import struct
from typing import Any

from frugalfl.about_entry import ENTRY, MOST_BYTES
from frugalfl.errors import MissingExtraError, UsageError
from frugalfl_edge.interpreter import ModelSource, content_of, name_of

#: What the schema's code and json raise over a file that is damaged.
_WRONG = (IndexError, TypeError, ValueError, struct.error, RecursionError)


def read_about(model: ModelSource) -> dict[str, Any]:
    """Return what the task said about a model; empty if it said nothing.

    The file for microcontrollers, ``model_int8.tflite``, has nothing but what an inference reads:
    take ``model_int8_edge.tflite``, or ``model_card.json``.

    Args:
        model: Path of a .tflite file, or its bytes.

    Raises:
        UsageError: No such file, or it is damaged.
        MissingExtraError: ai-edge-litert is not installed (tflite-runtime brings no schema); the
            same values are in ``model_card.json``.
    """
    content, name = content_of(model), name_of(model)
    try:
        text = _entry(content)
        about = json.loads(text) if text else {}
        if not isinstance(about, dict):
            raise ValueError("it is no object")
    except _WRONG as error:
        raise UsageError(f"cannot read what {name} says about itself: {error}") from error
    return about


def _entry(content: bytes) -> bytes:
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise MissingExtraError("Reading what a model says about itself", "edge") from error
    if content[4:8] != b"TFL3":
        raise ValueError(f"{len(content)} bytes that are not a .tflite file")
    tree = schema.Model.GetRootAs(content)
    for number in range(tree.MetadataLength()):
        entry = tree.Metadata(number)
        if entry.Name() == ENTRY.encode():
            data = tree.Buffers(entry.Buffer())
            if data.DataLength() > MOST_BYTES:
                raise ValueError(f"it takes {data.DataLength():,} B, more than {MOST_BYTES:,}")
            return bytes(data.DataAsNumpy())
    return b""
