"""Signatures of app bundles, as Flower 1.41 makes and checks them.

A file of trusted entities is the one that ``flower-supernode --trusted-entities`` takes: YAML, from
the id of a key to the key as OpenSSH writes it (``ssh-ed25519 AAAA...``). A SuperLink hands out a
bundle with its verifications: by id of a key, the time of signing and an Ed25519 signature of that
time and the bundle's SHA-256; and ``valid_license``, which says that it knows signatures at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from frugalfl.errors import UsageError
from frugalfl_client.node.flower import (
    Bundle,
    create_message_to_sign,
    decode_base64url,
    verify_signature,
)

#: Says in a bundle's verifications that its SuperLink supports them.
_LICENSE = "valid_license"

#: By id, whose signatures count.
Entities = Mapping[str, Ed25519PublicKey]


def read_entities(path: Path) -> Entities:
    """Read a file of trusted entities.

    Raises:
        UsageError: It cannot be read, names nobody, or has another kind of key.
    """
    import yaml

    try:
        named = yaml.safe_load(path.read_text(encoding="utf-8"))
        entities = {str(name): _key(str(text)) for name, text in named.items()}
    except (OSError, ValueError, AttributeError, UnsupportedAlgorithm, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise UsageError(
            f"--trusted-entities {path}: {why}; write lines of the form ID: ssh-ed25519 AAAA..."
        ) from error
    if not entities:
        raise UsageError(f"--trusted-entities {path} names nobody, so that no app could run")
    return entities


def is_signed(bundle: Bundle, entities: Entities) -> bool:
    """Say whether one of the trusted entities has signed a bundle."""
    if not bundle.verifications.get(_LICENSE):
        return False
    digest = hashlib.sha256(bundle.data).digest()
    return any(
        _is_of(bundle.verifications[name], digest, key)
        for name, key in entities.items()
        if name in bundle.verifications
    )


def _is_of(verification: str, digest: bytes, key: Ed25519PublicKey) -> bool:
    """Say whether a verification, a stranger's text, is a signature of a key."""
    try:
        about = json.loads(verification)
        message = create_message_to_sign(digest, int(about["signed_at"]))
        return verify_signature(key, message, decode_base64url(about["signature"]))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return False


def _key(text: str) -> Ed25519PublicKey:
    key = load_ssh_public_key(text.encode("utf-8"))
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("a key that is not Ed25519")
    return key
