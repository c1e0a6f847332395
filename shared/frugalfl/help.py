"""What stands under a command's options: examples, and what else one has to know."""

from __future__ import annotations


def epilog(markdown: str) -> str:
    """Return a text that Typer shows as the Markdown that it is.

    Typer takes an epilog's paragraphs for lines, and so makes one paragraph of a list and what
    comes after it. With every line break doubled it finds the text as it was written.
    """
    return markdown.replace("\n", "\n\n")
