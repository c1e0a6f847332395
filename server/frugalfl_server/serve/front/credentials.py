"""Whose request it is: the key of a node that may join, and its signature of the time."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from frugalfl_server.serve.front import fleet_api
from frugalfl_server.serve.front.refused import RequestRefusedError


class Credentials:
    """Checks requests as a SuperLink does, and against the list of nodes that may join.

    Attributes:
        admitted: Public keys (PEM) of the nodes that may join; ``None``: any node may.
    """

    def __init__(self, admitted: frozenset[bytes] | None) -> None:
        """Begin with a list; it may be replaced at any time."""
        self.admitted = admitted

    def check(self, target: bytes, headers: Mapping[bytes, bytes]) -> bytes:
        """Return the public key (PEM) that a request is signed with.

        A node signs the time and nothing else, so this is about who speaks. That nobody changes or
        repeats what is said is up to TLS.

        Raises:
            RefusedError: The key is not of a node that may join, the time is not now, or the
                signature is not of that key.
        """
        try:
            public = b64decode(headers[fleet_api.KEY], validate=True)
            signature = b64decode(headers[fleet_api.SIGNATURE], validate=True)
            time = headers[fleet_api.TIME]
        except (KeyError, ValueError) as error:
            raise _unsigned_error("it is not signed by a node") from error
        if self.admitted is not None and public not in self.admitted:
            status, body = fleet_api.refusal(target)
            why = "its key is not in the folder of --nodes"
            raise RequestRefusedError("request of an unknown node", why, status, body)
        if not _is_now(time):
            raise _unsigned_error(
                "the time in it is not now: an old request, or a device's wrong clock"
            )
        if not _is_signed(public, time, signature):
            raise _unsigned_error("its signature is not of the key that it names")
        return public


def _unsigned_error(why: str) -> RequestRefusedError:
    return RequestRefusedError(
        "request", why, fleet_api.UNAUTHORIZED, b'{"detail":"Not authenticated."}'
    )


def _is_now(text: bytes) -> bool:
    try:
        signed = datetime.fromisoformat(text.decode("ascii"))
        age = (datetime.now(UTC) - signed).total_seconds()
    except (ValueError, TypeError, OverflowError):  # a time without a zone is a TypeError
        return False
    return fleet_api.NEWEST_S < age < fleet_api.OLDEST_S


@lru_cache(maxsize=1024)  # a node signs once a second, however many requests it makes in it
def _is_signed(public: bytes, text: bytes, signature: bytes) -> bool:
    try:
        key = load_pem_public_key(public)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        key.verify(signature, text, ec.ECDSA(SHA256()))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
