"""What flwr 1.41's nodes send, and what they understand as an answer.

Written down here, not imported: flwr's own modules would bring 40 MB along into a process that
has to be small and quick to start. ``tests/integration/test_fleet_contract.py`` compares.
"""

from __future__ import annotations

import json

_PREFIX = b"/v1/fleet/"
REGISTER, ACTIVATE = _PREFIX + b"register-node", _PREFIX + b"activate-node"
#: The targets of all requests of a node, byte for byte; nothing else is handed on.
TARGETS = frozenset(
    {REGISTER, ACTIVATE}
    | {
        _PREFIX + name
        for name in (
            b"deactivate-node", b"unregister-node", b"send-node-heartbeat", b"pull-messages",
            b"push-messages", b"get-run", b"get-fab", b"push-object", b"pull-object",
            b"confirm-message-received",
        )
    }
)  # fmt: skip
MEDIA_TYPE = b"application/protobuf"
KEY, TIME, SIGNATURE = b"flwr-public-key", b"flwr-timestamp", b"flwr-signature"
#: Headers of a request that the SuperLink reads.
NEEDED = frozenset({b"content-type", b"content-length", KEY, TIME, SIGNATURE})
_ABOUT_THE_NODE = frozenset({b"flwr-package-name", b"flwr-package-version", b"flwr-component-name"})
HANDED_ON = NEEDED | _ABOUT_THE_NODE
#: Oldest and newest time of a signature that is believed, as a SuperLink does it (s).
OLDEST_S, NEWEST_S = 305.0, -5.0
#: HTTP status and Flower's number of an answer to a node that is not registered.
NOT_REGISTERED = {REGISTER: (412, 2001), ACTIVATE: (412, 2004)}
UNAUTHORIZED = 401


def refusal(target: bytes) -> tuple[int, bytes]:
    """Return status and body of what a SuperLink answers a node whose key it does not know."""
    status, code = NOT_REGISTERED.get(target, (UNAUTHORIZED, 0))
    said: dict[str, object] = {"detail": "This node's key is not registered."}
    return status, json.dumps({"code": code, **said} if code else said).encode()
