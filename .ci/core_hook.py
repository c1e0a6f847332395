"""Compiles `shared/core` into the wheel: hatchling runs this while it builds one.

With the machine's C compiler; or else with ziglang, if the build environment has it or may fetch it
(`FRUGALFL_ZIG=1`: 90 MB); or else not at all, and Python computes the same bytes, slower. The core
knows nothing of Python, so that one wheel a platform serves all of them. `FRUGALFL_PLATFORM=NAME`
compiles for another machine, one of shared/core/platforms.py; that is `make wheels`.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

NOT_COMPILED = "no C compiler: Python computes the same bytes, slower (see `frugalfl doctor`)"


class CompiledCore(BuildHookInterface):  # type: ignore[misc]
    """Adds the library, and says in the wheel's name what machine it is for."""

    def dependencies(self) -> list[str]:
        """Return zig, if there is no other compiler and the build may fetch it."""
        if os.environ.get("FRUGALFL_ZIG") == "1" and not any(
            self._core("build").machine_compilers()
        ):
            return [self._core("platforms").ZIG]
        return []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile: beside the modules if they stay in the checkout, else into the wheel alone."""
        build = self._core("build")
        if version == "editable":
            if build.build(build.PACKAGE) is None:
                self.app.display_warning(NOT_COMPILED)
            return
        self._room = tempfile.TemporaryDirectory(prefix="frugalfl-core-")
        library, tag = self._compile(Path(self._room.name))
        if library is None:
            self.app.display_warning(NOT_COMPILED)
            return
        build_data["force_include"][str(library)] = f"frugalfl/native/{library.name}"
        build_data.update(tag=f"py3-none-{tag}", pure_python=False)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the compiled library; the wheel has it."""
        if version != "editable":
            self._room.cleanup()

    def _compile(self, folder: Path) -> tuple[Path | None, str]:
        """Return the library, if there is one, and the platform that pip knows it by."""
        build = self._core("build")
        if name := os.environ.get("FRUGALFL_PLATFORM"):
            platform = self._core("platforms").PLATFORMS[name]
            library = folder / platform.library
            flags = (*build.SHARED, *platform.flags)
            if complaint := build.compile_core(build.zig(), flags, library):
                raise SystemExit(complaint)
            return library, platform.tag
        return build.build(folder), _this_machine()

    def _core(self, name: str) -> ModuleType:
        path = Path(self.root) / "shared" / "core" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"frugalfl_core_{name}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def _this_machine() -> str:
    """Return the platform as it is: what is promised of others takes a check (`make wheels`)."""
    return next(
        tag.platform
        for tag in sys_tags()
        if "many" not in tag.platform and "musl" not in tag.platform
    )
