"""What decides the bytes of a training program: its graphs, and all that turns them into a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frugalfl.program import Program

if TYPE_CHECKING:
    from frugalfl_server.compiler.signatures import Tensors
    from frugalfl_server.compiler.trace import Signature

#: Packages whose versions a converted file depends on.
_PACKAGES = (
    "torch", "litert-torch", "litert-converter", "ai-edge-litert", "ai-edge-quantizer", "jax",
    "jaxlib", "numpy", "ml_dtypes", "xdsl", "torchao", "flatbuffers", "zstandard",
)  # fmt: skip


def key_of(signatures: Mapping[str, tuple[Signature, Tensors]], about: Program) -> str:
    """Return a hash, as hexadecimal digits, of all that decides a program's bytes.

    Args:
        signatures: Traced module and example inputs by the signature's name. The numbers in the
            inputs do not matter; those that a graph holds itself do.
        about: The program, without its model.
    """
    digest = hashlib.sha256(repr((_compiler(), about)).encode())
    for name, (module, given) in signatures.items():
        inputs = [(one, str(tensor.dtype), tuple(tensor.shape)) for one, tensor in given.items()]
        digest.update(repr((name, inputs, module.returned, module.traced.code)).encode())
        for own, tensor in module.traced.state_dict().items():
            digest.update(_content(own, tensor))
    return digest.hexdigest()


def _content(name: str, tensor: Any) -> bytes:
    import torch

    about = repr((name, str(tensor.dtype), tuple(tensor.shape))).encode()
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return about + bytes(flat.view(torch.uint8).numpy().tobytes())  # numpy lacks some types


@cache
def _compiler() -> str:
    """Return a hash of this compiler's own code and of the versions of what it calls."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*here.rglob("*.py"), here.parent / "export" / "flatbuffer.py"]):
        digest.update(path.name.encode() + path.read_bytes())
    digest.update(repr([(name, _version(name)) for name in _PACKAGES]).encode())
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
