"""What goes down to each client: the frames from the version it holds to the current one.

The server keeps one copy of the model as clients see it (the view), and the frames that lead from
each version to the next; of a client it keeps only the number of the version it holds. So memory
does not grow with the number of clients.

The rule for old frames: a chain that is longer than a full model is never sent, so every frame
older than the last full model's worth of bytes is dropped.
"""

from __future__ import annotations

from collections import deque

from frugalfl.blocks import Layout, Parameters, snap
from frugalfl.codec import Codec, Limits, decode_frame, encode_frame, parse_codec

#: A full model: exact, because the view lives on the float16 grid.
FULL = "float16 | zstd"


class Downlink:
    """The view, its versions, and who holds which."""

    def __init__(self, model: Parameters, codec: Codec, version: int = 0) -> None:
        self.layout = Layout.of(model)
        self.version = version
        self.view: Parameters = {name: snap(tensor) for name, tensor in model.items()}
        self._codec = codec
        self._limits = Limits.of(self.layout)
        self._frames: deque[bytes] = deque()  # the last one leads to self.version
        self._full: bytes | None = None
        self._held: dict[int, int] = {}

    def advance(self, model: Parameters) -> None:
        """Bring the view closer to ``model`` by one frame; what is dropped comes with the next."""
        difference = {name: tensor - self.view[name] for name, tensor in model.items()}
        if not any(tensor.any() for tensor in difference.values()):
            return
        frame, _ = encode_frame(
            self._codec, self.layout, difference, base=self.version, version=self.version + 1
        )
        for name, step in decode_frame(frame, self._limits).named(self.layout).items():
            self.view[name] = snap(self.view[name] + step)
        self.version += 1
        self._full = None
        self._frames.append(frame)
        while sum(map(len, self._frames)) > len(self.full()):
            self._frames.popleft()

    def full(self) -> bytes:
        """Return the frame that holds the whole current view."""
        if self._full is None:
            self._full, _ = encode_frame(
                parse_codec(FULL), self.layout, self.view, base=None, version=self.version
            )
        return self._full

    def bundle_for(self, node: int) -> tuple[int, bytes]:
        """Return the version that a client must hold (-1: any), and the frames to send it."""
        held = self._held.get(node, -1)
        missed = self.version - held
        if 0 <= missed <= len(self._frames) and held >= 0:
            chain = b"".join(list(self._frames)[len(self._frames) - missed :])
            return held, chain
        return -1, self.full()

    def confirm(self, node: int, version: int) -> None:
        """Note which version a client says that it holds."""
        self._held[node] = version
