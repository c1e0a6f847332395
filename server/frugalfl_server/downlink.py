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
#: A model as it was drawn from its seed.
SEEDED = "seeded | raw"


class Downlink:
    """The view, its versions, and who holds which."""

    def __init__(
        self, model: Parameters, codec: Codec, version: int = 0, seed: int | None = None
    ) -> None:
        """Begin with a model that nobody holds.

        Args:
            model: The model; clients will see it on the float16 grid.
            codec: For the differences.
            version: Number of this first version.
            seed: The seed that the model was drawn from, if it was: a newcomer is then sent the
                seed and the differences since, as long as that is shorter than a full model.
        """
        self.layout = Layout.of(model)
        self.version = version
        self._first = version
        self.view: Parameters = {name: snap(tensor) for name, tensor in model.items()}
        self._codec = codec
        self._limits = Limits.of(self.layout)
        self._frames: deque[bytes] = deque()  # the last one leads to self.version
        self._full: bytes | None = None
        self._held: dict[int, int] = {}
        self._origin: bytes | None = None
        if seed is not None:
            self._origin, _ = encode_frame(
                parse_codec(SEEDED), self.layout, self.view, base=None, version=version, seed=seed
            )

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
        chain = self._chain(held)
        if held >= 0 and chain is not None:
            return held, chain
        since_start = self._chain(self._first)
        if self._origin is not None and since_start is not None:
            return -1, min(self._origin + since_start, self.full(), key=len)
        return -1, self.full()

    def _chain(self, version: int) -> bytes | None:
        """Return the frames that lead from a version to the current one, if all are kept."""
        missed = self.version - version
        if not 0 <= missed <= len(self._frames):
            return None
        return b"".join(list(self._frames)[len(self._frames) - missed :])

    def confirm(self, node: int, version: int) -> None:
        """Note which version a client says that it holds."""
        self._held[node] = version
