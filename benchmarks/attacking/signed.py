"""Signatures of app bundles as Flower's platform makes them, honest or not."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def signed(data: bytes, key: Ed25519PrivateKey, **changes: Any) -> dict[str, str]:
    """Return a bundle's verifications by a key called ann; with changes, what nobody signed."""
    at = 1_700_000_000  # s since 1970
    signature = key.sign(at.to_bytes(8, "big") + hashlib.sha256(data).digest())
    text = base64.urlsafe_b64encode(signature).decode().rstrip("=")
    about = {"signed_at": at, "signature": text} | changes
    return {"valid_license": "true", "ann": json.dumps(about)}


def entities_of(path: Path, **keys: Ed25519PrivateKey | EllipticCurvePrivateKey) -> Path:
    """Write a file of trusted entities, and return it."""
    lines = [f"{name}: {_public(key.public_key())}\n" for name, key in keys.items()]
    path.write_text("".join(lines))
    return path


def _public(key: Any) -> str:
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
