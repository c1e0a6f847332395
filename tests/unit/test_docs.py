"""The documents name what there is, and only that."""

import re
from dataclasses import fields
from pathlib import Path

from frugalfl.codec.registry import CHOOSERS, CODERS, SHORT, TRANSFORMS
from frugalfl.plans.registry import PLANS
from frugalfl.settings import Settings
from frugalfl.sizes import size_text
from frugalfl.targets import targets

DOCS = Path(__file__).parents[2] / "docs"


def first_column(text):
    return set(re.findall(r"^\| `((?:\\\||[^`|])+)` \|", text, re.MULTILINE))


def test_every_setting_is_described_with_its_default():
    text = (DOCS / "settings.md").read_text()
    for field in fields(Settings):
        default = str(field.default).replace("|", "\\|")
        assert f"| `{field.name.replace('_', '-')}` | `{default}` |" in text


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
