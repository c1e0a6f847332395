"""Why a SuperLink refuses, and Flower's numbers for it."""

from __future__ import annotations

from flwr.common.constant import ErrorCode

from frugalfl_client.node.channel import UnreachableError

#: Shortest and longest heartbeat interval that a SuperLink accepts (s).
LEAST_HEARTBEAT_S, MOST_HEARTBEAT_S = 30.0, 1800.0
#: Flower's numbers of what a node may be refused for, of ``flwr.supercore.error.ApiErrorCode``;
#: importing that would bring a web server along, 15 MB of memory.
KEY_IN_USE, REGISTERED_ONLY, NOT_ACTIVATED, RUN_OVER = 23, 2001, 2004, 2007
#: Flower's numbers of why a message has no result.
APP_NOT_LOADED, APP_RAISED, APP_CRASHED, BAD_FAB = (
    ErrorCode.LOAD_CLIENT_APP_EXCEPTION,
    ErrorCode.CLIENT_APP_RAISED_EXCEPTION,
    ErrorCode.CLIENT_APP_CRASHED,
    ErrorCode.INVALID_FAB,
)


class RunOverError(Exception):
    """The run that a message belongs to has ended: nobody waits for an answer."""


class UnknownNodeError(UnreachableError):
    """The SuperLink does not know this node, or does not believe its signature.

    Attributes:
        ahead: By how many seconds this device's clock is ahead of the SuperLink's, where that is
            why; ``None``: it is not, or cannot be known.
    """

    def __init__(self, text: str, ahead: float | None) -> None:
        super().__init__(text)
        self.ahead = ahead
