"""Federated calibration: the ranges that int8 scales are made of, from clients, not from rows.

The last phase of a run. Clients are brought to the final model, run their own rows through it in
float, and answer with two numbers for each tensor. The server merges them
(:mod:`frugalfl_server.phases.merge_ranges`) and keeps them beside the checkpoint that they belong
to (:mod:`frugalfl_server.phases.kept_ranges`).
"""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flwr.app import RecordDict
from flwr.serverapp import Grid

from frugalfl import wire
from frugalfl.activations import ranges_of
from frugalfl.errors import ExportError, FederationError, TaskError
from frugalfl.kinds import Scores, Scoring
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.sizes import size_text
from frugalfl.task import FloatArray, PublicData, Task
from frugalfl.text import printable
from frugalfl_server.cohort.energy_limits import Control
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.cohort.quarantine import SetAside
from frugalfl_server.cohort.training_programs import Programs, Sent
from frugalfl_server.exchange.ask import Answer, Question, ask
from frugalfl_server.exchange.clock import SimulatedLaps
from frugalfl_server.exchange.cost import Cost
from frugalfl_server.exchange.deadlines import RoundGrid
from frugalfl_server.export.ranges import probe_rows
from frugalfl_server.phases.merge_ranges import merge_ranges
from frugalfl_server.rounds.client_scores import ClientScores
from frugalfl_server.rounds.downlink import Downlink
from frugalfl_server.rounds.evaluate import evaluate
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.progress import scores_text
from frugalfl_server.run.records import RoundRecord
from frugalfl_server.run.summary import OURS

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)
#: The row of a run's tables that it is.
PHASE = "calibrate"
#: So many clients are asked where there are as many: ranges of 4 of 8 uneven clients cost up to
#: 2 dB of the outputs' signal-to-noise ratio, those of 10 of 40 up to 0.8 dB.
FEWEST_CLIENTS = 10
#: More rows than any client has.
MOST_SCORED = 1 << 31


def is_federated(settings: Settings, public: PublicData) -> bool:
    """Say whether clients give the ranges, and not the task's public rows.

    Raises:
        TaskError: Public rows are asked for, and the task gives none.
    """
    if settings.calibration == "public" and public.calibration is None:
        raise TaskError(
            'calibration is "public", but public_data() gives no calibration rows; add about 200 '
            'typical ones, or set calibration = "federated"'
        )
    if settings.calibration == "auto":
        return public.calibration is None
    return settings.calibration == "federated"


@dataclass
class Answers:
    """What clients said in one calibration, and what it cost.

    Attributes:
        cost: Bytes, joules, and who failed.
        ranges: By node, shape ``(tensors, 2)``.
        measured: What they measured of the model, if only they can.
    """

    cost: Cost
    ranges: dict[int, FloatArray] = field(default_factory=dict)
    measured: ClientScores = field(default_factory=ClientScores)


@dataclass
class Calibration:
    """The phase: what it needs of a run.

    Attributes:
        settings: Of the run.
        task: Of the run.
        run: Takes a row of its tables.
        grid: Flower's way to the clients.
        public: Rows that the server may see, or that stand for the clients'.
        scoring: What is measured.
        programs: For clients without PyTorch.
        who: Who is who in the run.
        aside: Who is not asked, because of garbage.
        control: Who may be asked, by joules and batteries.
        simulated: A simulation's clock.
        name: Of the federation.
        resumed: As of :class:`~frugalfl.wire.TrainRequest`.
    """

    settings: Settings
    task: Task
    run: RunDirectory
    grid: RoundGrid
    public: PublicData
    scoring: Scoring
    programs: Programs
    who: Identities
    aside: SetAside
    control: Control
    simulated: SimulatedLaps
    name: str
    resumed: tuple[int, ...] = ()

    def ranges_of(self, module: torch.nn.Module, downlink: Downlink, known: Scores) -> FloatArray:
        """Ask clients for the ranges of the final model: as many as a round has, 10 at least.

        Args:
            module: The model.
            downlink: Brings clients to it.
            known: What clients measured before, for the case that they do not now.

        Returns:
            Shape ``(tensors, 2)``, merged.

        Raises:
            FederationError: Not one client gave ranges that can be used.
        """
        number = self.run.rounds[-1].round + 1 if self.run.rounds else 1
        # Between rounds the view may lag behind, but ranges of another model are coarse scales.
        downlink.advance(read_parameters(module), fine=True)
        question = wire.CalibrateRequest(
            self.run.name, number, -1, -1, b"", self.settings.calibration_percentile,
            resumed=self.resumed,
        )  # fmt: skip
        chosen = self._chosen()
        self.programs.follow(module)
        answers = ask_clients(self.grid, downlink, chosen, question, self.programs, self.who)
        record = self._keep(answers, self._scores(module, answers, known))
        ranges = merged(answers, module, self.public.test.x.shape[1:])
        _log.info(
            f"calibrate: {len(ranges)} ranges from {len(answers.ranges)} clients"
            f"  up {size_text(record.uplink_bytes)}  down {size_text(record.downlink_bytes)}"
        )
        if not self.task.has_public_rows:
            _log.info(
                "the final model, on rows that clients held out:"
                f"{scores_text(record.accuracy, record.metrics)}"
            )
        return ranges

    def _chosen(self) -> list[int]:
        """Choose whom to ask."""
        everybody = sorted(self.grid.get_node_ids())
        # Without ranges there is no model: where nobody may be asked, somebody has to be.
        sound = [node for node in everybody if not self.aside.rests(node)]
        nodes = [node for node in sound if self.control.may_answer(node)] or sound or everybody
        wanted = max(self.settings.clients_per_round, FEWEST_CLIENTS)
        return random.sample(nodes, min(len(nodes), wanted))

    def _scores(self, module: torch.nn.Module, answers: Answers, known: Scores) -> Scores:
        if self.task.has_public_rows:
            return evaluate(module, self.public.test, self.scoring)
        return answers.measured.scores(self.scoring) or known

    def _keep(self, answers: Answers, scores: Scores) -> RoundRecord:
        """Add a row to the run's tables; energy records are kept of our own federation only."""
        cost = answers.cost
        cost.downlink_bytes += self.grid.again_bytes()
        record = cost.record(PHASE, scores, federation=self.name, simulated_s=self.simulated.lap())
        if self.name == OURS:
            self.run.add_round(record, cost.energy, cost.heads)
            self.who.keep(self.run)
        else:
            self.run.add_round(record)
        self.run.flush()
        return record


