"""The platforms that wheels are made for, and the one version of zig that cross-compiles them.

Linux and Windows link no libc: what a compiler wants besides (memset, 64-bit division on 32 bits)
comes from zig's own runtime, compiled in. So one library serves glibc and musl alike, and no
Windows C library has to be built first. Only Apple has none but its own.
"""

from __future__ import annotations

from typing import NamedTuple

#: From PyPI: `make wheels` and the build hook take this one.
ZIG = "ziglang==0.17.1"
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
    flags = ("-target", f"{triple}-macos.11.0", "-Wl,-s")
    return Platform(f"macosx_11_0_{arch}", flags, "libfrugalfl_core.dylib")


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
