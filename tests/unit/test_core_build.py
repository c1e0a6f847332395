"""The compiled core is used if it is of these C files, and left alone otherwise, with a reason."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from frugalfl import doctor, native
from frugalfl.native import library

SHARED = Path(__file__).parents[2] / "shared"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler here")


class Checkout:
    """A copy of the loader and of a core that has its first file only."""

    def __init__(self, folder):
        self.folder, self.core = folder, folder / "core"
        self.native = folder / "frugalfl" / "native"
        self.native.mkdir(parents=True)
        (folder / "frugalfl" / "__init__.py").touch()
        for name in ("__init__.py", "library.py", "source.py"):
            shutil.copy(SHARED / "frugalfl" / "native" / name, self.native)
        self.core.mkdir()
        for name in ("build.py", "frugalfl_core.h", "abi.c"):
            shutil.copy(SHARED / "core" / name, self.core)
        (self.core / "all.c").write_text('#include "abi.c"\n')

    @property
    def library(self):
        return self.native / library._PATH.name

    def run(self, *words, **environment):
        kept = {k: v for k, v in os.environ.items() if k not in ("CC", "FRUGALFL_NATIVE")}
        done = subprocess.run(
            [sys.executable, *words], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
            env={**kept, "PYTHONPATH": str(self.folder), **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done

    def build(self, **environment):
        return self.run(self.core / "build.py", **environment)

    def state(self, **environment):
        program = "from frugalfl import native as n; print(n.core() is not None, n.state())"
        used, state = self.run("-c", program, **environment).stdout.strip().split(" ", 1)
        return used == "True", state


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


@needs_compiler
def test_a_library_of_other_c_files_is_not_used(checkout):
    assert checkout.build().stdout.strip() == str(checkout.library)
    assert checkout.state() == (True, str(checkout.library))
    with (checkout.core / "abi.c").open("a") as changed:
        changed.write("/* one line more */\n")
    used, why = checkout.state()
    assert not used and "other C files" in why
    advice = re.search(r"python (\S+build\.py)$", why)[1]
    checkout.run(advice)
    assert checkout.state() == (True, str(checkout.library))


@needs_compiler
def test_what_is_compiled_already_stays(checkout):
    checkout.build()
    before = checkout.library.stat()
    checkout.build()
    assert checkout.library.stat().st_mtime_ns == before.st_mtime_ns
    assert [
        one.name for one in checkout.native.iterdir() if one.suffix == library._PATH.suffix
    ] == [library._PATH.name]


@needs_compiler
def test_an_installation_has_no_c_files_to_compare_with(checkout):
    checkout.build()
    shutil.rmtree(checkout.core)
    checkout.core.mkdir()  # somebody else's package may be called so
    assert checkout.state() == (True, str(checkout.library))


@needs_compiler
def test_a_library_of_another_version_is_not_used(checkout):
    header = checkout.core / "frugalfl_core.h"
    header.write_text(re.sub(r"FC_ABI \d+", "FC_ABI 99", header.read_text()))
    checkout.build()
    used, why = checkout.state()
    assert not used and f"another version (99, not {library.ABI})" in why


def test_a_damaged_library_is_not_used(checkout):
    for content in (b"", b"\x7fELF", b"not a library\n" * 100):
        checkout.library.write_bytes(content)
        used, why = checkout.state()
        assert not used and "does not load" in why and "build.py" in why


@needs_compiler
def test_a_library_of_something_else_is_not_used(checkout):
    (checkout.core / "all.c").write_text("int other(void) { return 1; }\n")
    flags = ("-shared", "-fPIC", "all.c", "-o", str(checkout.library))
    subprocess.run([COMPILER, *flags], cwd=checkout.core, check=True)
    used, why = checkout.state()
    assert not used and "does not load" in why


@needs_compiler
def test_no_other_folder_is_looked_into(checkout):
    checkout.build()
    for folder in (checkout.folder, checkout.core, checkout.folder / "frugalfl"):
        shutil.copy(checkout.library, folder)
    checkout.library.unlink()
    elsewhere = str(checkout.folder)
    used, why = checkout.state(
        LD_LIBRARY_PATH=elsewhere, DYLD_LIBRARY_PATH=elsewhere, PATH=elsewhere
    )
    assert not used and "not compiled" in why


def test_without_a_compiler_nothing_fails(checkout):
    done = checkout.build(PATH=str(checkout.folder))
    assert "Python computes the same bytes" in done.stderr and not done.stdout
    used, why = checkout.state()
    assert not used and "install a C compiler" in why and not checkout.library.exists()


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(checkout):
    (checkout.core / "all.c").write_text("#error no such thing\n")
    done = checkout.build()
    assert "Python computes the same bytes" in done.stderr
    assert COMPILER is None or "no such thing" in done.stderr
    assert not [one for one in checkout.native.iterdir() if "core" in one.name]


@needs_compiler
def test_the_next_compiler_is_tried(checkout):
    assert checkout.build(CC="false").stdout.strip() == str(checkout.library)
    assert checkout.state()[0]


def test_it_can_be_switched_off(checkout):
    assert checkout.state(FRUGALFL_NATIVE="0") == (False, "switched off by FRUGALFL_NATIVE=0")


@needs_compiler
@pytest.mark.skipif(os.environ.get("FRUGALFL_NATIVE") == "0", reason="switched off")
def test_the_tests_here_run_on_the_compiled_core():
    """`make test` compiles: else every comparison of the two would be skipped in silence."""
    core = native.core()
    assert core is not None, native.state()
    header = (SHARED / "core" / "frugalfl_core.h").read_text()
    declared = re.findall(r"^FC_API\b[^(]*\b(fc_\w+)\(", header, re.M)
    assert "fc_abi" in declared
    assert [name for name in declared if not hasattr(core, name)] == []


def test_doctor_says_what_computes_and_what_to_do(monkeypatch):
    monkeypatch.setattr(library, "_load", library._load.__wrapped__)  # asked anew each time
    monkeypatch.setenv("FRUGALFL_NATIVE", "0")
    assert "switched off by FRUGALFL_NATIVE=0" in doctor.examine()["core"]
    monkeypatch.delenv("FRUGALFL_NATIVE")
    monkeypatch.setattr(library, "_PATH", SHARED / "nothing.so")
    said = doctor.examine()["core"]
    assert "Python computes the same bytes" in said and "install a C compiler" in said
