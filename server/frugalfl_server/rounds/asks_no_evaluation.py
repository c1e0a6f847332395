"""What all strategies of this house have in common: the server measures, and no client is asked."""

from __future__ import annotations

from collections.abc import Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy


class AsksNoEvaluation(Strategy):
    """A strategy of Flower's without the half of a round in which clients evaluate.

    Flower's class has both halves abstract: this is the one place in which ours inherit.
    """

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask no client: a model is measured on the server's own rows, or in its own exchange."""
        return []

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Nothing was asked, nothing is aggregated."""
        return None
