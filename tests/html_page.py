"""A report as tests look at it."""

import re
from html.parser import HTMLParser
from pathlib import Path


class Page(HTMLParser):
    """The text, the ids, and what every element refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.words: list[str] = []
        self.feed(self.html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        named = dict(attrs)
        self.ids += [named["id"]] if "id" in named else []
        self.references += [named[key] for key in ("src", "href", "xlink:href") if key in named]

    def handle_data(self, data):
        self.words.append(data)

    def part(self, kind: str, name: str) -> str:
        """One figure or table as it is written."""
        return re.search(rf'<{kind} id="{kind}-{name}".*?</{kind}>', self.html, re.S)[0]

    def figure(self, name: str) -> str:
        """The drawings and the caption of one figure."""
        return self.part("figure", name)
