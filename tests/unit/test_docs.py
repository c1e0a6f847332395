"""The documents name what there is, and only that."""

import re
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

from attacking import SUBJECTS

from frugalfl.codec.registry import CHOOSERS, CODERS, SHORT, TRANSFORMS
from frugalfl.plans.registry import PLANS
from frugalfl.settings.settings import places
from frugalfl.sizes import size_text
from frugalfl.targets import targets

DOCS = Path(__file__).parents[2] / "docs"


def first_column(text):
    return set(re.findall(r"^\| `((?:\\\||[^`|])+)` \|", text, re.MULTILINE))


def test_every_setting_is_described_with_its_default():
    """In the table of its subject, and nowhere is a key that there is not."""
    text = (DOCS / "settings.md").read_text()
    described = []
    for subject in {subject for subject, _ in places().values()}:
        _, _, part = text.partition(f"\n## {subject.capitalize()}\n")
        rows = re.findall(r"^\| `([\w-]+)` \| `(.*?)` \|", part.partition("\n## ")[0], re.MULTILINE)
        described += [(subject, *row) for row in rows]
    defaults = [(subject, key, written(one)) for key, (subject, one) in places().items()]
    assert sorted(described) == sorted([*defaults, ("run", "app", "()")])


def written(field):
    """A default as TOML and the command line write it, in a cell of a table."""
    default = str(field.default).replace("|", "\\|")
    return default.lower() if isinstance(field.default, bool) else default


def test_every_codec_link_is_described():
    links = {name.partition("(")[0] for name in first_column((DOCS / "settings.md").read_text())}
    assert links >= {*TRANSFORMS, *CODERS, *CHOOSERS, "feedback"}
    wire = (DOCS / "wire-format.md").read_text()
    assert all(f"`{name}`" in wire for name in {*TRANSFORMS, *CODERS, *CHOOSERS})
    assert all(f"`{word}` {byte:02X}" in wire for word, byte in SHORT.items())


def test_every_refresh_plan_is_described():
    text = (DOCS / "refresh.md").read_text()
    described = {
        name.partition("(")[0] for name in re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)
    }
    assert described >= set(PLANS)


def test_every_target_is_described_with_its_memory():
    text = (DOCS / "export.md").read_text()
    for name, target in targets().items():
        memory = f"{size_text(target.flash_bytes)} | {size_text(target.ram_bytes)}"
        assert re.search(
            rf"\| `{name}` \| .* \| {memory} \| {'yes' if target.fpu else 'no'} \|", text
        )


def test_links_between_documents_lead_somewhere():
    root = DOCS.parent
    for document in [*DOCS.glob("*.md"), *root.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_row_of_who_can_do_what_names_what_shows_it():
    """A promise without a test or an attack is none."""
    rows = table_under("shown by")
    assert len(rows) > 20
    for row in rows:
        shown_by = row.split(" | ")[-1].strip(" |")
        subjects = re.findall(r"attacks: `(\w+)`", shown_by)
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", shown_by)
        assert len(subjects) + len(tests) == shown_by.count(";") + 1, row
        for subject in subjects:
            assert subject in SUBJECTS and find_spec(f"attacking.{subject}"), row
        for file, name in tests:
            there = (DOCS.parent / file).read_text() if (DOCS.parent / file).exists() else ""
            assert re.search(rf"^(?:async )?def {name}\(", there, re.MULTILINE), f"{file}::{name}"


def test_every_attack_is_named_among_who_can_do_what():
    text = (DOCS / "security.md").read_text()
    assert set(re.findall(r"attacks: `(\w+)`", text)) == set(SUBJECTS)


def table_under(last_column):
    lines = (DOCS / "security.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.endswith(f"| {last_column} |"))
    return list(takewhile(lambda line: line.startswith("|"), lines[start + 2 :]))


def test_settings_that_security_md_speaks_of_exist():
    """It would be worse than nothing to tell an owner of a key that nobody reads."""
    text = (DOCS / "security.md").read_text()
    named = set(re.findall(r"`([a-z-]+) = ", text)) | {"smallest-batch", "counters-at-least"}
    known = (DOCS / "settings.md").read_text() + (DOCS / "litert-clients.md").read_text()
    assert not {name for name in named if f"`{name}`" not in known}
