"""One liar of five, about trees and about counters: whole runs, and what the others still reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Context, Message

from attacking.lying_about_trees import (
    MOST,
    Liar,
    Lies,
    claiming,
    far_away,
    heavy,
    leaves,
    split_elsewhere,
    sums,
)
from attacking.outcome import Outcome
from attacking.rare import BAD_PLACES, LIAR, PERIODS, TEST_ROWS, made
from frugalfl import wire
from frugalfl.errors import FrugalFLError
from frugalfl.metrics import average_precision
from frugalfl.settings import Settings
from frugalfl.sums import Table, pack_tables, unpack_tables
from frugalfl.task import load_task
from frugalfl.trees import Bins, Forest, decode_forest
from frugalfl.trees.parcel import Parcel
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_client.kept_totals import totals_of
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.trees.federation import grow
from frugalfl_sim.apps import quiet_flower
from frugalfl_sim.engine.grid import InProcessGrid

#: How much average precision one liar of five may cost.
MOST_LOST = 0.02
_LIARS_NODE = 1000 + LIAR
#: What a row says of a lie that no line tells of.
_UNTOLD = "not told from an honest client's, and costs no more than 0.02"
_GROWTH = "rate 0.3, leaves 7, rows 10, bins 32"
WAYS: Mapping[str, Mapping[str, Any]] = {
    "bagging": {"trees": f"bagging(6, {_GROWTH})", "rounds": 3},
    "refit": {"trees": f"refit(6, {_GROWTH})", "rounds": 3},
    "histogram": {"trees": f"histogram(12, {_GROWTH})"},
}
App = Callable[[Message, Context], Message]


@dataclass(frozen=True)
class Attack:
    """A lie, and the task with which it is told.

    Attributes:
        lies: What is changed on the wire.
        task: Name of the task in :mod:`attacking.rare`.
        twice: Whether the liar sends each of its answers twice.
    """

    lies: Lies
    task: str = "task"
    twice: bool = False


def _claimed_nine_times() -> Lies:
    def of_sums(honest: Any, _: int) -> Any:
        return type(honest)(9 * honest.gradients, 9 * honest.hessians)

    def of_bins(honest: Any, *_: Any) -> Any:
        return type(honest)(9 * honest.rows, 9 * honest.totals, 9 * honest.cells)

    return Lies(
        sketch=lambda positives, one: (9 * positives, replace(one, rows=9 * one.rows)),
        rows=lambda rows: 9 * rows, sums=of_sums, histograms=of_bins,
    )  # fmt: skip


#: Lies of every way.
EVERYWHERE: dict[str, Attack] = {
    "labels inverted": Attack(Lies(), "inverted"),
    "labels inverted, 9 times the rows": Attack(_claimed_nine_times(), "inverted"),
    "9 times the rows, honest otherwise": Attack(_claimed_nine_times()),
    "2^31 rows claimed": Attack(claiming(MOST)),
    "2^31 rows claimed, labels inverted": Attack(claiming(MOST), "inverted"),
    "2^31 rows claimed after the sketch": Attack(Lies(rows=lambda _: MOST)),
    "all rows positive": Attack(Lies(sketch=lambda _, one: (one.rows, one))),
    "quantiles far away": Attack(Lies(sketch=far_away)),
    "quantiles that stand for more": Attack(Lies(sketch=heavy)),
    "damaged frames": Attack(Lies(frame=lambda frame: frame[:-1] + bytes([frame[-1] ^ 1]))),
    "empty frames": Attack(Lies(frame=lambda _: b"")),
    "it cannot, each time": Attack(Lies(error="no battery")),
    "silence": Attack(Lies(error="")),
    "each answer twice": Attack(Lies(), twice=True),
}
_OF_TREES: dict[str, Attack] = {
    "leaves of 1000": Attack(leaves(lambda v: np.full_like(v, 1000))),
    "leaves flipped": Attack(leaves(lambda v: -v)),
    "leaves flipped from step 2": Attack(leaves(lambda v: -v, 2)),
    "leaves times 100": Attack(leaves(lambda v: np.clip(100 * v, -1000, 1000))),
    "leaves NaN": Attack(leaves(lambda v: np.full_like(v, np.nan))),
    "leaves all at the largest step": Attack(leaves(lambda v: np.full_like(v, 3))),
    "leaves all 0": Attack(leaves(lambda v: 0 * v)),
    "no trees": Attack(Lies(forest=lambda *_: Forest())),
    "a base of 1000": Attack(Lies(forest=lambda forest, _: Forest(1000.0, forest.trees))),
    "bins nobody agreed on": Attack(Lies(forest=split_elsewhere)),
}
_OF_SUMS: dict[str, Attack] = {
    "gradients flipped": Attack(sums(lambda v: -v, hessians=False)),
    "gradients flipped from step 2": Attack(sums(lambda v: -v, hessians=False, since=2)),
    "sums times 100": Attack(sums(lambda v: 100 * v)),
    "sums all 0": Attack(sums(lambda v: 0 * v)),
    "sums constant": Attack(sums(lambda v: np.full_like(v, 7))),
    "sums beyond any integer": Attack(sums(lambda v: np.full_like(v, 1 << 52))),
}
_OF_HISTOGRAMS: dict[str, Attack] = {
    "sums that change between exchanges": Attack(
        Lies(histograms=lambda one, root, _: one if root else type(one)(
            2 * one.rows, 2 * one.totals, 2 * one.cells))
    ),
    "garbage after each sound root": Attack(
        Lies(histograms=lambda one, root, _: one if root else type(one)(
            one.rows * 0, one.totals, one.cells))
    ),
    "trees lacking for ever": Attack(Lies(histograms=lambda *_: None)),
    "rows of 2^31 in each node": Attack(
        Lies(histograms=lambda one, *_: type(one)(one.rows * 0 + MOST, one.totals, one.cells))
    ),
}  # fmt: skip
ATTACKS: dict[str, dict[str, Attack]] = {
    "bagging": EVERYWHERE | _OF_TREES,
    "refit": EVERYWHERE | _OF_SUMS | {
        name: _OF_TREES[name] for name in ("leaves of 1000", "no trees", "bins nobody agreed on")
    },
    "histogram": EVERYWHERE | _OF_SUMS | _OF_HISTOGRAMS,
}  # fmt: skip


#: The way in which lies about counters are tried.
_COUNTED = "refit"
Tables = dict[str, Table]


def counting(change: Callable[[Tables], Tables]) -> App:
    """Return a client app of which one client lies about its counters."""

    def app(message: Message, context: Context) -> Message:
        reply = client_app(message, context)
        mine = context.node_config["partition-id"] == LIAR
        if mine and message.metadata.message_type == wire.COUNTERS and reply.has_content():
            array: Any = reply.content["arrays"]["frames"]  # type: ignore[index]
            if array.data:
                array.data = pack_tables(change(unpack_tables(array.data)))
        return reply

    return app


def _counted(change: Callable[[Any], Any]) -> Callable[[Tables], Tables]:
    return lambda tables: {
        name: Table(one.keys, change(one.counts).astype(np.uint32)) for name, one in tables.items()
    }


def _more_at_harmless(counts: Any, more: int, first: int = BAD_PLACES) -> Any:
    """Add to the counts of each place from ``first`` on, spread over the periods."""
    added = [(more + period) // PERIODS for period in range(PERIODS)]
    return np.concatenate([counts[:first], counts[first:] + np.array(added, np.uint32)])


def _all_keys(tables: Tables) -> Tables:
    keys = np.arange(10_000, dtype=np.uint32)
    return {name: Table(keys, np.zeros((len(keys), PERIODS), np.uint32)) for name in tables}


#: Lies about counters.
COUNTERS: dict[str, Callable[[Tables], Tables]] = {
    "sums beyond 32 bits": _counted(lambda counts: np.full_like(counts, (1 << 32) - 1)),
    "times 1000": _counted(lambda counts: 1000 * counts),
    "9 times as many": _counted(lambda counts: 9 * counts),
    "at other keys": _counted(lambda counts: counts[::-1]),
    "9 times as many, at other keys": _counted(lambda counts: 9 * counts[::-1]),
    "3 more at every harmless key": _counted(lambda counts: _more_at_harmless(counts, 3)),
    "4 more at every harmless key": _counted(lambda counts: _more_at_harmless(counts, 4)),
    "12 at most other keys": _counted(lambda counts: _more_at_harmless(0 * counts, 12, 20)),
    "all 0": _counted(lambda counts: 0 * counts),
    "every key there is, to learn its sum": _all_keys,
}


@contextmanager
def devices() -> Iterator[None]:
    """Run devices in this process, and forget them in the end."""
    with quiet_flower():
        try:
            yield
        finally:
            forget_devices()


class Twice(InProcessGrid):
    """Hands on each of the liar's answers a second time."""

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the answers to some questions, and then the liar's again."""
        replies = list(super().pull_messages(message_ids))
        return replies + [one for one in replies if one.metadata.src_node_id == _LIARS_NODE]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Return the answers to these questions, and then the liar's again."""
        return self.pull_messages(list(self.push_messages(messages)))


