"""The README as PyPI shows it: hatchling runs this while it builds.

In the repository links are relative, so that every copy of it leads to its own files. PyPI has no
files: there they lead to the repository that `pyproject.toml` names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

#: The target of a link or an image, `](docs/task.md)`, that is no address and no part of a page.
_RELATIVE = re.compile(r"(!?)(\[[^\]]*\])\((?![a-z]+:|#)([^)]+)\)")


def with_absolute_links(text: str, repository: str) -> str:
    """Make relative links of a Markdown text lead to a repository, images to their bytes.

    >>> with_absolute_links("[a](docs/a.md#b) ![c](c.png) [d](https://d)", "https://x/y")
    '[a](https://x/y/blob/main/docs/a.md#b) ![c](https://x/y/raw/main/c.png) [d](https://d)'
    """
    return _RELATIVE.sub(
        lambda m: f"{m[1]}{m[2]}({repository}/{'raw' if m[1] else 'blob'}/main/{m[3]})", text
    )


class ReadmeForPyPI(MetadataHookInterface):  # type: ignore[misc]
    """Sets the project's `readme`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the text to the metadata of wheel and sdist."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        linked = with_absolute_links(text, metadata["urls"]["Repository"])
        metadata["readme"] = {"content-type": "text/markdown", "text": linked}
