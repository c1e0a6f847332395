"""Writes what a task says about its model into a .tflite file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frugalfl.about_entry import ENTRY, about_as_text
from frugalfl_server.export import flatbuffer


def with_about(model: bytes, about: Mapping[str, Any]) -> bytes:
    """Return a .tflite file that also says what a task says of it; it computes the same.

    Args:
        model: A .tflite file.
        about: JSON values, for :func:`frugalfl_edge.read_about`.

    Raises:
        ExportError: The bytes are not a .tflite file.
        UsageError: ``about`` has no form in JSON.
    """
    from ai_edge_litert import schema_py_generated as schema

    tree = flatbuffer.read(model)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = about_as_text(about).encode()
    entry.name, entry.buffer = ENTRY, len(tree.buffers)
    tree.buffers.append(buffer)
    tree.metadata = [*(tree.metadata or []), entry]
    return flatbuffer.write(tree)
