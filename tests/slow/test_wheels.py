"""`make wheels` builds for every platform, and refuses a library that asks for what may be missing."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 1500

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels") / "checkout"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def make(checkout, *words):
    return subprocess.run(
        ["make", "wheels", *words], cwd=checkout, capture_output=True, text=True,
        timeout=DEADLINE_S, check=False,
    )  # fmt: skip


def test_every_platform_has_its_wheel(checkout):
    done = make(checkout, "ARGS=--json sizes.json")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((checkout / "sizes.json").read_text())
    for part in ("x86_64", "aarch64", "armv7", "armv6", "macos", "windows", "wasm", "m0", "m55"):
        assert any(part in name for name in rows), part
    for name, row in rows.items():
        assert (checkout / "dist" / row["file"]).stat().st_size == row["bytes"], name
        assert name in done.stdout
    assert list((checkout / "dist").glob("frugalfl-*.tar.gz"))
    assert rows["linux-x86_64"]["ran"] == "here"
    if shutil.which("node"):
        assert rows["core.wasm"]["ran"] == "node"


def test_a_library_that_needs_a_libc_is_refused(checkout):
    source = checkout / "shared" / "core" / "abi.c"
    before = source.read_text()
    source.write_text(f"{before}int puts(const char *);\nFC_API void fc_say(void) {{ puts(0); }}\n")
    for name in ("linux-x86_64", "windows-x86_64", "core.wasm"):
        done = make(checkout, f"ONLY={name}")
        assert done.returncode and "puts" in done.stderr, name
    done = make(checkout, "ONLY=libfrugalfl_core-cortex-m4f.a")
    assert done.returncode and "asks for ['puts']" in done.stderr
    source.write_text(before)


def test_a_function_that_is_only_declared_is_found(checkout):
    header = checkout / "shared" / "core" / "frugalfl_core.h"
    before = header.read_text()
    body, guard = before.rsplit("#endif", 1)
    header.write_text(f"{body}FC_API int fc_missing(void);\n#endif{guard}")
    done = make(checkout, "ONLY=linux-x86_64")
    assert done.returncode and "lacks ['fc_missing']" in done.stderr
    header.write_text(before)
