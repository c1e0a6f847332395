"""One question about trees, seen from the device: a sketch, new trees, or histograms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from flwr.app import Context, Message

from frugalfl import wire
from frugalfl.codec.buffer import varint
from frugalfl.errors import FrameError, TaskError, UsageError
from frugalfl.trees.bins import sketch
from frugalfl.trees.frame import decode_forest, encode_forest
from frugalfl.trees.leaves import leaf_sums, shapes
from frugalfl.trees.parcel import Parcel
from frugalfl.trees.ways import HISTOGRAM, REFIT, SKETCH, Way, parse_way
from frugalfl_client.answers import answer, kept
from frugalfl_client.device import Device, device_of
from frugalfl_client.energy import RoundEnergy
from frugalfl_client.trees.lightgbm import load_lightgbm, train
from frugalfl_client.trees.state import Holding, holding_of, keep


def work(message: Message, context: Context) -> Message:
    """Bring the device's trees up to date, do what is asked, write the ledger, answer.

    Raises:
        FrameError: The request cannot be read, or is for another model.
        RunError: The disk does not take what is to be kept.
        TaskError: The device's rows are nothing that trees can be grown on.
    """
    device = device_of(context)
    request = wire.unpack_request(message)
    device.check_allowed(request.run, "trees")
    device.prepare(request.run)
    _check_rows(device)
    sketched = request.uplink == SKETCH
    energy = RoundEnergy(device, request, "" if sketched else "lightgbm")
    energy.downloaded(request)
    held = holding_of(device, request.run)
    frame, loss = b"", 0.0
    if sketched:
        with energy.window("prepare"):
            frame = _sketch(device)
    elif request.base in (-1, held.version):
        way = _way(request)
        if way.name != HISTOGRAM:
            load_lightgbm()
        parcel = Parcel.unpack(request.frames)
        if parcel.bins or parcel.segments:
            with energy.window("decode"):
                held.add(parcel, device)
            keep(device, held)
        if held.version != request.version:
            raise FrameError(
                f"the trees lead to version {held.version}, the request is for version "
                f"{request.version}"
            )
        with energy.window("train", samples=len(device.examples)):
            frame = _grown(device, held, way, request, parcel.question)
        # Trees of histograms come with the questions, to whoever answers these.
        scores = held.worker(device).scores if way.name == HISTOGRAM else held.scores
        loss = _loss(scores, device.examples.y)
    energy.uploading(len(frame))
    records, head, unkept = kept(device, energy.take())
    reply = wire.TrainReply(
        held.version, frame, len(device.examples), loss, records, head, link=device.link,
        notice="; ".join(filter(None, (device.take_notice(), unkept))),
    )  # fmt: skip
    return answer(reply, message)


def _check_rows(device: Device) -> None:
    y = device.examples.y
    if y.ndim != 1 or not np.isin(y, (0, 1)).all():
        raise TaskError(
            f"client {device.number}: trees need targets 0 and 1, one a row; this task has others"
        )


def _sketch(device: Device) -> bytes:
    """Return the number of rows of class 1, and the quantiles of each feature."""
    x = device.examples.x.reshape(len(device.examples), -1)
    return varint(int(device.examples.y.sum())) + sketch(x).to_bytes()


def _way(request: wire.TrainRequest) -> Way:
    try:
        way = parse_way(request.uplink)
    except UsageError as error:
        raise FrameError(f"the server wants trees in no known way: {error}") from error
    if way is None:
        raise FrameError("the server does not say how it wants trees")
    return way


def _loss(scores: npt.NDArray[np.float64], y: npt.NDArray[np.int64]) -> float:
    """Return the mean log loss of raw scores (log odds)."""
    return float(np.mean(np.logaddexp(0, np.where(y == 1, -scores, scores))))


def _grown(
    device: Device, held: Holding, way: Way, request: wire.TrainRequest, question: bytes
) -> bytes:
    """Return new trees as a frame, or the sums that a question asks for."""
    if way.name == HISTOGRAM:
        return held.worker(device).answer(question)
    if question:
        assert held.bins is not None
        trees = decode_forest(question, len(held.bins)).trees
        return leaf_sums(trees, held.binned, device.examples.y, held.scores).to_bytes()
    forest = train(
        held.binned, device.examples.y, held.scores, way.growth, way.trees,
        int(np.random.SeedSequence(device.drawn(request.round)).generate_state(1)[0] >> 1),
    )  # fmt: skip
    return encode_forest(shapes(forest) if way.name == REFIT else forest)
