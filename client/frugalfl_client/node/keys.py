"""The key pair by which a SuperLink knows a node: ECDSA on P-384."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from frugalfl.atomic import check_private_key, write_atomically
from frugalfl.errors import UsageError


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a private key, as ``ssh-keygen -t ecdsa -b 384`` writes it, or in PEM.

    Raises:
        UsageError: There is none, others can read it, it has a passphrase, or it is of another
            kind.
    """
    how = "make one with: ssh-keygen -t ecdsa -b 384 -N '' -f FILE"
    try:
        check_private_key(path)
        data = path.read_bytes()
        load = (
            serialization.load_ssh_private_key
            if b"OPENSSH" in data
            else serialization.load_pem_private_key
        )
        key = load(data, None)
    except OSError as error:
        raise UsageError(f"cannot read the private key {path}: {error.strerror}; {how}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is no private key without passphrase ({error}); {how}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp384r1":
        raise UsageError(f"{path} is no ECDSA key on P-384; {how}")
    return key


def own_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key that a node without a registered one has made for itself, or makes now.

    It is kept, so that a node that was killed comes back as the same node.

    Raises:
        UsageError: Others can read it.
        OSError: It cannot be written.
    """
    if path.exists():
        check_private_key(path)
        try:
            return read_key(path)
        except UsageError:
            path.unlink()  # damaged: nobody else knows it, so a new one is as good
    key = ec.generate_private_key(ec.SECP384R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_atomically(path, pem)
    return key
