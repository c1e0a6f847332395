"""The compiler of training programs: a PyTorch model's training as a TFLite file.

    traced = trace_training(module, loss="cross_entropy", optimizer=Sgd(momentum=0.9),
                            planned=names, batch=16, input_shape=(1, 8, 8))
    program = traced.convert()
    check = check_program(program, module, loss="cross_entropy", optimizer=Sgd(momentum=0.9),
                          planned=names)

`docs/training-programs.md` says what compiles.
"""

from frugalfl_server.compiler.check import Check, check_program
from frugalfl_server.compiler.compile import (
    SIGNATURES,
    TracedTraining,
    trace_training,
)
from frugalfl_server.compiler.micro import gaps, micro_model, run_micro_step
from frugalfl_server.compiler.optimizers import Adam, Optimizer, Sgd, optimizer_of

__all__ = [
    "SIGNATURES",
    "Adam",
    "Check",
    "Optimizer",
    "Sgd",
    "TracedTraining",
    "check_program",
    "gaps",
    "micro_model",
    "optimizer_of",
    "run_micro_step",
    "trace_training",
]
