"""What git would not keep of a folder: the ``.gitignore`` of it, of folders in it and above it."""

from __future__ import annotations

from pathlib import Path

from pathspec import GitIgnoreSpec

_FILE = ".gitignore"


class Ignored:
    """Answers for one folder, without git, as git does (gitignore(5)).

    A folder that is ignored as a whole, such as a copy under ``/tmp/`` of a repository, is judged
    by its own files only: whoever names it means it.
    """

    def __init__(self, folder: Path) -> None:
        """Read the files above the folder, up to the root of its repository."""
        self._folder = folder.resolve()
        above = []
        for place in (self._folder, *self._folder.parents):
            above.append(place)
            if (place / ".git").exists():
                break
        else:
            above = [self._folder]
        self._specs: dict[Path, GitIgnoreSpec] = {}
        for place in reversed(above[1:]):
            self._read(place)
        root = above[-1]
        self._add(root, _lines(root / ".git" / "info" / "exclude"))
        if self._says(self._folder, "/"):
            self._specs.clear()

    def enter(self, folder: Path) -> None:
        """Read a folder's own file; call it before asking about what is in there."""
        self._read(folder.resolve())

    def has(self, path: Path, *, folder: bool = False) -> bool:
        """Say whether a file, or a folder, is ignored; ask of no file in an ignored folder."""
        return self._says(path.parent.resolve() / path.name, "/" if folder else "")

    def _says(self, path: Path, end: str) -> bool:
        """Return what the deepest of the files says that says anything."""
        ignored = False
        for place, spec in self._specs.items():
            if path.is_relative_to(place) and path != place:
                said = spec.check_file(path.relative_to(place).as_posix() + end).include
                ignored = ignored if said is None else said
        return ignored

    def _read(self, folder: Path) -> None:
        self._add(folder, _lines(folder / _FILE))

    def _add(self, folder: Path, lines: list[str]) -> None:
        if lines:
            before = self._specs.pop(folder, None)
            spec = GitIgnoreSpec.from_lines(lines)
            self._specs[folder] = spec if before is None else before + spec


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
