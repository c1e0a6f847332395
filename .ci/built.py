"""Checks of what `make wheels` built: that it asks for nothing that a machine might not have.

`auditwheel` reads Linux wheels as PyPI does; LIEF reads all three formats. A library is also
called, if this machine can: itself, or for another processor under QEMU with Debian's C library for
it (qemu-user-static, libc6-arm64-cross, libc6-armhf-cross), or in Node.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zipfile import ZipFile

import lief
from elftools.elf.elffile import ELFFile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "shared" / "core"))
import build  # noqa: E402
from platforms import Platform  # noqa: E402

#: What a library may ask of its system: Apple's has to be named; all of it is there since 10.15.
_NEEDED = {"/usr/lib/libSystem.B.dylib", "@rpath/libfrugalfl_core.dylib"}
_ASKED = {
    "dyld_stub_binder", "_bzero", "___bzero", "_memcpy", "_memmove", "_memset", "_memset_pattern16",
    "__availability_version_check",
}  # fmt: skip
#: What a firmware's compiler brings.
_RUNTIME = re.compile(r"__(aeabi_\w+|[a-z]+[sd]i[23])|mem(cpy|move|set)")
_NODE = """WebAssembly.instantiate(require("fs").readFileSync(process.argv[1]), {}).then(
    ({instance: {exports: {fc_abi, fc_source}}}) => console.log(fc_abi(), fc_source() >>> 0))"""
lief.logging.disable()  # it tells what it does not know of an otherwise sound file
_HERE = "import ctypes, sys; c = ctypes.CDLL(sys.argv[1]); print(c.fc_abi(), c.fc_source() % 2**32)"


class Emulated(NamedTuple):
    """How a library for another processor is called here."""

    qemu: str
    root: Path
    triple: str


_OTHERS = {
    "aarch64": Emulated(
        "qemu-aarch64-static", Path("/usr/aarch64-linux-gnu"), "aarch64-linux-gnu.2.17"
    ),
    "arm": Emulated(
        "qemu-arm-static", Path("/usr/arm-linux-gnueabihf"), "arm-linux-gnueabihf.2.17"
    ),
}


class Row(NamedTuple):
    """One thing that was built: its file and size, the size of the library, how it was run."""

    file: str
    bytes: int
    core_bytes: int
    ran: str | None


def check_wheel(wheel: Path, platform: Platform) -> Row:
    """See that a wheel says what it is for and needs nothing else; run its library if possible.

    Raises:
        SystemExit: Something is wrong with it.
    """
    if wheel.name.removesuffix(".whl").split("-", 4)[4] != platform.tag:
        raise SystemExit(f"{wheel.name}: not for {platform.tag}")
    if platform.library.endswith(".so"):
        audit(wheel)
    with TemporaryDirectory() as folder, ZipFile(wheel) as packed:
        names = [one for one in packed.namelist() if Path(one).suffix in {".so", ".dylib", ".dll"}]
        if names != [f"frugalfl/native/{platform.library}"]:
            raise SystemExit(f"{wheel.name}: libraries {names}")
        library = Path(packed.extract(names[0], folder))
        check_symbols(library)
        if "_armv" in platform.tag:
            check_arm(library, newest=9 if "armv6" in platform.tag else 10)
        return Row(wheel.name, wheel.stat().st_size, library.stat().st_size, run(library))


def audit(wheel: Path) -> None:
    """See what `auditwheel` says."""
    command = [sys.executable, "-m", "auditwheel", "show", str(wheel)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in (
        "requires no external shared libraries",
        "references no external versioned symbols",
    ):
        if line not in " ".join(said.split()):
            raise SystemExit(f"auditwheel of {wheel.name}:\n{said}")


def public_functions() -> set[str]:
    """Return the names that the header declares."""
    header = (build.CORE / "frugalfl_core.h").read_text(encoding="utf-8")
    return set(re.findall(r"^FC_API\b[^(]*\b(fc_\w+)\(", header, re.M))


def check_symbols(library: Path) -> None:
    """See that a library offers the header's functions, and asks for no other library's."""
    read = lief.parse(str(library))
    if isinstance(read, lief.PE.Binary):
        offered, asked = read.exported_functions, read.imported_functions
    else:
        offered, asked = read.exported_symbols, read.imported_symbols
    names = {str(one.name).lstrip("_") for one in offered}
    if missing := public_functions() - names:
        raise SystemExit(f"{library.name}: lacks {sorted(missing)}")
    wanted = {str(one.name) for one in asked if one.name} - _ASKED
    libraries = {getattr(one, "name", one) for one in read.libraries} - _NEEDED
    if wanted or libraries:
        raise SystemExit(f"{library.name}: asks for {sorted(wanted)} of {sorted(libraries)}")


def check_arm(library: Path, newest: int) -> None:
    """See that a 32-bit ARM library takes floats in registers and is for no newer processor.

    Architectures are numbered as in the ABI of the Arm architecture: 6 to 9 are ARMv6, 10 ARMv7.
    """
    with library.open("rb") as opened:
        section = ELFFile(opened).get_section_by_name(".ARM.attributes")
        parts = [one for sub in section.iter_subsections() for one in sub.iter_subsubsections()]
        found = {one.tag: one.value for part in parts for one in part.iter_attributes()}
    if found["TAG_CPU_ARCH"] > newest or found["TAG_ABI_VFP_ARGS"] != 1:
        raise SystemExit(f"{library.name}: for a newer processor, or soft floats: {found}")


def check_object(made: Path, output: Path) -> Row:
    """See that an object for a microcontroller asks for nothing but its compiler's runtime."""
    read = lief.ELF.parse(str(made))
    asked = {str(one.name) for one in read.symbols if one.name and one.shndx == 0}
    if beyond := {one for one in asked if not _RUNTIME.fullmatch(one)}:
        raise SystemExit(f"{output.name}: asks for {sorted(beyond)}")
    kept = [one for one in read.sections if one.name.startswith((".text", ".rodata", ".data"))]
    return Row(f"core/{output.name}", output.stat().st_size, sum(one.size for one in kept), None)


