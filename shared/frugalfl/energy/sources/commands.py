"""Sources behind a command of the system: run it, bounded in time."""

from __future__ import annotations

_TIMEOUT_S = 5.0


def path_of(command: str) -> str | None:
    """Return where a command is on PATH; ``None``: nowhere."""
    from shutil import which

    return which(command)


def output_of(*command: str) -> str:
    """Run a command and return what it printed.

    Raises:
        OSError: It cannot be run, does not end, or says that it failed.
    """
    import subprocess

    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"{command[0]} did not answer in {_TIMEOUT_S:g} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().partition("\n")[0]
        raise OSError(f"{command[0]} failed: {said or done.returncode}")
    return done.stdout
