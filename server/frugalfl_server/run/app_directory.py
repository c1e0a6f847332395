"""A Flower app directory: its config, and its task made importable."""

from __future__ import annotations

import logging
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frugalfl.calls import unknown
from frugalfl.errors import UsageError
from frugalfl.settings import OWN, Settings, takes_text


def read_settings(app: Path, changes: Sequence[str] = ()) -> Settings:
    """Read ``[tool.flwr.app.config]`` of an app, with ``key=value`` changes on top.

    Raises:
        UsageError: No such folder, not a Flower app, an unknown key, or a wrong value.
    """
    path = app / "pyproject.toml"
    if not app.is_dir():
        raise UsageError(
            f"there is no folder {str(app)!r}; name that of a Flower app "
            "(`frugalfl new digits` makes one)"
        )
    if not path.is_file():
        raise UsageError(
            f"{str(app)!r} has no pyproject.toml; `frugalfl new digits` makes an app to begin with"
        )
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    section = project.get("tool", {}).get("flwr", {}).get("app", {})
    if not section:
        raise UsageError(f"{path} has no [tool.flwr.app] section; it is not a Flower app")
    return _changed(_flat(section.get("config", {})), changes)


def apply_changes(settings: Settings, changes: Sequence[str]) -> Settings:
    """Return settings with ``key=value`` changes on top.

    Raises:
        UsageError: An unknown key, or a wrong value.
    """
    return _changed(settings.as_config(), changes)


def _changed(config: Mapping[str, Any], changes: Sequence[str]) -> Settings:
    """Return the settings of a config with changes on top.

    Raises:
        UsageError: One is of a key that neither we nor the app have.
    """
    made = dict(map(_change, changes))
    for key in made:
        if key.startswith(OWN) and key not in config:
            raise unknown("key of the app's own", key, [one for one in config if OWN in one])
    return Settings.of({**config, **made})


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join nested tables with dots, as Flower does."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat


def _change(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} is not of the form key=value")
    try:
        plain = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value  # a bare word or a codec text needs no quotes
    return key, value if takes_text(key) and not isinstance(plain, str) else plain


@contextmanager
def importable(app: Path) -> Iterator[None]:
    """Put the app's folder first on ``sys.path``, as Flower does, and forget its modules after."""
    folder = str(app.resolve())
    before = set(sys.modules)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).is_relative_to(folder):
                del sys.modules[name]


@contextmanager
def quiet_flower() -> Iterator[None]:
    """Keep Flower's own log to errors: the progress lines say what it would."""
    logger = logging.getLogger("flwr")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
