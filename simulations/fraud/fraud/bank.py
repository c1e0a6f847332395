"""All branches of a bank as files in one folder: what a simulation has, and no real server."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from fraud.config import Config, load_config
from fraud.counters import counters
from fraud.files import load_branch
from fraud.prepare import Prepared, clean, prepare
from fraud.schema import Transactions
from frugalfl.errors import TaskError
from frugalfl.sums import AT_LEAST, Table, Tables, answers


class Bank:
    """The branches whose files a ``pilot.toml`` names, each loaded and prepared once.

    Args:
        settings: That file; the branches' files are in its folder.
    """

    def __init__(self, settings: Path) -> None:
        self.config: Config = load_config(settings)
        self._folder = settings.parent
        self._loaded: dict[int, tuple[Transactions, tuple[str, ...]]] = {}
        self._prepared: dict[int, tuple[bytes, Prepared]] = {}

    @property
    def branches(self) -> int:
        """Number of branches: files that are numbered from 0.

        Raises:
            TaskError: There is none.
        """
        count = 0
        while (self._folder / self.config.files.replace("{client}", str(count))).exists():
            count += 1
        if not count:
            name = self.config.files.replace("{client}", "0")
            raise TaskError(
                f"{self._folder / name}: there is no such file; see files in pilot.toml"
            )
        return count

    def transactions(self, branch: int) -> Transactions:
        """Return a branch's transactions, cleaned.

        Raises:
            TaskError: The file cannot be used; the message says where.
        """
        return self._clean(branch)[0]

    def notes(self, branch: int) -> tuple[str, ...]:
        """Return what had to be done to a branch's file, a line each."""
        return self._clean(branch)[1]

    def counters(self, branch: int) -> dict[str, Table]:
        """Return a branch's own tables."""
        return counters(self.transactions(branch), self.config)

    def totals(self) -> list[dict[str, Table]]:
        """Return what each branch gets where all share their tables, as settings have it."""
        return answers([self.counters(branch) for branch in range(self.branches)], AT_LEAST)

    def prepared(self, branch: int, totals: Tables | None = None) -> Prepared:
        """Return a branch's examples.

        Raises:
            TaskError: It has none.
        """
        digest = _digest(totals)
        if branch not in self._prepared or self._prepared[branch][0] != digest:
            # The last ones only: those made with other counters are not wanted again.
            made = prepare(self.transactions(branch), self.config, totals)
            self._prepared[branch] = digest, made
        return self._prepared[branch][1]

    def _clean(self, branch: int) -> tuple[Transactions, tuple[str, ...]]:
        if branch not in self._loaded:
            loaded = load_branch(self._folder, branch, self.config)
            transactions, notes = clean(loaded.transactions, self.config)
            self._loaded[branch] = transactions, (*loaded.notes, *notes)
        return self._loaded[branch]


@lru_cache(maxsize=1)
def bank_of(settings: Path) -> Bank:
    """Return the bank of a ``pilot.toml``: the same one for all runs of a process."""
    return Bank(settings)


def _digest(totals: Mapping[str, Table] | None) -> bytes:
    if totals is None:
        return b""
    digest = hashlib.blake2b(digest_size=16)
    for name, table in sorted(totals.items()):
        digest.update(name.encode())
        digest.update(table.keys.tobytes())
        digest.update(table.counts.tobytes())
    return digest.digest()
