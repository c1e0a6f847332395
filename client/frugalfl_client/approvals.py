"""Whether a device runs a training program: its owner's list, or what it ran first.

With a list (``approved`` in the node config) only the programs on it run. Without one the first
program of a role is pinned, and another one for the same role is refused. Either way its owner can
accept one by hand, while the node runs. A simulation, which is server and device at once, says
``approved = "any"``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from frugalfl.approved import Approved, read_approved
from frugalfl.errors import ProgramError, RunError, UsageError
from frugalfl.optimizers import LocalOptimizer
from frugalfl.program import Program, describe
from frugalfl.settings import Settings
from frugalfl_client.pins import Pins

#: Keys of a node config: a list of what may run, and the hash of the app that runs now.
APPROVED, APP_HASH = "approved", "app-hash"
#: Says in place of a list that whatever comes is run.
ANY = "any"


def listed_in(path: Path) -> Approved:
    """Read a device's list anew, as it is now.

    Raises:
        RunError: It cannot be read, so that nothing is known to be on it.
    """
    try:
        return read_approved(path)
    except UsageError as error:
        raise RunError(str(error)) from error


def how_to_accept(digest: str, folder: Path) -> str:
    """Say what the owner of a device types to let something run that it refused."""
    return f"if you mean it to run: frugalfl accept {digest} --state-dir {quote(str(folder))}"


@dataclass(frozen=True)
class Approvals:
    """Of one device: which training programs it runs.

    Attributes:
        pins: What it ran first and what its owner accepted; ``None``: it runs anything.
        listed: File with its owner's list; ``None``: there is none.
        app: Hash of the app that runs; empty: not known, which Flower's own node does not tell.
    """

    pins: Pins | None
    listed: Path | None = None
    app: str = ""

    @classmethod
    def of(cls, node_config: Mapping[str, Any], folder: Path) -> Approvals:
        """Read a node config.

        Args:
            node_config: Flower's.
            folder: The device's own.
        """
        named = str(node_config.get(APPROVED, ""))
        if named == ANY:
            return cls(None)
        listed = Path(named).expanduser() if named else None
        return cls(Pins(folder), listed, str(node_config.get(APP_HASH, "")))

    def check_listed(self, digest: str) -> None:
        """Refuse a program that is not on the list, before anything in it is read.

        Raises:
            ProgramError: It is not, and its owner has not accepted it.
            RunError: The list cannot be read.
        """
        if self.pins is None or self.listed is None or digest in self.pins.accepted:
            return
        approved = listed_in(self.listed)
        if digest not in approved.digests:
            self._refuse(
                digest,
                f"the training program has the digest {digest}, which is none of the "
                f"{len(approved.programs)} that this device's owner approved",
            )

    def check_role(self, digest: str, role: str) -> None:
        """Refuse a program where another one did the same before.

        Args:
            digest: The program's.
            role: From :func:`role_of`.

        Raises:
            ProgramError: It is another one, and its owner has not accepted it.
            RunError: What was first cannot be read.
        """
        if self.pins is not None and self.listed is None:
            self._check_first(digest, self.pins.first_of(self._use(role)) or digest)

    def pin_role(self, digest: str, role: str) -> None:
        """Let a program that runs be the first of its role, if there is none; else as above.

        Raises:
            ProgramError: It is another one, or there is no room for another role.
            RunError: What was first cannot be read or kept.
        """
        if self.pins is not None and self.listed is None:
            self._check_first(digest, self.pins.first(self._use(role), digest))

    def _use(self, role: str) -> str:
        return f"program {self.app or '-'} {role}"

    def _check_first(self, digest: str, first: str) -> None:
        assert self.pins is not None
        if first != digest and digest not in self.pins.accepted:
            before = f"the first one for this was {first}" if first else "it is one role too many"
            self._refuse(digest, f"the training program has the digest {digest}, {before}")

    def _refuse(self, digest: str, why: str) -> None:
        assert self.pins is not None
        self.pins.refuse(digest, f"a training program, of the app {self.app or '-'}")
        line = f"{why}: it is not run; {how_to_accept(digest, self.pins.folder)}"
        if not self.app:  # Flower's own node shows nothing of an answer
            print(f"refused: {line}", file=sys.stderr, flush=True)
        raise ProgramError(line)


def role_of(program: Program, settings: Settings) -> str:
    """Return a name of what a program is for: all of its description, and what is compiled in."""
    about = describe(program) | {
        "model": "",
        "task": settings.run.task,
        "momentum": settings.train.momentum,
    }
    rule = settings.train.local_optimizer
    if rule != LocalOptimizer(
        momentum=settings.train.momentum
    ):  # pins from before know plain SGD only
        about["optimizer"] = asdict(rule)
    text = json.dumps(about, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
