"""What a request must look like to be handed on; looked at before its body is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import h11

from frugalfl_server.serve.front import fleet_api
from frugalfl_server.serve.front.credentials import Credentials
from frugalfl_server.serve.front.limits import FrontLimits
from frugalfl_server.serve.front.refused import RequestRefusedError, printable


@dataclass(frozen=True)
class Admitted:
    """A request that may go on.

    Attributes:
        target: Path of the call.
        headers: What the SuperLink needs to know of its head.
        length: Bytes of its body.
        key: Public key (PEM) of its node.
    """

    target: bytes
    headers: list[tuple[bytes, bytes]]
    length: int
    key: bytes


def check(request: h11.Request, limits: FrontLimits, credentials: Credentials) -> Admitted:
    """Return what goes on of a request.

    A target is compared byte for byte, so there is nothing that a path could be resolved to.

    Raises:
        RefusedError: It is none of a node's calls, or has a body that cannot be bounded before it
            comes, or is not signed by a node that may join.
    """
    if request.target not in fleet_api.TARGETS or request.method != b"POST":
        called = printable(request.target)
        why = "nothing but the nodes' API is served here"
        raise RequestRefusedError(f"request to {called}", why, 404)
    if request.http_version != b"1.1":
        raise RequestRefusedError("request", "it is not HTTP/1.1", 505)
    headers = _once(request, limits)
    length = _length(headers, limits)
    if headers.get(b"content-type") != fleet_api.MEDIA_TYPE:
        raise RequestRefusedError("request", "its content-type is not that of a node", 415)
    key = credentials.check(request.target, headers)
    handed_on = [(name, headers[name]) for name in sorted(fleet_api.HANDED_ON & headers.keys())]
    return Admitted(request.target, handed_on, length, key)


def _once(request: h11.Request, limits: FrontLimits) -> dict[bytes, bytes]:
    """Return headers by name; none of those that matter may be there twice."""
    if len(request.headers) > limits.headers:
        raise RequestRefusedError("request", f"it has more than {limits.headers} headers", 431)
    if sum(len(name) + len(value) for name, value in request.headers) > limits.head_bytes:
        raise RequestRefusedError("request", "its head is too long", 431)
    counts = Counter(name for name, _ in request.headers)
    if any(counts[name] > 1 for name in fleet_api.HANDED_ON):
        raise RequestRefusedError("request", "it has a header twice", 400)
    if counts[b"upgrade"] or counts[b"expect"]:
        raise RequestRefusedError(
            "request", "it asks for another protocol, or to be waited for", 400
        )
    return dict(request.headers)


def _length(headers: dict[bytes, bytes], limits: FrontLimits) -> int:
    """Return the length of the body (B), which must be told before."""
    if b"transfer-encoding" in headers or b"content-length" not in headers:
        raise RequestRefusedError("request", "it does not say how long its body is", 411)
    length = int(headers[b"content-length"])
    if length > limits.body_bytes:
        mib = limits.body_bytes >> 20
        raise RequestRefusedError("request", f"its body is longer than {mib} MiB", 413)
    return length
