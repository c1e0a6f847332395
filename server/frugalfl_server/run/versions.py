"""Versions of what decides about a run's figures."""

from __future__ import annotations

import platform
from importlib import metadata

import frugalfl

_VERSIONS_OF = ("flwr", "numpy", "torch", "litert-torch", "ai-edge-quantizer", "tflite-micro")


def versions() -> dict[str, str]:
    """Return the versions of what decides about a run's figures, by package."""
    versions = {"frugalfl": frugalfl.__version__, "python": platform.python_version()}
    for package in _VERSIONS_OF:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
