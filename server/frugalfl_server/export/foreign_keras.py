"""What a ``.keras`` file would make Keras do, looked at before Keras reads it.

Its ``config.json`` names classes and functions by module, and Keras imports and calls them. Its
own safe mode refuses lambdas; names that lead out of Keras, or to parts of it that fetch and read
files or unpickle, it has let through more than once (CVE-2025-1550, CVE-2025-8747, CVE-2025-49655).
So only what a model of numbers is made of is let through here.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frugalfl.errors import ExportError
from frugalfl.foreign import MOST_TEXT_BYTES, check_archive, open_regular

#: Parts of Keras whose classes and functions compute with what they are given, and no more.
_ROOMS = (
    "activations", "constraints", "dtype_policies", "engine", "initializers", "layers", "losses",
    "metrics", "models", "ops", "optimizers", "quantizers", "random", "regularizers",
)  # fmt: skip
#: Classes right below ``keras``.
_PLAIN = ("DTypePolicy", "FloatDTypePolicy", "Functional", "Model", "QuantizedDTypePolicy",
          "Sequential", "Variable")  # fmt: skip
#: Layers that run code, read files, or hand over to another framework.
_DANGEROUS = ("FlaxLayer", "IntegerLookup", "JaxLayer", "Lambda", "StringLookup", "TFSMLayer",
              "TextVectorization", "TorchModuleWrapper", "__lambda__")  # fmt: skip


def check_keras_file(path: Path) -> None:
    """See that a ``.keras`` file describes a model of numbers, within bounds.

    Raises:
        ExportError: It does not, is damaged, or unpacks to too much.
        OSError: It cannot be read.
    """
    try:
        for place, name in _classes_of(_config(path)):
            if name in _DANGEROUS or not _is_harmless(place, name):
                raise ValueError(
                    f"it names {f'{place}.' if place else ''}{name!s:.80}, which may run code or "
                    "read files; replace that layer by those of keras.layers that compute"
                )
    except RecursionError as error:
        raise ExportError(f"{path} is not loaded: it is nested too deeply") from error
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ExportError(f"{path} is not loaded: {error}") from error


def _config(path: Path) -> Any:
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        check_archive(archive.infolist())
        if archive.getinfo("config.json").file_size > MOST_TEXT_BYTES:
            raise ValueError("its config.json is too large")
        return json.loads(archive.read("config.json"))


def _classes_of(value: Any) -> Iterator[tuple[str, str]]:
    """Yield every class or function that a config names: its module, which may be empty."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield str(value.get("module") or ""), str(value["class_name"])
        for one in value.values():
            yield from _classes_of(one)
    elif isinstance(value, list):
        for one in value:
            yield from _classes_of(one)


def _is_harmless(place: str, name: str) -> bool:
    if place in ("", "builtins"):  # Keras knows those by name, or not at all
        return True
    package, _, room = place.partition(".")
    rooms = room.removeprefix("src.").split(".")
    return package == "keras" and (rooms[0] in _ROOMS or (not room and name in _PLAIN))
