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
from frugalfl.activation_ranges import ranges_of
from frugalfl.errors import ExportError, FederationError
from frugalfl.modules import read_parameters
from frugalfl.sizes import size_text
from frugalfl.task import FloatArray
from frugalfl.text import printable
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.cohort.training_programs import Sent, TrainingPrograms
from frugalfl_server.exchange.ask import Answer, Question, ask
from frugalfl_server.exchange.cost import Cost
from frugalfl_server.export.ranges import probe_rows
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.merge_ranges import merge_ranges
from frugalfl_server.rounds.client_scores import ClientScores
from frugalfl_server.rounds.evaluate import evaluate
from frugalfl_server.rounds.way_down import WayDown
from frugalfl_server.run.progress import scores_text
from frugalfl_server.run.records import RoundRecord

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


def calibrate(federation: Federation, module: torch.nn.Module) -> FloatArray:
    """Ask clients for the ranges of the final model: as many as a round has, 10 at least.

    Returns:
        Shape ``(tensors, 2)``, merged.

    Raises:
        FederationError: Not one client gave ranges that can be used.
    """
    settings, clients = federation.settings, federation.clients
    parameters = read_parameters(module)
    number = federation.last_round + 1
    downlink = federation.downlink_from(parameters, number)
    # Between rounds the view may lag behind, but ranges of another model are coarse scales.
    downlink.come_to(parameters)
    chosen = _choose(federation)
    question = wire.CalibrateRequest(
        federation.run.name, number, -1, -1, b"", settings.export.calibration_percentile,
        resumed=clients.resumed,
    )  # fmt: skip
    federation.programs.follow(module)
    answers = ask_clients(
        federation.grid, downlink, chosen, question, federation.programs, clients.identities
    )
    record = _add_row(federation, module, answers)
    ranges = merged(answers, module, federation.public.test.x.shape[1:])
    _log.info(
        f"calibrate: {len(ranges)} ranges from {len(answers.ranges)} clients"
        f"  up {size_text(record.uplink_bytes)}  down {size_text(record.downlink_bytes)}"
    )
    if not federation.task.has_public_rows:
        _log.info(
            "the final model, on rows that clients held out:"
            f"{scores_text(record.accuracy, record.metrics)}"
        )
    return ranges


def _choose(federation: Federation) -> list[int]:
    """Choose whom to ask; without ranges there is no model, so somebody has to be asked."""
    quarantine, limits = federation.clients.quarantine, federation.limits
    everybody = sorted(federation.grid.get_node_ids())
    sound = [node for node in everybody if not quarantine.rests(node)]
    nodes = [node for node in sound if limits.may_answer(node)] or sound or everybody
    wanted = max(federation.settings.rounds.clients_per_round, FEWEST_CLIENTS)
    return random.sample(nodes, min(len(nodes), wanted))


def _add_row(federation: Federation, module: torch.nn.Module, answers: Answers) -> RoundRecord:
    """Add the exchange to the run's tables, with the scores of the model."""
    if federation.task.has_public_rows:
        scores = evaluate(module, federation.public.test, federation.scoring)
    else:
        measured = answers.measured.scores(federation.scoring)
        scores = measured or federation.clients_scores
    cost = answers.cost
    cost.downlink_bytes += federation.grid.again_bytes()
    record = cost.record(PHASE, scores, (), federation.sink.name, federation.simulated.lap())
    federation.sink.add_round(record, cost.energy, cost.heads)
    federation.clients.identities.write(federation.sink)
    federation.run.flush()
    return record


def ask_clients(
    grid: Grid,
    downlink: WayDown,
    nodes: Sequence[int],
    request: wire.CalibrateRequest,
    programs: TrainingPrograms | None = None,
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
    downlink: WayDown
    request: wire.CalibrateRequest
    programs: TrainingPrograms | None
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
            self.programs.note_reply(node, reply, worked)
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
