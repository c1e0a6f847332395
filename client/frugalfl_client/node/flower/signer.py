"""What shows a SuperLink that a request is of a key's owner, and what its refusal means."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_TOLERANCE
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, sign_message

from frugalfl.text import printable
from frugalfl_client.node.channel import Answer, RefusedError, UnreachableError
from frugalfl_client.node.flower.errors import RUN_OVER, RunOverError, UnknownNodeError


def public_key_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public half, in the form by which a SuperLink knows a node."""
    return public_key_to_bytes(key.public_key())


class Signer:
    """Signs the time of each request."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self._signed: tuple[str, str] = ("", "")

    def now(self) -> tuple[str, str]:
        """Return the time and its signature; to the second, which is shorter and signed once."""
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        if self._signed[0] != now:
            signature = sign_message(self._key, now.encode("ascii"))
            self._signed = (now, b64encode(signature).decode("ascii"))
        return self._signed


def trouble_of(answer: Answer, address: str) -> Exception:
    """Return the exception that an HTTP error of a SuperLink at this address stands for."""
    status, date = answer.status, answer.date
    try:
        error = json.loads(answer.body)
        code = int(error["code"])
        text = f"{printable(str(error['detail']))} (Flower's code {code})"
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        code, text = 0, f"HTTP {status}"
    if status == 401:
        ahead = None if date is None else (datetime.now(UTC) - date).total_seconds()
        if ahead is not None and (
            -(TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE) < ahead < SYSTEM_TIME_TOLERANCE
        ):
            ahead = None
        return UnknownNodeError("the SuperLink does not know this node", ahead)
    if code == RUN_OVER:
        return RunOverError(text)
    if status >= 500:
        return UnreachableError(f"the SuperLink at {address} has trouble: {text}")
    return RefusedError(f"the SuperLink at {address} refuses: {text}", code)
