"""What cannot be simulated, said before the first round instead of being ignored in all of them."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from flwr.clientapp import ClientApp

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl_client.app import app as client_app
from frugalfl_sim.world.choose_world import check_fleet

#: What our own apps are called in ``[tool.flwr.app.components]``.
_SERVER, _CLIENT = "frugalfl_server.app:app", "frugalfl_client.app:app"


def check_simulable(settings: Settings) -> None:
    """Refuse settings that speak of what simulated clients do not have.

    Raises:
        UsageError: There is such a one; the message names it.
    """
    if settings.energy.min_battery:
        raise UsageError(
            f"min-battery is {settings.energy.min_battery}, and simulated clients have no "
            "batteries of their own: add min-battery=0; frugalfl serve keeps to it"
        )
    check_fleet(settings)
    if settings.rounds.round_deadline and not settings.simulation.fleet:
        raise UsageError(
            f"round-deadline is {settings.rounds.round_deadline:g} s, and simulated clients train "
            "one after the other, none of them late: add round-deadline=0, or a fleet; frugalfl "
            "serve keeps to it"
        )
    buffered = settings.rounds.buffered
    if buffered is not None and buffered.updates > settings.simulation.clients:
        raise UsageError(
            f"asynchronous is {settings.rounds.asynchronous}, but there are only "
            f"{settings.simulation.clients} clients, each of which gives one update to a step of "
            "the model"
        )


def client_of(app: Path) -> ClientApp:
    """Return the ClientApp that an app names: ours, or one of its own; its folder is importable.

    Raises:
        UsageError: It names another ServerApp than ours, or no ClientApp.
    """
    project = tomllib.loads((app / "pyproject.toml").read_text(encoding="utf-8"))
    named = project["tool"]["flwr"]["app"].get("components", {})
    server, client = named.get("serverapp", _SERVER), named.get("clientapp", _CLIENT)
    if server != _SERVER:
        raise UsageError(
            f"{app} has a serverapp of its own, {server}, and frugalfl simulate runs {_SERVER} "
            "only: name that one, or simulate it with flwr run"
        )
    return client_app if client == _CLIENT else _imported(str(client))


def _imported(reference: str) -> ClientApp:
    module, _, attribute = reference.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the app's clientapp {reference} cannot be imported: {error}") from error
    if not isinstance(found, ClientApp):
        raise UsageError(f"the app's clientapp {reference} is no ClientApp")
    return found
