"""Fill the tables of README.md and docs/ from the figures in benchmarks/results/.

    python benchmarks/tables.py            # writes the documents
    python benchmarks/tables.py --check    # says which of them differ, and ends with 1 if any does
    python benchmarks/tables.py --commands # what makes all figures anew: `make bench` runs it

A benchmark's figures get there by `python benchmarks/NAME.py --json benchmarks/results/NAME.json`,
on a machine that does nothing else. A table under `<!-- by hand: NAME -->` is from before, and is
replaced as soon as its figures are there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from common import RESULTS, ROOT
from rendering.markdown import Figures, table
from rendering.regions import fill, names
from rendering.table_sources import TABLES, Source


def load_results(folder: Path) -> dict[str, Figures]:
    """Return all figures, by program.

    Raises:
        ValueError: Figures of a short version, which are none.
    """
    found = {}
    for file in sorted(folder.glob("*.json")):
        found[file.stem] = json.loads(file.read_text(encoding="utf-8"))
        if found[file.stem]["about"]["quick"]:
            raise ValueError(f"{file.name} was made with --quick; its figures are no result")
    return found


def documents(root: Path) -> dict[str, str]:
    """Return the documents that may have tables, by their path from the root."""
    files = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    return {str(file.relative_to(root)): file.read_text(encoding="utf-8") for file in files}


def filled(texts: Mapping[str, str], results: Mapping[str, Figures]) -> dict[str, str]:
    """Return the documents with their tables made anew."""
    once = {name: fill(text, _maker(results, "")) for name, text in texts.items()}
    # Which tables are still made by hand is known only now.
    waiting = waiting_list(once)
    return {name: fill(text, _maker(results, waiting)) for name, text in once.items()}


def waiting_list(texts: Mapping[str, str]) -> str:
    """Return the list of tables that are still made by hand, and what would make them."""
    lines = []
    for name, source in TABLES.items():
        for document in (d for d, text in texts.items() if name in names(text, "by hand")):
            target = document.removeprefix("docs/") if "/" in document else f"../{document}"
            lines.append(f"- {name} in [{Path(document).name}]({target}): `{command_of(source)}`")
    return "\n".join(lines) or "None."


def command_of(source: Source) -> str:
    """Return the command that makes a table's figures."""
    words = f"python benchmarks/{source.program}.py {source.options}".strip()
    return f"{words} --json benchmarks/results/{source.stem}.json"


def glance(results: Mapping[str, Figures]) -> str:
    """Return the table at a glance: a row of each benchmark whose figures are there."""
    rows = [
        source.glance(results[source.stem])
        for source in TABLES.values()
        if source.glance is not None and source.stem in results
    ]
    return table(("", "FrugalFL", "beside it, in the same run", ""), rows)


def made_by(figures: Figures) -> str:
    """Say in a line what made a table, when and on what."""
    about = figures["about"]
    return (
        f"*`{about['command']}`, {about['date']}, commit {about['commit']}, "
        f"{about['machine']['cores']} cores.*"
    )


def _maker(results: Mapping[str, Figures], waiting: str) -> Callable[[str], str | None]:
    def made(name: str) -> str | None:
        if name == "waiting":
            return f"\n{waiting}\n"
        if name == "glance":
            return glance(results)
        source = TABLES[name]
        figures = results.get(source.stem)
        return figures and f"{source.render(figures)}\n\n{made_by(figures)}"

    return made


def main() -> int:
    """Write the documents, or say which differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--commands", action="store_true", help="print what makes the figures")
    options = parser.parse_args()
    if options.commands:
        print("\n".join(map(command_of, TABLES.values())))
        return 0
    before = documents(ROOT)
    after = filled(before, load_results(RESULTS))
    changed = [name for name in before if before[name] != after[name]]
    for name in changed:
        if options.check:
            print(f"{name} is not what its figures give: run python benchmarks/tables.py")
        else:
            (ROOT / name).write_text(after[name], encoding="utf-8")
            print(f"{name} written")
    return 1 if options.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
