"""The way in for nodes: their keys first, then the front, and both kept up to date."""

from __future__ import annotations

import logging
from pathlib import Path

from frugalfl_server.serve.front_process import FrontProcess
from frugalfl_server.serve.key_folder import Keys
from frugalfl_server.serve.place import Place
from frugalfl_server.serve.processes import SuperLink

_log = logging.getLogger(__name__)


class Entrance:
    """Open for as long as the ``with`` block lasts; every key is registered before it is."""

    def __init__(self, place: Place, own: SuperLink | None, keys: Keys | None, state: Path) -> None:
        """Say what to open; nothing is yet.

        Args:
            place: Where to serve.
            own: The SuperLink behind it; ``None``: one of the operator's own, and no front.
            keys: Whose nodes may join; ``None``: any node.
            state: Folder for the front's log.
        """
        self._keys = keys
        self._front: FrontProcess | None = None
        self._where = place.superlink
        if own is not None:
            self._where = f"{place.host}:{place.port}"
            self._front = FrontProcess(place, own.port, state / "front.log")

    def __enter__(self) -> Entrance:
        """Register the keys, then let nodes connect.

        Raises:
            UsageError: A file is no key.
            RunError: A key is refused, or the front does not start.
        """
        admitted = None if self._keys is None else self._keys.begin()
        if self._front is None:
            _log.info(f"SuperLink at {self._where}: your own, with no front before it but yours")
            return self
        if admitted is not None:
            self._front.admit(admitted)
        self._front.__enter__()
        _log.info(f"nodes connect to {self._where}")
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        if self._front is not None:
            self._front.__exit__()

    @property
    def revived(self) -> int:
        """How often the front was started again."""
        return 0 if self._front is None else self._front.revived

    def tend(self) -> None:
        """Follow the folder of keys, and see to the front; call it again and again.

        Raises:
            RunError: The front died, and does not start again.
        """
        admitted = None if self._keys is None else self._keys.look()
        if self._front is not None:
            if admitted is not None:
                self._front.admit(admitted)
            self._front.tend()
