"""The documents name what there is, and only that."""

import re
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

from attacking import SUBJECTS

from frugalfl.codec.registry import ENDS, SHORT, TRANSFORMS
from frugalfl.plans.parse import PLANS
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
    assert links >= {*TRANSFORMS, *ENDS, "feedback"}
    wire = (DOCS / "wire-format.md").read_text()
    assert all(f"`{name}`" in wire for name in {*TRANSFORMS, *ENDS})
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


LINK = re.compile(r"\]\(([^)\s]*)\)")
CODE_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(rf"{CODE_BLOCK.pattern}|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def documents():
    root = DOCS.parent
    return [
        *DOCS.glob("*.md"),
        *root.glob("*.md"),
        *root.glob("[!.]*/*.md"),
        root / "edge/firmware/README.md",
    ]


def anchors(document):
    """The anchors of a document's headings, as GitHub makes them."""
    found = []
    for heading in re.findall(r"^#+ (.*)$", CODE_BLOCK.sub("", document.read_text()), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return found


def broken_links(document):
    for link in LINK.findall(CODE.sub("", document.read_text())):
        target, _, anchor = link.partition("#")
        if "://" not in target:
            file = (document.parent / target).resolve() if target else document
            if not file.exists() or (anchor and anchor not in anchors(file)):
                yield link


def test_links_between_documents_lead_somewhere():
    broken = {document.name: list(broken_links(document)) for document in documents()}
    assert not {name: links for name, links in broken.items() if links}


def test_a_link_to_no_file_or_no_heading_is_found(tmp_path):
    other = tmp_path / "other.md"
    other.write_text("# A *title*: `code`\n```sh\n# no heading\n```\n## Twice\n## Twice\n")
    good = "[a](other.md) [b](other.md#a-title-code) [c](#here) [d](other.md#twice-1)"
    bad = ["none.md", "other.md#no-heading", "#there", "other.md#twice-2"]
    for link in bad:
        page = tmp_path / "page.md"
        page.write_text(f"# Here\n{good} [x]({link}) `[in](code)`\n")
        assert list(broken_links(page)) == [link]


def test_every_document_is_in_one_place_of_the_index():
    index = (DOCS / "README.md").read_text()
    assert re.findall(r"^## (.*)$", index, re.MULTILINE) == [
        "Start",
        "Use",
        "Understand",
        "Formats",
    ]
    listed = [link for link in LINK.findall(index) if "/" not in link]
    assert sorted(listed) == sorted(f.name for f in DOCS.glob("*.md") if f.name != "README.md")


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


def test_the_architecture_names_the_folders_that_there_are():
    text = (DOCS / "architecture.md").read_text()
    for path in re.findall(r"`((?:shared|client|server|edge|simulations)/[\w/.]+)`", text):
        assert (DOCS.parent / path).exists(), path
    rooms = set(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE))
    server = DOCS.parent / "server" / "frugalfl_server"
    assert rooms == {folder.parent.name for folder in server.glob("*/__init__.py")}
    answers = re.findall(r"^\| .*\? \| `([\w/.]+)` \| `(\w+\.py)` \|$", text, re.MULTILINE)
    assert len(answers) == 10
    assert all((DOCS.parent / folder / file).exists() for folder, file in answers)
