"""The exchange before the first tree: quantiles of everybody's features, and their classes."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from flwr.serverapp import Grid

from frugalfl import wire
from frugalfl.codec.buffer import Reader
from frugalfl.errors import FederationError, FrameError
from frugalfl.sizes import size_text
from frugalfl.text import printable
from frugalfl.trees.bins import Sketch
from frugalfl.trees.ways import SKETCH
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.exchange.ask import Question, ask, refuse
from frugalfl_server.exchange.cost import Cost
from frugalfl_server.exchange.failures import ClientFailedError, TaskFailedError
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.guard import Guard
from frugalfl_server.trees.sketches import Sketches, check_sketch

_log = logging.getLogger(__name__)


@dataclass
class Agreement:
    """What bins are agreed on with.

    Attributes:
        run: Name of the run.
        who: Who is who in the run.
        guard: What is known of the clients.
        features: Features of the server's rows.
        most_bins: Of a feature.
        cost: Of the exchange.
    """

    run: str
    who: Identities
    guard: Guard
    features: int
    most_bins: int
    cost: Cost

    def reach(self, grid: Grid, nodes: Sequence[int]) -> tuple[Grown, str]:
        """Ask for the quantiles of all features.

        Returns:
            A model of bins and base rate, and one line about them.

        Raises:
            FederationError: Nobody gave any, or there are rows of one class only.
            TaskError: Nobody could, each because of its own task.
        """
        self.cost.clients = len(nodes)
        told = self._told(grid, nodes)
        for node, why in told.judge(self.most_bins).items():
            self._complain(node, FrameError(why))
        for failure in [*self.cost.failures, *self.guard.newly_capped(told.sketches)]:
            _log.warning(failure)
        if not told.sketches:
            self._give_up()
        positives, rows = told.classes()
        if not 0 < positives < rows:
            raise FederationError(
                f"bins: {positives} of the {rows} training rows of all clients are of class 1; "
                "trees need rows of both classes"
            )
        self.cost.loss = _entropy(positives / rows)
        bins = told.bins(self.most_bins)
        return Grown(bins, math.log(positives / (rows - positives))), (
            f"bins: {sum(bins.counts)} of {len(bins)} features, {positives:,} of {rows:,} rows "
            f"are positive  up {size_text(self.cost.uplink_bytes)}"
        )

    def _told(self, grid: Grid, nodes: Sequence[int]) -> Sketches:
        """Ask; return what can be believed."""
        told = Sketches(self.guard)
        question = Question(self.run, 0, wire.TREES, wire.unpack_trees_reply, self.who, "bins: ")
        request = wire.TreesRequest(self.run, 0, -1, 0, b"", SKETCH)
        content = wire.pack_trees_request(request)
        answers = ask(grid, question, ((n, content) for n in nodes), self.cost, self._complain)
        for answer in sorted(answers, key=lambda answer: answer.node):
            try:
                told.take(answer.node, *self._opened(answer.reply.frame))
            except FrameError as error:
                refuse(answer, question, self.cost)
                self._complain(answer.node, error)
        return told

    def _opened(self, frame: bytes) -> tuple[int, Sketch]:
        """Return a client's positive rows, and its quantiles.

        Raises:
            FrameError: They cannot be read, or are of other features.
        """
        reader = Reader(frame)
        positives = reader.varint(1 << 31)
        sketch = Sketch.from_bytes(bytes(reader.rest()))
        check_sketch(positives, sketch)
        if len(sketch.values) != self.features:
            raise FrameError(
                f"its rows have {len(sketch.values)} features, the server's have {self.features}"
            )
        return positives, sketch

    def _complain(self, node: int, error: FrameError) -> None:
        """Note that a client's quantiles do not count, or not all of what it said."""
        said = printable(str(error))
        if isinstance(error, TaskFailedError):
            said = self.guard.task_failed(node, 0, said)
            self.cost.unfit += 1
        self.cost.failures.append(f"bins: node {node}: {said}")
        if not isinstance(error, ClientFailedError):
            self.cost.failures += map(str, self.guard.note_wrong(node, 0, said))

    def _give_up(self) -> None:
        if self.cost.unfit == self.cost.clients:
            self.guard.quarantine.unfit.check_round(0, self.cost.clients)
        raise FederationError(
            f"bins: none of {self.cost.clients} clients gave quantiles; "
            f"{next(iter(self.cost.failures), 'nobody answered')}"
        )


def _entropy(share: float) -> float:
    """Return the log loss of a model that knows the base rate only."""
    return -share * math.log(share) - (1 - share) * math.log(1 - share)
