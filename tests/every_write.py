"""Kills a simulated run at each change of a file in its directory, and goes on with what is left.

What a run leaves on the disk changes only when a file is opened for writing, renamed, removed or a
folder is made. Python tells an audit hook of each of these before it happens. So a process that
ends itself at the n-th, for every n, has been killed in every window that there is, and in none
twice. Writes to a temporary file are no window of their own: nobody sees it before it is renamed.
"""

import os
import signal
import sys
from pathlib import Path

#: Files that change without Python's audit hook knowing are not the server's: devices' databases.
_WATCHED = {"open", "os.rename", "os.remove", "os.mkdir", "os.symlink", "os.link", "os.rmdir"}


class Countdown:
    """Counts changes of files under a folder, and ends the process at the one that is wanted."""

    def __init__(self, folder, at=None):
        """Begin to count; audit hooks cannot be taken away again, so use it in a child only."""
        self.seen = []
        self._folder, self._at = str(folder), at
        sys.addaudithook(self._hear)

    def _hear(self, event, arguments):
        if event not in _WATCHED or not _changes(event, arguments):
            return
        path = _path(arguments[1] if event in ("os.rename", "os.symlink") else arguments[0])
        if not path.startswith(f"{self._folder}/") or "/devices/" in path:
            return
        if event == "os.mkdir" and os.path.isdir(path):
            return  # it changes nothing
        if event == "os.remove" and not os.path.lexists(path):
            return
        self.seen.append(f"{event} {Path(path).relative_to(self._folder)}")
        if len(self.seen) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def _changes(event, arguments):
    if event != "open":
        return True
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


def _path(value):
    return os.fsdecode(value) if isinstance(value, (str, bytes, os.PathLike)) else ""


def in_child(work):
    """Do something in a child that shares what this process has imported.

    Returns:
        Its exit code, or minus the signal that ended it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        work()
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)
    return code
