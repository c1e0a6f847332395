"""Rows that the server may see; or, if the task has none, rows that stand for the clients'.

Without public rows the server asks its first clients what their rows look like. Drawn rows of the
same form then do wherever only the form counts: what kind of task it is, pruning, compiling. They
are never measured on: clients hold rows out, and send sums (:mod:`frugalfl.kinds`).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from flwr.serverapp import Grid

from frugalfl import wire
from frugalfl.errors import FrameError, TaskError, UsageError
from frugalfl.kinds import Scoring
from frugalfl.metrics import words
from frugalfl.row_facts import RowFacts
from frugalfl.settings import Settings
from frugalfl.task import PublicData, Task
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.exchange.ask import Question, ask, refuse
from frugalfl_server.exchange.cost import Cost
from frugalfl_server.phases.share_counters import wait_for
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.records import RoundRecord
from frugalfl_server.run.sealed import reading

_log = logging.getLogger(__name__)
#: Where a run keeps what its clients' rows look like.
FILE = "row_facts.json"
PHASE = "facts"


def public_of(task: Task, settings: Settings, run: RunDirectory) -> PublicData:
    """Return a task's public rows, or those that stand for the clients' in a run that asked.

    Raises:
        TaskError: The rows cannot be used.
        RunError: The run has not asked, or what it knows is damaged.
    """
    if task.has_public_rows:
        return task.public_rows(settings.train.shares_counters)
    known = run.read_json(FILE)
    with reading(run.path / FILE):
        return PublicData(RowFacts.from_bytes(known["facts"].encode()).stand_in())


def ask_for_facts(
    task: Task, settings: Settings, run: RunDirectory, grid: Grid, who: Identities
) -> tuple[RoundRecord, Cost] | None:
    """Ask the clients of a first round what their rows look like, unless that is known already.

    Args:
        task: It may have public rows; then nobody is asked.
        settings: Of the run.
        run: Takes :data:`FILE`.
        grid: Flower's way to the clients.
        who: Who is who in the run.

    Returns:
        What it cost, for the run's tables; ``None``: nobody was asked.

    Raises:
        TaskError: No client has rows, each because of its own task.
        FederationError: No client answers.
        UsageError: A setting needs rows of the server's own.
    """
    if task.has_public_rows or (run.path / FILE).exists():
        return None
    check_counters(task, settings)
    _log.info(
        "no public rows: clients hold out one row in five, and measure each model they are sent"
    )
    nodes = wait_for(grid, settings.rounds.clients_per_round)[: settings.rounds.clients_per_round]
    cost = Cost(0, clients=len(nodes), loss=0.0)
    question = Question(run.name, 0, wire.FACTS, wire.unpack_facts_reply, who, "rows: ")
    told = _facts_of(grid, question, nodes, cost)
    for failure in cost.failures:
        _log.warning(f"rows: {failure}")
    if not told:
        raise cost.why_nobody("rows", "shapes")
    run.write_json(FILE, {"facts": _agreed(told).to_bytes().decode()})
    return cost.record(PHASE), cost


def check_counters(task: Task, settings: Settings) -> None:
    """Refuse shared counters without rows that show what they bring.

    Raises:
        UsageError: So it is.
    """
    if settings.train.shares_counters and not task.has_public_rows:
        raise UsageError(
            'counters = "shared" needs rows of the server\'s own; give the task a public_data()'
        )


def _facts_of(
    grid: Grid, question: Question[wire.FactsReply], nodes: Sequence[int], cost: Cost
) -> Counter[RowFacts]:
    """Ask what rows look like; return how many clients say the same."""
    told = Counter[RowFacts]()
    request = wire.pack_facts_request(wire.FactsRequest(question.run))
    for answer in ask(grid, question, ((node, request) for node in nodes), cost):
        try:
            told[RowFacts.from_bytes(answer.reply.facts)] += 1
        except FrameError as error:
            refuse(answer, question, cost)
            cost.fail(answer.node, error)
    return told


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


def without_rows(scoring: Scoring) -> Scoring:
    """Return what can be measured where only sums travel: not the task's own metrics."""
    if scoring.own:
        names = ", ".join(words(name) for name in scoring.own)
        _log.warning(f"without public rows the task's own metrics are not measured: {names}")
    return replace(scoring, own={})


def _agreed(told: Counter[RowFacts]) -> RowFacts:
    """Return the form that most clients have; what tells the kind must be so of all of these."""
    forms = Counter[tuple[object, ...]]()
    for one, count in told.items():
        forms[one.inputs, one.targets, one.whole] += count
    form = forms.most_common(1)[0][0]
    same = [one for one in told if (one.inputs, one.targets, one.whole) == form]
    labels, copies = (all(getattr(one, name) for one in same) for name in ("labels", "copies"))
    return replace(same[0], labels=labels, copies=copies)
