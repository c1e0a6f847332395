"""What the core is cross-compiled for, and the one version of zig that does it.

Linux and Windows link no libc: what a compiler wants besides (memset, 64-bit division on 32 bits)
comes from zig's own runtime, compiled in. So one library serves glibc and musl alike, and no
Windows C library has to be built first (minutes). On Apple the system's is always there.
"""

from __future__ import annotations

from typing import NamedTuple

#: From PyPI: `make wheels` and the build hook take this one.
ZIG = "ziglang==0.17.1"
#: What `make wheels` needs besides, to pack and to check.
TOOLS = (ZIG, "auditwheel==6.8.2", "hatchling>=1.27", "lief==1.0.0", "pyelftools==0.33")
_ALONE = ("-nostdlib", "-rtlib=compiler-rt")
_ELF = (*_ALONE, "-Wl,-z,defs", "-Wl,--gc-sections", "-ffunction-sections", "-Wl,-s")


class Platform(NamedTuple):
    """What a wheel is compiled for: zig's flags, the tag that pip reads, the library's name."""

    tag: str
    flags: tuple[str, ...]
    library: str = "libfrugalfl_core.so"


def _linux(arch: str, triple: str, *flags: str) -> Platform:
    tag = f"manylinux_2_17_{arch}.musllinux_1_1_{arch}"
    return Platform(tag, ("-target", triple, *flags, *_ELF))


def _mac(arch: str, triple: str) -> Platform:
    name = "libfrugalfl_core.dylib"
    itself = f"-Wl,-install_name,@rpath/{name}"  # else the path of the machine that compiled it
    return Platform(
        f"macosx_11_0_{arch}", ("-target", f"{triple}-macos.11.0", "-Wl,-s", itself), name
    )


PLATFORMS = {
    "linux-x86_64": _linux("x86_64", "x86_64-linux-gnu.2.17"),
    "linux-aarch64": _linux("aarch64", "aarch64-linux-gnu.2.17"),
    "linux-armv7": _linux("armv7l", "arm-linux-gnueabihf.2.17", "-mcpu=generic+v7a+vfp3d16"),
    # Raspberry Pi 1 and Zero: no manylinux there is. PyPI and piwheels take this tag.
    "linux-armv6": Platform(
        "linux_armv6l", ("-target", "arm-linux-gnueabihf.2.17", "-mcpu=arm1176jzf_s", *_ELF)
    ),
    "macos-x86_64": _mac("x86_64", "x86_64"),
    "macos-arm64": _mac("arm64", "aarch64"),
    # A library needs an entry that returns true, and without a C library there is none:
    # fc_abi returns a number that is not zero and does nothing else.
    "windows-x86_64": Platform(
        "win_amd64",
        ("-target", "x86_64-windows-gnu", *_ALONE, "-Wl,--entry=fc_abi", "-s"),
        "frugalfl_core.dll",
    ),
}

#: zig's flags for machines without an operating system.
BARE = {
    "wasm32": ("-target", "wasm32-freestanding"),
    "cortex-m0": ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0"),
    "cortex-m4": ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4"),
    "cortex-m55": ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m55"),
}
_MICRO = ("-c", "-Oz", "-ffunction-sections", "-fno-pic")


class Freestanding(NamedTuple):
    """What needs no operating system: zig's flags, and the C file: the core, or a part of it."""

    flags: tuple[str, ...]
    source: str = "all.c"


#: Outside Python, a linker takes what is called. Size before speed.
FREESTANDING = {
    "core.wasm": Freestanding((
        *BARE["wasm32"], "-Oz", "-nostdlib",
        "-Wl,--no-entry", "-Wl,--export-dynamic", "-Wl,-s",
    )),
    # Nothing but small integers: all else takes more memory than there is.
    "libfrugalfl_core-cortex-m0.a": Freestanding(
        (*BARE["cortex-m0"], *_MICRO, "-DFC_SMALL"), "small.c"
    ),
    "libfrugalfl_core-cortex-m4f.a": Freestanding((*BARE["cortex-m4"], *_MICRO)),
    "libfrugalfl_core-cortex-m55.a": Freestanding((*BARE["cortex-m55"], *_MICRO)),
}  # fmt: skip
