"""Federated calibration: the ranges that int8 scales are made of, from clients, not from rows.

The last phase of a run. Clients are brought to the final model, run their own rows through it in
float, and answer with two numbers for each tensor. The server merges them
(:mod:`frugalfl_server.phases.merge_ranges`) and keeps them beside the checkpoint that they belong
to.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from flwr.app import Message
from flwr.serverapp import Grid

from frugalfl import wire
from frugalfl.activations import ranges_of
from frugalfl.blocks import Parameters
from frugalfl.energy import EnergyRecord, spent
from frugalfl.errors import ExportError, FederationError, FrameError, RunError, TaskError
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.sizes import size_text
from frugalfl.task import FloatArray, PublicData
from frugalfl.text import printable
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.cohort.training_programs import Programs, Sent
from frugalfl_server.export.ranges import probe_rows
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.merge_ranges import merge_ranges
from frugalfl_server.rounds.client_scores import ClientScores
from frugalfl_server.rounds.downlink import Downlink
from frugalfl_server.rounds.evaluate import evaluate
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.file_times import short_path
from frugalfl_server.run.progress import scores_text
from frugalfl_server.run.records import HeadRecord, RoundRecord

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

#: Where a run keeps the merged ranges.
FILE = "checkpoints/ranges.json"
#: So many clients are asked where there are as many: ranges of 4 of 8 uneven clients cost up to
#: 2 dB of the outputs' signal-to-noise ratio, those of 10 of 40 up to 0.8 dB.
FEWEST_CLIENTS = 10
#: More rows than any client has.
MOST_SCORED = 1 << 31
#: As long as a training round may take in Flower's own strategies (s).
_TIMEOUT_S = 3600.0


@dataclass
class Answers:
    """What clients said in one calibration, and what it cost.

    Attributes:
        started_s: When it began (s, monotonic clock).
        clients: Clients that were asked.
        ranges: By node, shape ``(tensors, 2)``.
        uplink_bytes: Length of all ranges (B).
        downlink_bytes: Length of all frames and training programs (B).
        program_bytes: Of these, training programs (B).
        energy: Energy records of the clients.
        heads: Where their ledgers ended.
        complaints: One line for each thing that went wrong.
        measured: What they measured of the model, if only they can.
    """

    started_s: float = field(default_factory=time.monotonic)
    clients: int = 0
    ranges: dict[int, FloatArray] = field(default_factory=dict)
    uplink_bytes: int = 0
    downlink_bytes: int = 0
    program_bytes: int = 0
    energy: list[EnergyRecord] = field(default_factory=list)
    heads: list[HeadRecord] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    measured: ClientScores = field(default_factory=ClientScores)


def is_federated(settings: Settings, public: PublicData) -> bool:
    """Say whether clients give the ranges, and not the task's public rows.

    Raises:
        TaskError: Public rows are asked for, and the task gives none.
    """
    if settings.export.calibration == "public" and public.calibration is None:
        raise TaskError(
            'calibration is "public", but public_data() gives no calibration rows; add about 200 '
            'typical ones, or set calibration = "federated"'
        )
    if settings.export.calibration == "auto":
        return public.calibration is None
    return settings.export.calibration == "federated"


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
    answers = Answers(clients=len(nodes))
    who = identities or Identities()
    again = _ask(grid, downlink, nodes, request, programs, answers, who)
    still = _ask(grid, downlink, again, request, programs, answers, who)
    answers.complaints += [f"node {node}: it does not keep what it is sent" for node in still]
    return answers


def _ask(
    grid: Grid,
    downlink: Downlink,
    nodes: Sequence[int],
    request: wire.CalibrateRequest,
    programs: Programs | None,
    answers: Answers,
    who: Identities,
) -> list[int]:
    """Ask once; return the nodes that lack what the frames build on."""
    messages = []
    for node, (base, frames) in downlink.bundles_for(nodes).items():
        try:
            program, file = Sent() if programs is None else programs.for_calibration(node)
        except ExportError as error:
            answers.complaints.append(f"node {node}: {error}")
            continue
        answers.downlink_bytes += len(frames) + len(file)
        answers.program_bytes += len(file)
        own = wire.CalibrateRequest(
            request.run, request.round, base, downlink.version, frames, request.percentile,
            program, file, request.resumed,
        )  # fmt: skip
        messages.append(
            Message(
                wire.pack_calibrate_request(own),
                dst_node_id=node,
                message_type=wire.CALIBRATE,
                group_id=str(request.round),
            )
        )
    replies = grid.send_and_receive(messages, timeout=_TIMEOUT_S) if messages else ()
    return [
        node
        for node in _received(replies, request, answers, downlink, programs, who)
        if node is not None
    ]


def _received(
    replies: Iterable[Message],
    request: wire.CalibrateRequest,
    answers: Answers,
    downlink: Downlink,
    programs: Programs | None,
    who: Identities,
) -> Iterable[int]:
    """Take answers in; yield the nodes that could not give one this time."""
    for message in replies:
        node = message.metadata.src_node_id
        try:
            if message.has_error():
                raise FrameError(message.error.reason)
            reply = wire.unpack_calibrate_reply(message)
            told = who.check(
                node, reply.records, reply.head, request.run, request.round, answers.started_s
            )
            answers.complaints += who.bind(told)
        except FrameError as error:
            answers.complaints.append(f"node {node}: {printable(str(error))}")
            continue
        downlink.confirm(node, reply.held)
        answers.energy += told.records
        answers.heads += told.heads
        answers.uplink_bytes += reply.ranges.nbytes
        if reply.notice:
            answers.complaints.append(f"node {node}: {reply.notice}")
        worked = reply.held == downlink.version and len(reply.ranges) > 0
        if programs is not None:
            programs.heard(node, reply, worked)
        if worked:
            answers.ranges[node] = reply.ranges
            answers.measured.note(reply.accuracy, reply.tally, reply.scored, MOST_SCORED)
        else:
            yield node


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
    downlink.advance(parameters, fine=True)
    everybody = sorted(federation.grid.get_node_ids())
    # Without ranges there is no model: if nobody may be asked, somebody has to be.
    sound = [node for node in everybody if not clients.quarantine.rests(node)]
    nodes = [node for node in sound if federation.limits.may_answer(node)] or sound or everybody
    wanted = max(settings.rounds.clients_per_round, FEWEST_CLIENTS)
    chosen = random.sample(nodes, min(len(nodes), wanted))
    question = wire.CalibrateRequest(
        federation.run.name, number, -1, -1, b"", settings.export.calibration_percentile,
        resumed=clients.resumed,
    )  # fmt: skip
    federation.programs.follow(module)
    answers = ask_clients(
        federation.grid, downlink, chosen, question, federation.programs, clients.identities
    )
    record = _record(federation, number, module, answers)
    federation.sink.add_round(record, answers.energy, answers.heads)
    clients.identities.keep(federation.sink)
    federation.run.flush()
    ranges = merged(answers, module, federation.public.test.x.shape[1:], _log.warning)
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


def _record(
    federation: Federation, number: int, module: torch.nn.Module, answers: Answers
) -> RoundRecord:
    energy = spent(answers.energy)
    if federation.task.has_public_rows:
        scores = evaluate(module, federation.public.test, federation.scoring)
    else:
        measured = answers.measured.scores(federation.scoring)
        scores = measured or federation.clients_scores
    return RoundRecord(
        federation=federation.sink.name, phase="calibrate", round=number, accuracy=scores.accuracy,
        loss=None, clients=answers.clients, updates=0, uplink_bytes=answers.uplink_bytes,
        downlink_bytes=answers.downlink_bytes + federation.grid.again_bytes(),
        energy_measured_j=energy.measured_j, energy_estimated_j=energy.estimated_j,
        wall_s=time.monotonic() - answers.started_s, program_bytes=answers.program_bytes,
        simulated_s=federation.simulated.lap(), metrics=scores.metrics,
    )  # fmt: skip


def merged(answers: Answers, module: torch.nn.Module, input_shape: tuple[int, ...],
           on_failure: Callable[[str], None]) -> FloatArray:  # fmt: skip
    """Merge what clients said of a module's tensors.

    Args:
        answers: What they said.
        module: The model that they ran.
        input_shape: Shape of one row as PyTorch takes it.
        on_failure: Told one line about everything that was left out.

    Raises:
        FederationError: Not one client gave ranges that can be used.
    """
    tensors = len(ranges_of(copy.deepcopy(module), probe_rows(input_shape)[:1]))
    ranges, complaints = merge_ranges(answers.ranges, tensors)
    for complaint in [*answers.complaints, *complaints]:
        on_failure(complaint)
    if ranges is None:
        first = next(iter([*answers.complaints, *complaints]), "nobody answered")
        raise FederationError(
            f"calibration: none of {answers.clients} clients gave ranges that can be used; the "
            f"first said: {first}"
        )
    return ranges


def keep_ranges(run: RunDirectory, parameters: Parameters, ranges: FloatArray) -> None:
    """Write merged ranges into a run, with the fingerprint of the model that they belong to.

    Args:
        run: The run.
        parameters: The model.
        ranges: Shape ``(tensors, 2)``.
    """
    known = {"model": fingerprint(parameters), "ranges": ranges.tolist()}
    run.write_json(FILE, known)


def kept_ranges(run: RunDirectory, parameters: Parameters) -> FloatArray:
    """Read the merged ranges of a run's model.

    Raises:
        ExportError: The run has none, or those of another model.
        RunError: The file is damaged.
    """
    if not (run.path / FILE).is_file():
        raise ExportError(
            f"{run.path} has no calibration ranges: clients are asked for them after the last "
            "round, unless export is false; run it to its end with --resume, or give typical rows: "
            f"frugalfl export {short_path(run.path)} --calibration rows.npz"
        )
    known = run.read_json(FILE)
    try:
        ranges: FloatArray = np.array(known["ranges"], np.float32).reshape(-1, 2)
        model = known["model"]
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(f"{run.path / FILE} holds no ranges; it is damaged") from error
    if model != fingerprint(parameters):
        raise ExportError(
            f"the calibration ranges in {run.path / FILE} are of another model than the newest "
            "checkpoint; run it to its end with --resume, or give typical rows: frugalfl export "
            f"{short_path(run.path)} --calibration rows.npz"
        )
    return ranges


def fingerprint(parameters: Parameters) -> str:
    """Return a digest of a model: names, shapes and bits, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(parameters):
        digest.update(repr((name, parameters[name].shape)).encode())
        digest.update(np.ascontiguousarray(parameters[name], "<f4").tobytes())
    return digest.hexdigest()
