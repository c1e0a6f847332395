"""The newest runs that a node works for: Flower's state of each, its settings and its app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flwr.app import Context, RecordDict

from frugalfl.text import printable
from frugalfl_client.approvals import APP_HASH
from frugalfl_client.node import flower
from frugalfl_client.node.app_error import AppError
from frugalfl_client.node.apps import App, Apps
from frugalfl_client.node.flower import Fleet, Run

#: So many are kept in memory.
_MOST = 4


class Runs:
    """Knows the newest runs, and asks the SuperLink about others."""

    def __init__(
        self, fleet: Fleet, apps: Apps, config: dict[str, Any], say: Callable[[str], None]
    ) -> None:
        """Begin without any.

        Args:
            fleet: The calls to the SuperLink.
            apps: Where apps come from.
            config: Flower's node config.
            say: Takes one line for the person who looks on.
        """
        self._fleet, self._apps, self._config, self._say = fleet, apps, config, say
        self._known: dict[int, tuple[Run, Context]] = {}

    def of(self, node: int, run_id: int, what: str) -> tuple[Context, App]:
        """Return a run's context and its app.

        Args:
            node: Id of the node.
            run_id: Id of the run.
            what: What it is about, for the line.

        Raises:
            RunOverError: The run has ended.
            UnreachableError: The line broke.
            AppError: The app is not run here, or does not go with the run.
        """
        known = self._known.get(run_id)
        run = known[0] if known else self._fleet.run(node, run_id)
        app = self._apps.of(run, lambda: self._fleet.fab(node, run_id, run.fab_hash))
        context = known[1] if known else self._begin(node, run, app, what)
        self._known.pop(run_id, None)
        self._known[run_id] = (run, context)
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        return context, app

    def _begin(self, node: int, run: Run, app: App, what: str) -> Context:
        self._say(f"{what}: {printable(f'{run.fab_id} {run.fab_version}')}")
        try:
            settings = flower.settings_of(app.defaults, run)
        except ValueError as error:
            raise AppError(f"the app does not have a setting of the run: {error}") from error
        return Context(
            run_id=run.run_id, node_id=node, node_config=self._config | {APP_HASH: app.hash},
            state=RecordDict(), run_config=settings, series_id=run.series_id,
        )  # fmt: skip
