"""How much a stranger may ask of the server, and how much a node."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FrontLimits:
    """Bounds on connections, times (s) and sizes (B); the defaults are those of a server.

    A *stranger* is a connection on which no request with a right key and signature came yet.

    Attributes:
        per_address: Most strangers of one address; beyond it the oldest of them has to go.
        strangers: Most strangers in all; likewise.
        per_key: Most connections of one node; beyond it the oldest of them has to go.
        connections: Most connections in all; beyond it a stranger has to go, or who is idle.
        handshake_s: Until TLS is agreed upon.
        head_s: Until the head of a request is complete.
        idle_s: Between two requests. Less than a SuperLink's own 5 s, so that a connection to it is
            never used again just when it closes it.
        pause_s: Between two pieces of a body, either way.
        grace_s: Until the rate of a body counts.
        least_rate: Slowest body (B/s) after that.
        answer_s: Until the SuperLink answers.
        head_bytes: Longest head of a request.
        headers: Most headers of it.
        body_bytes: Longest body; Flower's longest part of a message is 5 MiB.
        flight_bytes: All bodies together that are on their way to the SuperLink.
    """

    per_address: int = 128
    strangers: int = 512
    per_key: int = 32
    connections: int = 4096
    handshake_s: float = 10.0
    head_s: float = 10.0
    idle_s: float = 4.5
    pause_s: float = 30.0
    grace_s: float = 30.0
    least_rate: float = 1000.0
    answer_s: float = 120.0
    head_bytes: int = 16384
    headers: int = 40
    body_bytes: int = 32 << 20
    flight_bytes: int = 128 << 20

    def body_s(self, length: int) -> float:
        """Return how long a body of so many bytes may take (s)."""
        return self.grace_s + length / self.least_rate