def run_of(
    folder: Path, way: str, clients: int = LIAR + 1, client: App = client_app, task: str = "task",
    way_there: type[InProcessGrid] = InProcessGrid, **changes: Any,
) -> RunDirectory:  # fmt: skip
    """Run a federation to its end; return its run directory.

    Raises:
        FrugalFLError: It could not go on.
    """
    settings = Settings.of(
        task=f"attacking.rare:{task}", clients=clients, clients_per_round=clients,
        **{**WAYS[way], **changes},
    )  # fmt: skip
    with devices():
        loaded = load_task(settings.run.task)
        run = RunDirectory.create(folder, loaded.name, settings, app=None)
        grid = way_there(client, clients, settings.as_config(), run.path / "devices")
        grow(grid, settings, loaded, run)
    return run


def precision_of(run: RunDirectory) -> float:
    """Return the average precision on new rows of the honest, made with the counters they have."""
    parcel = Parcel.unpack((run.path / "model" / "trees.bin").read_bytes())
    bins, forest = Bins.from_bytes(parcel.bins), Forest()
    for segment in parcel.segments:
        forest += decode_forest(segment, len(bins))
    parts = [made(one, TEST_ROWS, 2, _counters_of(run, one)) for one in range(LIAR)]
    scores = [forest.raw_scores(bins.of(part.x)) for part in parts]
    return average_precision(np.concatenate(scores), np.concatenate([p.y for p in parts]))


