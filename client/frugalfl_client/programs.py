"""Training programs on the device: taken from a request or from the disk, and verified."""

from __future__ import annotations

from collections import OrderedDict

from frugalfl.program import Program
from frugalfl.program_file import digest_of, unpack
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
            digest: SHA-256 of the program's file, hexadecimal, as the request names it.
            file: The program, if it came along; it is then kept in the store.
            store: The device's own.
            settings: Of the run.

        Raises:
            ProgramError: What came is truncated or altered, does not run here, is not for these
                settings, or is not shown to give sums over its batches only. It is not kept.
        """
        key = (digest, settings)
        if file:
            program = unpack(file, digest)
            if key not in self._trainers:
                self._load(key, program)
            store.keep_program(digest, file)
        kept = store.program(digest)
        if kept is None:
            return None
        if digest_of(kept) != digest:
            store.forget_program(digest)  # the disk altered it: the server sends it again
            return None
        if key not in self._trainers:
            self._load(key, unpack(kept, digest))
        self._trainers.move_to_end(key)
        return self._trainers[key]

    def _load(self, key: tuple[str, Settings], program: Program) -> None:
        self._trainers[key] = LiteRTTrainer(program, key[1])
        while len(self._trainers) > _LOADED:
            self._trainers.popitem(last=False)
