"""What an app's project file and a run say of settings, read as Flower reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click import ClickException
from flwr.app.user_config import UserConfig
from flwr.common.config import flatten_dict, fuse_dicts, get_project_config, parse_config_args
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from frugalfl.errors import UsageError
from frugalfl.settings import places


def about_app(folder: Path) -> tuple[str, str, str, dict[str, Any]]:
    """Return an app folder's name, version, reference of its ClientApp, and default settings.

    Raises:
        ValueError: Its ``pyproject.toml`` is no Flower app's.
        FileNotFoundError: It has none.
    """
    project = get_project_config(folder)
    app = project["tool"]["flwr"]["app"]
    name = f"{app['publisher']}/{project['project']['name']}"
    version, client = project["project"]["version"], app["components"]["clientapp"]
    return name, version, client, app.get("config", {})


def settings_of(defaults: dict[str, Any], run: Run) -> UserConfig:
    """Return an app's settings with those that the run sets otherwise.

    A server names all of FrugalFL's settings, and the app in an owner's folder has those that its
    author wrote.

    Raises:
        ValueError: The run sets one that neither the app nor FrugalFL has.
    """
    own, known = flatten_dict(defaults), places()
    ours = {key: value for key, value in run.override_config.items() if key in known}
    return fuse_dicts(ours | own, run.override_config)


def node_settings(text: str) -> dict[str, Any]:
    """Read a node config, ``key=value`` pairs, as ``flower-supernode`` does.

    Raises:
        UsageError: It is not of that form.
    """
    try:
        return dict(parse_config_args([text]))
    except ClickException as error:
        raise UsageError(
            f"--node-config is {text!r}; write \"partition-id=0 num-partitions=2 link='lte'\""
        ) from error


def identify(run: int, node: int) -> None:
    """Say for whom this process works now; Flower's messages take it from there."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run, node, 1
