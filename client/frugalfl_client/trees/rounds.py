"""One question about trees, seen from the device: a sketch, new trees, or histograms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from frugalfl import wire
from frugalfl.codec.buffer import varint
from frugalfl.errors import FrameError, TaskError, UsageError
from frugalfl.trees.bins import sketch
from frugalfl.trees.frame import decode_forest, encode_forest
from frugalfl.trees.leaves import leaf_sums, shapes
from frugalfl.trees.parcel import Parcel
from frugalfl.trees.ways import HISTOGRAM, REFIT, SKETCH, Way, parse_way
from frugalfl_client.device import Device
from frugalfl_client.exchange import Exchange
from frugalfl_client.held import Held
from frugalfl_client.trees.lightgbm import load_lightgbm, train
from frugalfl_client.trees.state import Holding, forget_old_file, holding_of


def work(exchange: Exchange) -> wire.TreesReply:
    """Bring the device's trees up to date, do what is asked, write the ledger, answer.

    Raises:
        FrameError: The request cannot be read, or is for another model.
        RunError: The disk does not take what is to be kept.
        TaskError: The device's rows are nothing that trees can be grown on.
    """
    request = exchange.open(wire.unpack_trees_request, "trees")
    device = exchange.device
    device.prepare(request.run)
    _check_rows(device)
    sketched = request.way == SKETCH
    energy = exchange.meter(request, "" if sketched else "lightgbm")
    held = exchange.load(request)
    trees = holding_of(device, request.run, held)
    frame, loss = b"", 0.0
    if sketched:
        with energy.window("prepare"):
            frame = _sketch(device)
    elif request.base in (-1, trees.version):
        frame, loss = _answer(exchange, request, held, trees)
    told = exchange.close(len(frame), held.damage)
    return wire.TreesReply(
        trees.version, frame, len(device.rows.examples), loss, told.records, told.head, device.link,
        told.notice,
    )  # fmt: skip


def _answer(
    exchange: Exchange, request: wire.TreesRequest, held: Held, trees: Holding
) -> tuple[bytes, float]:
    """Bring the trees to the request's version; return what is asked for, and the log loss."""
    device, way = exchange.device, _way(request)
    if way.name != HISTOGRAM:
        load_lightgbm()
    parcel = Parcel.unpack(request.parcel)
    if parcel.bins or parcel.segments:
        with exchange.energy.window("decode"):
            trees.add(parcel, device)
        held.trees, held.version = trees.packed, trees.version
        exchange.save(request, held)
        forget_old_file(device)
    if trees.version != request.version:
        raise FrameError(
            f"the trees lead to version {trees.version}, the request is for version "
            f"{request.version}"
        )
    with exchange.energy.window("train", samples=len(device.rows.examples)):
        frame = _grown(device, trees, way, request, parcel.question)
    # Trees of histograms come with the questions, to whoever answers these.
    scores = trees.worker(device).scores if way.name == HISTOGRAM else trees.scores
    return frame, _loss(scores, device.rows.examples.y)


def _check_rows(device: Device) -> None:
    y = device.rows.examples.y
    if y.ndim != 1 or not np.isin(y, (0, 1)).all():
        raise TaskError(
            f"client {device.number}: trees need targets 0 and 1, one a row; this task has others"
        )


def _sketch(device: Device) -> bytes:
    """Return the number of rows of class 1, and the quantiles of each feature."""
    x = device.rows.examples.x.reshape(len(device.rows.examples), -1)
    return varint(int(device.rows.examples.y.sum())) + sketch(x).to_bytes()


def _way(request: wire.TreesRequest) -> Way:
    try:
        way = parse_way(request.way)
    except UsageError as error:
        raise FrameError(f"the server wants trees in no known way: {error}") from error
    if way is None:
        raise FrameError("the server does not say how it wants trees")
    return way


def _loss(scores: npt.NDArray[np.float64], y: npt.NDArray[np.int64]) -> float:
    """Return the mean log loss of raw scores (log odds)."""
    return float(np.mean(np.logaddexp(0, np.where(y == 1, -scores, scores))))


def _grown(
    device: Device, trees: Holding, way: Way, request: wire.TreesRequest, question: bytes
) -> bytes:
    """Return new trees as a frame, or the sums that a question asks for."""
    if way.name == HISTOGRAM:
        return trees.worker(device).answer(question)
    if question:
        assert trees.bins is not None
        asked = decode_forest(question, len(trees.bins)).trees
        return leaf_sums(asked, trees.binned, device.rows.examples.y, trees.scores).to_bytes()
    forest = train(
        trees.binned, device.rows.examples.y, trees.scores, way.growth, way.trees,
        int(np.random.SeedSequence(device.drawn(request.round)).generate_state(1)[0] >> 1),
    )  # fmt: skip
    return encode_forest(shapes(forest) if way.name == REFIT else forest)
