"""Finds what the components bring by their entry points, and loads only what was asked for.

Server, client and simulations build on this package, which must not import them: so they say in
``pyproject.toml`` what they have.
"""

from __future__ import annotations

from importlib import metadata

from frugalfl.errors import MissingExtraError

#: Groups of entry points: commands of ``frugalfl``, and functions of ``import frugalfl``.
VERBS, FUNCTIONS = "frugalfl.verbs", "frugalfl.functions"


def entry_points(group: str) -> dict[str, metadata.EntryPoint]:
    """Return what is installed of a group, by name."""
    return {entry.name: entry for entry in metadata.entry_points(group=group)}


def load_from_component(name: str) -> object:
    """Load a function or class of the group :data:`FUNCTIONS`.

    Raises:
        MissingExtraError: The packages that it needs are not installed.
        AttributeError: This installation is of an older FrugalFL, without it.
    """
    entry = entry_points(FUNCTIONS).get(name)
    if entry is None:
        raise AttributeError(f"frugalfl has no {name!r} here; install it anew")
    try:
        loaded: object = entry.load()
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"frugalfl.{name}", extra_of(entry.module)) from error
    return loaded


def extra_of(module: str) -> str:
    """Return the extra that the packages of a component are in.

    >>> extra_of("frugalfl_server.cli.serve"), extra_of("frugalfl_client.app")
    ('server', 'client')
    """
    component = module.partition(".")[0]
    return {"frugalfl_server": "server", "frugalfl_sim": "sim"}.get(component, "client")
