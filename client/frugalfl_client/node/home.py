"""A node's own folder on the device's disk: its key, its id, fetched apps, undelivered answers."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from frugalfl.atomic import make_private_folder, open_private, write_atomically
from frugalfl.errors import RunError


class Home:
    """The folder ``node`` beside a device's store and ledger; one process has it at a time."""

    def __init__(self, state: Path) -> None:
        """Take the folder.

        Raises:
            RunError: Another node has it, or it cannot be written.
        """
        self.folder = state / "node"
        self.key = self.folder / "own-key.pem"
        self.apps = self.folder / "apps"
        self.outbox = self.folder / "outbox"
        try:
            make_private_folder(self.folder)
            lock = open_private(self.folder / "lock", os.O_RDWR)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until the process ends
        except BlockingIOError as error:
            os.close(lock)
            raise RunError(
                f"another node uses {state}: stop it, or give this one a --state-dir of its own"
            ) from error
        except OSError as error:
            raise RunError(f"cannot write to {state}: {error.strerror}") from error

    def node_at(self, superlink: str, key: bytes) -> int:
        """Return the id that a SuperLink gave the owner of a public key; 0: none is known."""
        try:
            known: dict[str, Any] = json.loads((self.folder / "node.json").read_bytes())
            if known["superlink"] == superlink and known["key"] == key.decode("ascii"):
                node = int(known["node"])
                return node if 0 <= node < 1 << 64 else 0
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            pass
        return 0

    def remember(self, superlink: str, key: bytes, node: int) -> None:
        """Keep that id, for the next start.

        Raises:
            OSError: The disk does not take it.
        """
        text = json.dumps({"superlink": superlink, "key": key.decode("ascii"), "node": node})
        write_atomically(self.folder / "node.json", f"{text}\n".encode())
