"""Which apps a node runs: those that its owner named, or the first one of a SuperLink.

A SuperLink without an app of its own choosing cannot let code run on a device: the hash that it
names of a run's app counts for nothing here, but that the bundle has to have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from frugalfl.errors import RunError
from frugalfl.text import printable
from frugalfl_client.approvals import how_to_accept, listed_in
from frugalfl_client.node.app_error import AppError
from frugalfl_client.node.flower import BAD_FAB, Bundle, Run
from frugalfl_client.node.signatures import Entities, is_signed
from frugalfl_client.pins import Pins

#: Most letters of a stranger's name of an app in a message.
_MOST_NAME = 60


@dataclass(frozen=True)
class Trust:
    """What the owner of a node said about apps; each way lets more of them run.

    Attributes:
        superlink: Its address: another one has a first app of its own.
        pins: What the device ran first, and what its owner accepted.
        hashes: Of bundles that may run.
        entities: Whose signed bundles may run; ``None``: nobody's.
        listed: File with more hashes, read anew each time; ``None``: there is none.
    """

    superlink: str
    pins: Pins
    hashes: frozenset[str] = frozenset()
    entities: Entities | None = None
    listed: Path | None = None

    def check(self, run: Run, bundle: Callable[[], Bundle]) -> None:
        """Refuse an app that may not run.

        Args:
            run: What the SuperLink says of it.
            bundle: Returns the bundle of that hash; called only if its signature is asked for.

        Raises:
            AppError: It may not run, or what may cannot be read.
        """
        digest = run.fab_hash
        with _not_known():
            if digest in self.hashes or digest in self.pins.accepted or self._is_listed(digest):
                return
            if self.entities is not None and is_signed(bundle(), self.entities):
                return
            named = self._not_named()
            if named or self.pins.first_of(self._use) not in ("", digest):
                self._refuse(run, named or f"the first one was {self.pins.first_of(self._use)}")

    def pin(self, run: Run) -> None:
        """Let an app that came, and may run, be the first one of its SuperLink, if none was.

        Raises:
            AppError: There is no room for it, or it cannot be kept.
        """
        with _not_known():
            if not self._not_named() and not self.pins.first(self._use, run.fab_hash):
                self._refuse(run, "it is one SuperLink too many")

    @property
    def _use(self) -> str:
        return f"app {self.superlink}"

    def _refuse(self, run: Run, why: str) -> None:
        digest, name = run.fab_hash, printable(f"{run.fab_id} {run.fab_version}")[:_MOST_NAME]
        self.pins.refuse(digest, f"the app {name} of {self.superlink}")
        raise AppError(
            f"the app {name} with the hash {digest} is not run: {why}; "
            f"{how_to_accept(digest, self.pins.folder)}", BAD_FAB,
        )  # fmt: skip

    def _is_listed(self, digest: str) -> bool:
        return self.listed is not None and digest in listed_in(self.listed).hashes

    def _not_named(self) -> str:
        """Return what the owner named instead; empty: nothing, so that the first app counts."""
        ways = {
            "its hash is none of --app-hash": bool(self.hashes),
            "it is not on the list of --approved": self.listed is not None,
            "nobody of --trusted-entities signed it": self.entities is not None,
        }
        return ", ".join(way for way, given in ways.items() if given)


@contextmanager
def _not_known() -> Iterator[None]:
    """Let nothing run if what may run cannot be read or kept."""
    try:
        yield
    except RunError as error:
        raise AppError(str(error), BAD_FAB) from error
