"""Training programs on the device: taken from a request or from the disk, and verified."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from frugalfl.errors import ProgramError
from frugalfl.program import from_bytes
from frugalfl.settings import Settings
from frugalfl_client.store import Store
from frugalfl_client.training.litert import LiteRTTrainer

#: Programs whose interpreters stay in memory; a plan of more loads some of them again.
_LOADED = 4


class Programs:
    """The loaded programs of a process; each is one trainer."""

    def __init__(self) -> None:
        self._trainers: OrderedDict[tuple[str, Settings], LiteRTTrainer] = OrderedDict()

    def trainer(
        self, digest: str, file: bytes, store: Store, settings: Settings
    ) -> LiteRTTrainer | None:
        """Return what runs the program of a request; ``None``: this device does not have it.

        Args:
            digest: SHA-256 of the serialised program, hexadecimal, as the request names it.
            file: The program, if it came along; it is then kept in the store.
            store: The device's own.
            settings: Of the run.

        Raises:
            ProgramError: What came is truncated or altered, does not run here, or is not for these
                settings. It is not kept.
        """
        if file and hashlib.sha256(file).hexdigest() != digest:
            raise ProgramError(
                f"the training program ({len(file)} B) is not the one that was announced: it is "
                "truncated or altered"
            )
        key = (digest, settings)
        kept = file or (digest and store.program(digest))
        if not kept:
            return None
        if key not in self._trainers:
            if hashlib.sha256(kept).hexdigest() != digest:
                store.forget_program(digest)  # the disk altered it: the server sends it again
                return None
            self._trainers[key] = LiteRTTrainer(from_bytes(kept), settings)
        if file:
            store.keep_program(digest, file)
        self._trainers.move_to_end(key)
        while len(self._trainers) > _LOADED:
            self._trainers.popitem(last=False)
        return self._trainers[key]
