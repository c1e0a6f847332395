"""`pip install` compiles the core if anything can, and installs all the same if nothing can."""

import os
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 900
HERE = re.sub(r"[-.]", "_", sysconfig.get_platform())

pytestmark = pytest.mark.slow
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")


class Machine:
    """A copy of the checkout and a fresh environment, with this machine's path or an empty one."""

    def __init__(self, folder):
        self.folder, self.checkout = folder, folder / "checkout"
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.checkout / name)
        venv.create(folder / "venv", with_pip=True)
        self.environment = dict(os.environ)
        for name in ("CC", "FRUGALFL_NATIVE", "PYTHONPATH"):
            self.environment.pop(name, None)

    def take_compilers_away(self):
        nothing = self.folder / "nothing"
        nothing.mkdir()
        self.environment["PATH"] = str(nothing)

    def run(self, program, *words, **environment):
        done = subprocess.run(
            [self.folder / "venv" / "bin" / program, *words], cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE_S, check=False,
            env={**self.environment, **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout

    def install(self, *words, **environment):
        self.run("python", "-m", "pip", "install", "--quiet", *words, **environment)

    @property
    def tag(self):
        (wheel,) = (self.folder / "venv").glob("lib/python*/site-packages/frugalfl-*/WHEEL")
        return wheel.read_text().split("Tag: ")[1].strip()

    @property
    def core(self):
        lines = self.run("frugalfl", "doctor").splitlines()
        return next(line for line in lines if line.startswith("Core: "))

    @property
    def compiled_in_checkout(self):
        return list(self.checkout.glob("shared/frugalfl/native/*frugalfl_core.*"))


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@needs_compiler
def test_with_a_compiler(machine):
    machine.install(machine.checkout)
    assert machine.tag == f"py3-none-{HERE}"
    assert re.search(r"compiled, version \d+, .*/venv/lib/.*/native/\w+\.\w+$", machine.core)
    assert not machine.compiled_in_checkout


@needs_compiler
def test_an_editable_installation_compiles_beside_its_modules(machine):
    machine.install("--editable", machine.checkout)
    (library,) = machine.compiled_in_checkout
    assert machine.core.endswith(str(library))
    with (machine.checkout / "shared" / "core" / "abi.c").open("a") as changed:
        changed.write("/* one line more */\n")
    assert "other C files" in machine.core
    machine.install("--editable", machine.checkout)
    assert machine.core.endswith(str(library))


@needs_compiler
def test_the_source_archive_holds_what_is_compiled(machine):
    machine.install("hatchling")
    stale = machine.checkout / "shared" / "frugalfl" / "native" / "libfrugalfl_core.so"
    stale.write_bytes(b"of somebody's checkout")
    command = ("-m", "hatchling", "build", "-t", "sdist", "-d", str(machine.folder))
    subprocess.run(
        [machine.folder / "venv" / "bin" / "python", *command], cwd=machine.checkout, check=True
    )
    (archive,) = machine.folder.glob("frugalfl-*.tar.gz")
    machine.install(archive)
    assert machine.tag == f"py3-none-{HERE}"
    assert "compiled, version" in machine.core


def test_without_a_compiler_everything_works_in_python(machine):
    machine.take_compilers_away()
    machine.install(machine.checkout, "pytest", "hypothesis")
    assert machine.tag == "py3-none-any"
    assert "Python computes the same bytes" in machine.core
    assert "install a C compiler" in machine.core
    tests = machine.checkout / "tests"
    said = machine.run(
        "python", "-m", "pytest", "--noconftest", "-c", os.devnull, "--rootdir", tests, "-q",
        "--import-mode=importlib", "-p", "no:cacheprovider", tests / "golden",
        tests / "laws" / "test_codecs.py",
    )  # fmt: skip
    assert "passed" in said and "skipped" not in said


def test_a_build_that_may_fetch_zig_compiles_with_it(machine):
    machine.take_compilers_away()
    machine.install(machine.checkout, FRUGALFL_ZIG="1")
    assert machine.tag == f"py3-none-{HERE}"
    assert "compiled, version" in machine.core
