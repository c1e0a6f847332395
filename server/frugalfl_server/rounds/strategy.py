"""Any Flower strategy, with frames outside and arrays inside: Flower's way to our rounds.

The clients of a round are chosen first, and the wrapped strategy is shown exactly those. The arrays
that it sends become frames, one bundle a client, and the frames that come back become arrays: of
each client, or if only the mean is needed, of the mean of all (docs/aggregation.md). An update is
added to the server's own model, not to the clients' view of it, so that what the downlink has not
yet delivered is not lost.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from frugalfl.blocks import Parameters
from frugalfl.errors import FederationError, UsageError
from frugalfl.settings import Settings
from frugalfl_server.cohort.clients import Clients
from frugalfl_server.cohort.quarantine import quarantine_of
from frugalfl_server.exchange.view import ExactGrid
from frugalfl_server.rounds.adaptive_steps import check_inside, name_of
from frugalfl_server.rounds.asks_no_evaluation import AsksNoEvaluation
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.flower_strategies import fewest_of
from frugalfl_server.rounds.inner_strategy import pick
from frugalfl_server.rounds.parts import Parts
from frugalfl_server.rounds.questions import readdress
from frugalfl_server.rounds.strategy_state import begin_of
from frugalfl_server.rounds.sums import Update, sums_for
from frugalfl_server.rounds.traffic import Traffic
from frugalfl_server.rounds.ways_down import way_down
from frugalfl_server.rounds.whole_arrays import WholeArrays, constants_in
from frugalfl_server.rounds.wrapped_settings import check_wrapped


class FrugalStrategy(AsksNoEvaluation):
    """Wraps a strategy of Flower's, or a user's own."""

    def __init__(
        self, build: Callable[[Parameters], Parts], whole: WholeArrays | None = None
    ) -> None:
        """Begin a phase.

        Args:
            build: Composes its rounds once the model is known.
            whole: Makes a model's arrays of what the rounds move; ``None``: nobody asks for them.
        """
        self._build = build
        self._whole = whole
        self._parts: Parts | None = None

    @classmethod
    def wrap(
        cls, strategy: Strategy, settings: Settings, clients: Clients | None = None
    ) -> FrugalStrategy:
        """Wrap a strategy for a ServerApp of one's own, whose clients run FrugalFL's ClientApp.

        ``strategy.start(grid, arrays, num_rounds)`` of the result is Flower's own. How many clients
        a round asks, codecs, budgets of bytes and bounds are the settings'.

        Args:
            strategy: It is shown the clients of a round, and picks from them.
            settings: ``Settings.of(context.run_config)``.
            clients: What is known of them; ``None``: all have PyTorch, and no energy limits.

        Raises:
            UsageError: It is no strategy, or there is a setting that it would not follow; in a
                subspace, it cannot begin anew.
            TaskError: In a subspace, the settings' task cannot be loaded.
        """
        if not isinstance(strategy, Strategy):
            raise UsageError(
                f"wrap() takes a strategy of flwr.serverapp, such as FedAvg(), not {strategy!r:.60}"
            )
        check_wrapped(settings, clients)
        known = clients or Clients(quarantine=quarantine_of(settings))
        run = f"{type(strategy).__name__}-{secrets.token_hex(4)}"
        within = settings.wire.subspace is not None
        constants = constants_in(settings) if within else frozenset()
        if within:
            check_inside(strategy)
        begin_of(strategy)

        def build(model: Parameters) -> Parts:
            downlink = way_down(model, settings, constants=constants)
            return Parts.of(settings, strategy, downlink, run, known)

        return cls(build, WholeArrays(settings) if within else None)

    @property
    def parts(self) -> Parts:
        """What the rounds are composed of; there before the first round has begun."""
        if self._parts is None:
            raise FederationError("no round has begun: the model that it begins with is not known")
        return self._parts

    @property
    def traffic(self) -> Traffic:
        """What the newest round has cost and brought."""
        return self.parts.traffic

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Choose the round's clients; send each the frames that it lacks.

        Raises:
            TrainingOver: Too few clients may be asked.
            FederationError: So it is, because others are in quarantine, or the strategy wants more.
        """
        parts = self._parts = self._parts or self._build(unpack(arrays))
        parts.begin(server_round, self._whole.enter(parts, arrays) if self._whole else arrays)
        parts.questions.forget_before(parts.traffic.round)
        cohort = parts.selection.choose(grid, parts.traffic.round)
        parts.note(cohort)
        picked = self._picked(server_round, config, grid, cohort.nodes)
        uplink = parts.steering.codec_for(len(picked))
        spares = parts.selection.spares(grid, [one.metadata.dst_node_id for one in picked])
        messages = parts.ask([*picked, *(readdress(picked[0], node) for node in spares)], uplink)
        parts.keep_to_downlink_budget(len(picked) + len(spares))
        return messages

    def _picked(
        self, server_round: int, config: ConfigRecord, grid: Grid, nodes: list[int]
    ) -> list[Message]:
        """Let the strategy say what it tells those that were chosen.

        Raises:
            FederationError: It would wait for more.
        """
        parts, least = self.parts, fewest_of(self.parts.strategy)
        if not nodes:
            return []
        if len(nodes) < least:
            raise FederationError(
                f"round {parts.traffic.round}: {len(nodes)} clients can be asked, and "
                f"{name_of(parts.strategy)} waits for {least}: set its min_train_nodes and "
                "min_available_nodes to 1, or raise clients-per-round"
            )
        drawn = random.getstate()  # the choice has been made: picking from it draws nothing
        # What a strategy remembers as the model has to be what the updates are added to.
        view = ExactGrid(grid, nodes)
        messages = pick(parts.strategy, server_round, pack(parts.model), config, view)
        picked = {message.metadata.dst_node_id: message for message in messages}
        random.setstate(drawn)
        return [picked[node] for node in nodes if node in picked]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check each frame, then let the strategy aggregate.

        A client that failed, sent a damaged frame or holds another version costs its own
        contribution only. If fewer contribute than the quorum, the model stays as it is.

        Raises:
            FederationError: Every client of the round failed, or nobody answers any more.
            TaskError: Every client of the round failed, each because of its own task.
        """
        parts = self.parts
        sums = sums_for(parts.strategy, parts.downlink.layout, parts.steering)
        # All answers are opened before the first is taken: how much a claim of rows counts depends
        # on everybody's.
        for update in [parts.intake.open(message) for message in replies]:
            if isinstance(update, Update):
                parts.intake.take(update, sums)
        arrays, metrics = parts.conclude(server_round, sums)
        if self._whole is not None and arrays is not None:
            arrays = self._whole.leave(parts, arrays)
        return arrays, metrics

    def summary(self) -> None:
        """Leave Flower's log without a summary: settings are in the run's directory."""
