"""Flower's SuperExec, which starts ServerApps, with their tokens out of sight.

    python -m frugalfl_server.serve.superexec ...      (as ``flower-superexec``)

flwr 1.41 names a ServerApp's token on its command line, which any user of the machine can read.
Whoever has it speaks for the ServerApp. Here it is in a file that has no name, which the ServerApp
inherits.

A ServerApp ends with its SuperExec, however that ends. Flower's would live on without a SuperLink,
and keep its run locked, so that nobody could resume it.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any

from frugalfl_server.serve.processes import end_with_parent

_OPTION = "--token"


def main() -> None:
    """Run it."""
    from flwr.supercore.cli import flower_superexec
    from flwr.supercore.superexec.executor import subprocess_executor

    if hasattr(os, "memfd_create"):  # Linux
        subprocess_executor.subprocess = _Hiding()  # type: ignore[attr-defined, assignment]
    flower_superexec()


class _Hiding:
    """What Flower's executor uses of :mod:`subprocess`."""

    DEVNULL = subprocess.DEVNULL

    def Popen(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:  # noqa: N802 (its name)
        """Start a program with the token of its command line in a file."""
        at = command.index(_OPTION)
        token = os.memfd_create("token")
        os.write(token, command[at + 1].encode("ascii"))
        hidden = ["--token-file", f"/proc/self/fd/{token}"]
        try:
            return subprocess.Popen(
                [*command[:at], *hidden, *command[at + 2 :]],
                pass_fds=(token,),
                preexec_fn=end_with_parent,  # noqa: PLW1509 (one call to the system, no lock)
                **options,
            )
        finally:
            os.close(token)


if __name__ == "__main__":
    main()