def check_wasm(output: Path) -> Row:
    """Instantiate a module without any import, and call it in Node."""
    size = output.stat().st_size
    if (node := shutil.which("node")) is None:
        return Row(f"core/{output.name}", size, size, None)
    check_answer(output, [node, "-e", _NODE])
    return Row(f"core/{output.name}", size, size, "node")


def run(library: Path) -> str | None:
    """Call a library; return what ran it, or nothing if nothing here can."""
    read = lief.parse(str(library))
    machine = read.header.machine_type.name.lower() if isinstance(read, lief.ELF.Binary) else ""
    if machine and machine == machine_here():
        check_answer(library, [sys.executable, "-c", _HERE])
        return "here"
    other = _OTHERS.get(machine)
    if other is None or not shutil.which(other.qemu) or not other.root.exists():
        return None
    check_answer(library, [other.qemu, "-L", str(other.root), str(loader(other.triple))])
    return "qemu"


def machine_here() -> str:
    """Return this machine's processor, as ELF headers name it."""
    read = lief.ELF.parse(sys.executable)
    return str(read.header.machine_type.name.lower()) if read else ""


@cache
def loader(triple: str) -> Path:
    """Compile the program that loads a library on another processor."""
    program = Path(sys.prefix) / f"load-{triple}"
    source = str(Path(__file__).with_name("load.c"))
    command = build.zig("-target", triple, source, "-ldl", "-o", str(program))
    subprocess.run(command, check=True)
    return program


def check_answer(library: Path, command: list[str]) -> None:
    """See that a library, called, names this version and these C files."""
    done = subprocess.run([*command, str(library)], capture_output=True, text=True, check=False)
    abi = re.search(r"#define FC_ABI (\d+)", (build.CORE / "frugalfl_core.h").read_text())
    if abi is None or done.stdout.split() != [abi[1], str(build.fingerprint())]:
        raise SystemExit(f"{library.name}: {command[0]} printed {done.stdout!r} {done.stderr}")
