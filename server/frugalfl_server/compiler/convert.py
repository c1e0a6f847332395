"""Traced signatures to one .tflite file of builtin operators, without names that nothing reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from frugalfl.errors import ExportError
from frugalfl_server.export import flatbuffer
from frugalfl_server.export.quiet import quiet

if TYPE_CHECKING:
    from frugalfl_server.compiler.signatures import Tensors
    from frugalfl_server.compiler.trace import Signature

#: LiteRT's kernels take no more axes.
MOST_AXES = 5


def convert_signatures(signatures: Mapping[str, tuple[Signature, Tensors]]) -> bytes:
    """Convert modules that take and return tensors by name.

    Args:
        signatures: Module and example inputs by the signature's name.

    Returns:
        A .tflite file.

    Raises:
        ExportError: The file needs more than builtin operators, or a tensor of too many axes.
    """
    with quiet():
        import litert_torch

        first, *others = signatures
        converter = litert_torch.signature(first, signatures[first][0], (), signatures[first][1])
        for name in others:
            converter = converter.signature(name, signatures[name][0], (), signatures[name][1])
        model = bytes(converter.convert().model_content())
    return _stripped(model)


def _stripped(model: bytes) -> bytes:
    tree = flatbuffer.read(model)
    tree.description = tree.metadata = tree.metadataBuffer = None
    for graph in tree.subgraphs:
        graph.name = None
        for tensor in graph.tensors:
            tensor.name = None
            if tensor.shape is not None and len(tensor.shape) > MOST_AXES:
                raise ExportError(
                    f"the training program has a tensor of {len(tensor.shape)} axes, LiteRT takes "
                    f"{MOST_AXES}; give the model rows with fewer axes"
                )
        for operator in graph.operators:
            _check_builtin(flatbuffer.operator_name(tree, operator))
    flatbuffer.drop_unused(tree)
    return flatbuffer.write(tree)


def _check_builtin(name: str) -> None:
    if name.startswith(("CUSTOM", "STABLEHLO")) or name in ("DELEGATE", "CALL_ONCE"):
        raise ExportError(
            f"the training program needs {name}, which is no builtin operator of LiteRT"
        )
