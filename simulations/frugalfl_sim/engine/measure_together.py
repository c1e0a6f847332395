"""Measures the model that came on the rows of many devices, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from frugalfl.errors import FrugalFLError
from frugalfl_client.train_round import TrainRound, measure_received, tested_on
from frugalfl_client.training.pytorch import TorchTrainer
from frugalfl_client.training.trainer import Measured
from frugalfl_sim.engine.shared_windows import SharedWindows

#: Rows of one pass: enough to make the pass worth its while, and few enough for any memory.
_MOST_ROWS = 2048


def measured_together(begun: Sequence[TrainRound], windows: SharedWindows) -> list[TrainRound]:
    """Return the rounds with what was measured; those who could not have answered so.

    Args:
        begun: Rounds before their training.
        windows: Of their devices' meters.
    """
    done = [one for one in begun if one.exchange.device.rows.evaluated is None]
    asked = [one for one in begun if one.exchange.device.rows.evaluated is not None]
    for batch in _batches(asked):
        done += _measured(batch, windows)
    places = {id(one.exchange): place for place, one in enumerate(begun)}
    return sorted(done, key=lambda one: places[id(one.exchange)])


def _batches(asked: Sequence[TrainRound]) -> Iterator[list[TrainRound]]:
    """Yield rounds that have the same model, in parts that memory has room for."""

    def model(one: TrainRound) -> int:
        return id(one.weights)

    for _, same in groupby(sorted(asked, key=model), model):
        batch, rows = list[TrainRound](), 0
        for one in same:
            rows += _rows(one)
            if batch and rows > _MOST_ROWS:
                yield batch
                batch, rows = [], _rows(one)
            batch.append(one)
        yield batch


def _measured(batch: Sequence[TrainRound], windows: SharedWindows) -> list[TrainRound]:
    """Measure in one pass; if that fails, one after the other, to see whose fault it is."""
    try:
        with windows.window("evaluate") as window:
            found = _in_one_pass(batch)
    except FrugalFLError:
        return [measured for one in batch for measured in _alone(one)]
    rows = [_rows(one) for one in batch]
    window.share_out(
        [one.exchange for one in batch], rows, rows, [measured.right for measured in found]
    )
    return [
        replace(one, tested=tested_on(one, measured))
        for one, measured in zip(batch, found, strict=True)
    ]


def _in_one_pass(batch: Sequence[TrainRound]) -> list[Measured]:
    each = []
    for one in batch:
        rows = one.exchange.device.rows
        assert rows.evaluated is not None
        rows.check_model(one.trainer, one.weights)
        each.append(rows.evaluated)
    trainer = batch[0].trainer
    assert isinstance(trainer, TorchTrainer)
    return trainer.measure_each(batch[0].weights, each, batch[0].exchange.device.rows.kind)


def _alone(one: TrainRound) -> list[TrainRound]:
    """Measure on one device, which answers why if it cannot."""
    with one.exchange:
        return [replace(one, tested=measure_received(one))]
    return []


def _rows(one: TrainRound) -> int:
    rows = one.exchange.device.rows.evaluated
    return 0 if rows is None else len(rows)