def ask_clients(
    grid: Grid,
    downlink: Downlink,
    nodes: Sequence[int],
    request: wire.CalibrateRequest,
    programs: Programs | None = None,
    identities: Identities | None = None,
) -> Answers:
    """Bring clients to the downlink's model and collect their ranges.

    A client that turns out to hold another version than was thought, or to lack a training program,
    is asked once more.

    Args:
        grid: Flower's way to the clients.
        downlink: Its current version is the model that the ranges are of.
        nodes: Clients to ask.
        request: What to ask; frames and versions are filled in for each client.
        programs: For clients without PyTorch; without it, there are none of them.
        identities: Who is who in the run.
    """
    answers = Answers(Cost(request.round, clients=len(nodes)))
    asking = _Asking(grid, downlink, request, programs, identities or Identities(), answers)
    still = asking.ask(asking.ask(nodes))
    answers.cost.failures += [f"node {node}: it does not keep what it is sent" for node in still]
    return answers


@dataclass
class _Asking:
    """The two exchanges of a calibration."""

    grid: Grid
    downlink: Downlink
    request: wire.CalibrateRequest
    programs: Programs | None
    who: Identities
    answers: Answers

    def ask(self, nodes: Sequence[int]) -> list[int]:
        """Ask once; return the nodes that lack what the frames build on."""
        question = Question(
            self.request.run, self.request.round, wire.CALIBRATE, wire.unpack_calibrate_reply,
            self.who,
        )  # fmt: skip
        found = ask(self.grid, question, self._requests(nodes), self.answers.cost)
        return [answer.node for answer in found if not self._takes(answer)]

    def _requests(self, nodes: Sequence[int]) -> Iterator[tuple[int, RecordDict]]:
        request, downlink = self.request, self.downlink
        for node, (base, frames) in downlink.bundles_for(nodes).items():
            try:
                program, file = (
                    Sent() if self.programs is None else self.programs.for_calibration(node)
                )
            except ExportError as error:
                self.answers.cost.failures.append(f"node {node}: {printable(str(error))}")
                continue
            own = wire.CalibrateRequest(
                request.run, request.round, base, downlink.version, frames, request.percentile,
                program, file, request.resumed,
            )  # fmt: skip
            yield node, wire.pack_calibrate_request(own)

    def _takes(self, answer: Answer[wire.CalibrateReply]) -> bool:
        """Take an answer in, if it could be given this time."""
        node, reply, answers = answer.node, answer.reply, self.answers
        self.downlink.confirm(node, reply.held)
        worked = reply.held == self.downlink.version and len(reply.ranges) > 0
        if self.programs is not None:
            self.programs.heard(node, reply, worked)
        if worked:
            answers.ranges[node] = reply.ranges
            answers.measured.note(reply.accuracy, reply.tally, reply.scored, MOST_SCORED)
        return worked


def merged(answers: Answers, module: torch.nn.Module, input_shape: tuple[int, ...]) -> FloatArray:
    """Merge what clients said of a module's tensors; name what was left out.

    Args:
        answers: What they said.
        module: The model that they ran.
        input_shape: Shape of one row as PyTorch takes it.

    Raises:
        FederationError: Not one client gave ranges that can be used.
    """
    tensors = len(ranges_of(copy.deepcopy(module), probe_rows(input_shape)[:1]))
    ranges, complaints = merge_ranges(answers.ranges, tensors)
    complaints = [*answers.cost.failures, *complaints]
    for complaint in complaints:
        _log.warning(complaint)
    if ranges is None:
        raise FederationError(
            f"calibration: none of {answers.cost.clients} clients gave ranges that can be used; "
            f"the first said: {next(iter(complaints), 'nobody answered')}"
        )
    return ranges
