"""Calibration, seen from the device: its rows through the model, and the ranges of what comes."""

from __future__ import annotations

import numpy as np

from frugalfl import wire
from frugalfl_client.bring_up import bring_up, builds_on
from frugalfl_client.exchange import Exchange
from frugalfl_client.training.trainer import Measured


def give_ranges(exchange: Exchange) -> wire.CalibrateReply:
    """Apply the frames, run this device's rows, answer with the ranges of the activations.

    Raises:
        FrameError: The frames cannot be applied.
        NotAllowedError: Its owner gives no ranges, or its rows are too few.
    """
    request = exchange.open(wire.unpack_calibrate_request, "calibration")
    device = exchange.device
    device.prepare(request.run)
    device.rows.check_batches()
    held = exchange.load(request)
    ranges, measured, scored = np.zeros((0, 2), np.float32), Measured(None), 0
    trainer = device.trainer(request.program, request.program_file)
    energy = exchange.meter(request, "" if trainer is None else trainer.software)
    if trainer is not None and builds_on(held, request):
        bring_up(exchange, trainer, held, request)
        weights = held.weights(device.settings)
        with energy.window("calibrate", samples=len(device.rows.examples)):
            ranges = trainer.calibrate(weights, device.rows.examples, request.percentile)
        exchange.save(request, held)
        if device.rows.measures_for_all and device.rows.evaluated is not None:
            scored = len(device.rows.evaluated)
            with energy.window("evaluate", samples=scored) as window:
                measured = trainer.measure(weights, device.rows.evaluated, device.rows.kind)
                window.correct = measured.right
    records, head, notice = exchange.close(ranges.nbytes, held.damage)
    return wire.CalibrateReply(
        held.version, ranges, records, head, notice, device.trainer_name, device.programs,
        measured.share_of(scored), scored, measured.tally,
    )  # fmt: skip
