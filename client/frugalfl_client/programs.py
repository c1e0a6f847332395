"""Training programs on the device: taken from a request or the disk, verified, and allowed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from frugalfl.approved import is_digest
from frugalfl.errors import ProgramError
from frugalfl.program import Program
from frugalfl.program_file import digest_of, unpack
from frugalfl.settings import Settings
from frugalfl_client.approvals import Approvals, role_of
from frugalfl_client.disk import KeepsState
from frugalfl_client.training.litert import LiteRTTrainer

#: Programs whose interpreters stay in memory; a plan of more loads some of them again.
_LOADED = 4


class _Loaded(NamedTuple):
    """A program whose interpreter is in memory, and what it is for."""

    trainer: LiteRTTrainer
    role: str


class Programs:
    """The loaded programs of a process; each is one trainer."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[tuple[str, Settings], _Loaded] = OrderedDict()

    def trainer(
        self, digest: str, file: bytes, store: KeepsState, settings: Settings, allowed: Approvals
    ) -> LiteRTTrainer | None:
        """Return what runs the program of a request; ``None``: this device does not have it.

        Args:
            digest: SHA-256 of the program's file, hexadecimal, as the request names it.
            file: The program, if it came along; it is then kept in the store.
            store: The device's own.
            settings: Of the run.
            allowed: What this device runs at all.

        Raises:
            ProgramError: What came is truncated or altered, does not run here, is not for these
                settings, is not shown to give sums over its batches only, or is not allowed. It is
                not kept.
            RunError: What is allowed cannot be read.
        """
        if digest and not is_digest(digest):
            raise ProgramError(f"{ascii(digest)[:80]} names no training program")
        if digest:
            allowed.check_listed(digest)
        if file:
            program = unpack(file, digest)
            trainer = self._ready((digest, settings), lambda: program, allowed)
            store.keep_program(digest, file)
            return trainer
        kept = store.program(digest)
        if kept is None:
            return None
        if digest_of(kept) != digest:
            store.forget_program(digest)  # the disk altered it: the server sends it again
            return None
        return self._ready((digest, settings), lambda: unpack(kept, digest), allowed)

    def _ready(
        self, key: tuple[str, Settings], read: Callable[[], Program], allowed: Approvals
    ) -> LiteRTTrainer:
        """Return a loaded program; one that does not load is no first one of its role."""
        digest, settings = key
        if key not in self._loaded:
            program = read()
            role = role_of(program, settings)
            allowed.check_role(digest, role)
            self._loaded[key] = _Loaded(LiteRTTrainer(program, settings), role)
            while len(self._loaded) > _LOADED:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        allowed.pin_role(digest, self._loaded[key].role)
        return self._loaded[key].trainer
