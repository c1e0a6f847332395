"""The one folder of a node that knows Flower's insides.

What is used of flwr here is no public interface of it: the version is pinned, and
``tests/integration/test_fleet_contract.py`` says what has moved when it is raised.
"""

from __future__ import annotations

from flwr.supercore.primitives.asymmetric_ed25519 import (
    create_message_to_sign,
    decode_base64url,
    verify_signature,
)
from flwr.supercore.run import Run

from frugalfl_client.node.flower.app_project import about_app, identify, node_settings, settings_of
from frugalfl_client.node.flower.content import MOST_CONTENT
from frugalfl_client.node.flower.errors import (
    APP_CRASHED,
    APP_NOT_LOADED,
    APP_RAISED,
    BAD_FAB,
    KEY_IN_USE,
    LEAST_HEARTBEAT_S,
    MOST_HEARTBEAT_S,
    NOT_ACTIVATED,
    REGISTERED_ONLY,
    RUN_OVER,
    RunOverError,
    UnknownNodeError,
)
from frugalfl_client.node.flower.fleet import Bundle, Fleet, Incoming
from frugalfl_client.node.flower.parcel import (
    Parcel,
    message_bytes,
    message_of,
    pack,
    state_bytes,
    state_of,
)
from frugalfl_client.node.flower.signer import public_key_of

__all__ = [
    "APP_CRASHED", "APP_NOT_LOADED", "APP_RAISED", "BAD_FAB", "KEY_IN_USE", "LEAST_HEARTBEAT_S",
    "MOST_CONTENT", "MOST_HEARTBEAT_S", "NOT_ACTIVATED", "REGISTERED_ONLY", "RUN_OVER", "Bundle",
    "Fleet", "Incoming", "Parcel", "Run", "RunOverError", "UnknownNodeError", "about_app",
    "create_message_to_sign", "decode_base64url", "identify", "message_bytes", "message_of",
    "node_settings", "pack", "public_key_of", "settings_of", "state_bytes", "state_of",
    "verify_signature",
]  # fmt: skip
