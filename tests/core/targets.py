"""Compiles the core's checks for a machine, and runs them there or under its emulator."""

from __future__ import annotations

import importlib.util
import os
import runpy
import shlex
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
CORE = HERE.parents[1] / "shared" / "core"
#: The flags by which the libraries that are handed out are compiled, too.
_MACHINES = runpy.run_path(str(CORE / "platforms.py"))["BARE"]
_CHECKS = ("check.c", "check_rans.c")
_OTHERS = ("check_rounding.c", "check_range.c", "check_golomb.c")
#: Of a section: it takes no room in the file; it takes some in memory.
_NOBITS, _ALLOC = 8, 2
_FLAGS = ("-std=c11", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", f"-I{CORE}", f"-I{HERE}")
_BARE = ("-ffreestanding", "-fno-unwind-tables", "-ffunction-sections", "-Wl,--gc-sections")


class Target(NamedTuple):
    """A machine.

    Attributes:
        flags: Of zig's C compiler.
        files: What stands around the checks.
        core: The core's C file.
        run: The command; ``{program}`` and ``{vectors}`` are the files.
    """

    flags: tuple[str, ...]
    files: tuple[str, ...]
    core: str
    run: tuple[str, ...]


def _qemu(machine: str, vectors_at: int) -> tuple[str, ...]:
    return (
        "qemu-system-arm", "-machine", machine, "-display", "none", "-monitor", "none",
        "-serial", "none", "-semihosting-config", "enable=on,target=native",
        "-kernel", "{program}", "-device", f"loader,file={{vectors}},addr={vectors_at:#x},force-raw=on",
    )  # fmt: skip


TARGETS = {
    # With the C library of whoever compiles.
    "hosted": Target((), ("hosted.c", *_OTHERS), "all.c", ("{program}", "{vectors}")),
    "x86-64": Target(
        ("-target", "x86_64-linux-none", "-mcpu=baseline", "-O3", "-nostdlib", "-rtlib=compiler-rt"),
        ("linux.c", *_OTHERS), "all.c", ("{program}",),
    ),
    "aarch64": Target(
        ("-target", "aarch64-linux-none", "-O3", "-nostdlib", "-rtlib=compiler-rt"), ("linux.c", *_OTHERS), "all.c",
        ("qemu-aarch64-static", "{program}"),
    ),
    "wasm32": Target(
        (*_MACHINES["wasm32"], "-O2", "-Wl,--no-entry", *_BARE), ("wasm.c", *_OTHERS),
        "all.c", ("node", str(HERE / "wasm.mjs"), "{program}", "{vectors}"),
    ),
    "cortex-m4": Target(
        (
            *_MACHINES["cortex-m4"], "-Os", *_BARE,
            "-Wl,-T,an386.ld", "-Wl,--entry=reset",
        ),
        ("board.c", *_OTHERS), "all.c", _qemu("mps2-an386", 0x21000000),
    ),
    # Small dense integers alone: 16 kB of RAM.
    "cortex-m0": Target(
        (
            *_MACHINES["cortex-m0"], "-Os", "-DFC_SMALL", *_BARE,
            "-Wl,-T,microbit.ld", "-Wl,--entry=reset",
        ),
        ("board.c",), "small.c", _qemu("microbit", 0x4000),
    ),
}  # fmt: skip


#: Processors whose code for small dense integers is measured.
MICRO = {name: _MACHINES[name] for name in ("cortex-m0", "cortex-m4")}


class Report(NamedTuple):
    """What the checks found; the stack in bytes, on a microcontroller."""

    cases: int
    wrong: int
    skipped: int
    first_wrong: int
    digest: int
    stack: int = 0


def zig() -> list[str] | None:
    """Return the command of zig: of the variable ZIG, this Python's, or the path's."""
    if named := os.environ.get("ZIG"):
        return shlex.split(named)
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang"]
    path = shutil.which("zig")
    return [path] if path else None


def missing(name: str) -> str | None:
    """Return what a target's checks need and this machine lacks."""
    if zig() is None:
        return "zig (pip install ziglang, or ZIG='python -m ziglang' of another environment)"
    program = TARGETS[name].run[0]
    return None if "{" in program or shutil.which(program) else program


def compile_checks(name: str, folder: Path, *more: str) -> Path:
    """Compile the checks for a target with zig."""
    target, program, command = TARGETS[name], folder / f"check-{name}", zig()
    assert command is not None
    files = [HERE / file for file in (*_CHECKS, *target.files)]
    subprocess.run(
        [*command, "cc", *target.flags, *_FLAGS, *more, *files, CORE / target.core, "-o", program],
        check=True, timeout=300, cwd=HERE,
    )  # fmt: skip
    return program


def small_bytes(name: str, folder: Path) -> int:
    """Return what a firmware's flash holds of the coder of small dense integers (B)."""
    program, command = folder / f"linked-{name}", zig()
    assert command is not None
    flags = ("-Os", "-DFC_SMALL", "-Wl,--entry=reset", *_BARE, *_FLAGS)
    subprocess.run(
        [*command, "cc", *MICRO[name], *flags, HERE / "linked.c", CORE / "small.c", "-o", program],
        check=True, timeout=300,
    )  # fmt: skip
    return flash_bytes(program.read_bytes())


def flash_bytes(elf: bytes) -> int:
    """Return the bytes of a 32-bit ELF file's sections that are loaded (System V ABI, chapter 4)."""
    at, width, count = struct.unpack_from("<I10xHH", elf, 32)
    headers = [struct.unpack_from("<6I", elf, at + width * n) for n in range(count)]
    return sum(size for _, kind, flags, _, _, size in headers if kind != _NOBITS and flags & _ALLOC)


def run(name: str, program: Path, vectors: Path) -> Report:
    """Run the checks; return what they found."""
    command = [word.format(program=program, vectors=vectors) for word in TARGETS[name].run]
    with vectors.open() as read:
        said = subprocess.run(
            command, stdin=read, capture_output=True, text=True, timeout=300, check=False
        )
    try:
        return Report(*map(int, (said.stdout or said.stderr).split()))
    except (TypeError, ValueError):
        raise RuntimeError(f"{name}: {said.stdout}{said.stderr}") from None