def _counters_of(run: RunDirectory, client: int) -> Mapping[str, Any]:
    from attacking.rare import counters

    if not (run.path / "counters.json").exists():
        return counters(client, LIAR)
    return totals_of(run.path / "devices" / f"client-{client}", run.name)


def exchanges_of(run: RunDirectory) -> int:
    """Return how often clients were asked."""
    return int(run.read_json("model/trees.json")["exchanges"])


def line_about(run: RunDirectory) -> str:
    """Return the first line in which the operator reads of the liar."""
    said = (run.path / "progress.log").read_text().splitlines()
    lines = [line for line in said if f"node {_LIARS_NODE}" in line]
    return lines[0].removeprefix("warning: ") if lines else ""


@dataclass(frozen=True)
class Result:
    """What one liar came to.

    Attributes:
        lost: Average precision below what the honest four reach.
        more: Exchanges beyond theirs.
        line: What the operator reads of the liar.
    """

    lost: float
    more: int
    line: str


def tried(folder: Path, way: str, attack: Attack, four: RunDirectory, **changes: Any) -> Result:
    """Carry out one attack.

    Raises:
        FrugalFLError: The run could not go on.
    """
    there = Twice if attack.twice else InProcessGrid
    run = run_of(folder, way, LIAR + 1, Liar(attack.lies), attack.task, there, **changes)
    return Result(
        precision_of(four) - precision_of(run), exchanges_of(run) - exchanges_of(four),
        line_about(run),
    )  # fmt: skip


#: Those that show most in least time.
QUICK = ("labels inverted", "2^31 rows claimed", "quantiles far away", "it cannot, each time")


def attacks(folder: Path, quick: bool) -> Iterator[Outcome]:
    """Try every lie in every way, then those about counters."""
    yield from _about_trees(folder, quick)
    four = run_of(folder / "counters", _COUNTED, LIAR, counters="shared")
    for number, (name, change) in enumerate(COUNTERS.items()):
        run = run_of(folder / f"counters-{number}", _COUNTED, client=counting(change),
                     counters="shared")  # fmt: skip
        lost = precision_of(four) - precision_of(run)
        about = f"AP {-lost:+.3f}: {_said(line_about(run), lost)}"
        yield Outcome(f"counters: {name}", lost <= MOST_LOST, about, True)


def _said(line: str, lost: float) -> str:
    return line or (_UNTOLD if lost <= MOST_LOST else "nobody was told")


def _about_trees(folder: Path, quick: bool) -> Iterator[Outcome]:
    for way, known in ATTACKS.items():
        four = run_of(folder / way, way, LIAR)
        for number, (name, attack) in enumerate(known.items()):
            if quick and name not in QUICK:
                continue
            try:
                result = tried(folder / f"{way}-{number}", way, attack, four)
            except FrugalFLError as error:
                yield Outcome(f"{way}: {name}", False, str(error), False)
                continue
            said = _said(result.line, result.lost)
            about = f"AP {-result.lost:+.3f}, {result.more:+d} exchanges: {said}"
            yield Outcome(f"{way}: {name}", result.lost <= MOST_LOST, about, True)
