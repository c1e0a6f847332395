"""``trainer = "auto"`` on a device with both trainers: its first training program is tried.

The trial is metered as a phase of its own, once: what came of it stays in the device's store under
the program's digest.
"""

from __future__ import annotations

from frugalfl import wire
from frugalfl.errors import FrugalFLError, MissingExtraError, NotAllowedError, ProgramError
from frugalfl_client.train_round import TrainRound
from frugalfl_client.training.trainer import Trainer
from frugalfl_client.training.trial import compare

#: What a training may end with: our errors, and the interpreter's own.
_FAILURES = (FrugalFLError, RuntimeError, ValueError)


def cheaper(begun: TrainRound) -> Trainer:
    """Return what trains in this round and from now on: PyTorch, or the program of the request.

    Args:
        begun: Its device may try a program, if the server has one to try; else PyTorch stays.

    Raises:
        RunError: The store cannot be used.
    """
    exchange, request, torch = begun.exchange, begun.request, begun.trainer
    device = exchange.device
    if not device.tries or not request.program:
        return torch
    try:
        litert = device.program_trainer(request.program, request.program_file)
    except (ProgramError, NotAllowedError, MissingExtraError) as error:
        device.settle_on(wire.TORCH, f"a training program cannot be tried here: {error}")
        return torch
    if litert is None:
        return torch  # the disk lost it: the next request brings it again
    name, why = device.store.trial(request.program), "as it was found before"
    if name is None:
        with exchange.energy.window("trial", samples=len(device.rows.examples)):
            try:
                trial = compare(
                    torch, litert, begun.weights, begun.planned, device.rows.examples, begun.rate,
                    device.drawn(request.round), request.proximal_mu, device.rows.fewest,
                    begun.subspace,
                )  # fmt: skip
            except _FAILURES as error:  # what it took is booked, and it is not tried again
                name, why = wire.TORCH, f"a training program was tried in vain: {error}"
            else:
                name, why = trial.cheaper, str(trial)
        device.store.keep_trial(request.program, name)
    device.settle_on(name, why)
    if name == wire.TORCH:
        return torch
    exchange.energy.works_with(litert.software)
    return litert
