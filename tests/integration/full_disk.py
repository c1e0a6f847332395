"""A disk that is really full: a small file system of its own, or a limit on the size of files."""

import resource
import subprocess
from contextlib import contextmanager, suppress


class SmallDisk:
    """A folder on a tmpfs of 2 MiB; needs the right to mount."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder
        words = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
        subprocess.run(words, check=True, capture_output=True)

    @contextmanager
    def full(self):
        """Leave no byte free."""
        filler = self.folder / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        try:
            yield
        finally:
            filler.unlink()

    def close(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


class LimitedFiles:
    """A folder whose files cannot grow while the disk is "full"; needs no rights."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder

    @contextmanager
    def full(self):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def close(self):
        pass
