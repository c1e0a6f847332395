"""Training programs: size, operators, TFLite-Micro's arena and time beside eager PyTorch's.

python benchmarks/training_program.py            # prints the tables of docs/training-programs.md

Times are CPU times of one thread, the best of many steps, program and PyTorch by turns. The arena
is this 64-bit host's: an upper bound for a microcontroller.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import arguments, finish
from zoo import NETS, Net

from frugalfl.blocks import Layout
from frugalfl.errors import ExportError
from frugalfl.modules import read_parameters
from frugalfl.program import Program
from frugalfl_server import compiler
from frugalfl_server.compiler.plan import plan_of
from frugalfl_server.compiler.reference import example_step
from frugalfl_server.compiler.runner import Runner

ZOO = ("mlp", "digits-cnn", "ds-cnn", "residual", "sensor-1d", "autoencoder")
BATCHES = (1, 8, 16)
STEPS = 200
RATE = 0.01


def measured(net: Net, last: int, batches: tuple[int, ...], steps: int) -> list[dict[str, Any]]:
    """Compile one plan of a net for each batch size, check it, and measure it."""
    torch.manual_seed(0)
    module, rows = net.task.new_model(), net.task.rows_of(0, 50)
    layout = Layout.of(read_parameters(module))
    rule = compiler.Sgd()
    how: dict[str, Any] = {
        "loss": net.task.loss,
        "optimizer": rule,
        "planned": layout.names(layout.everything[-last:]),
    }
    return [
        {
            "net": net.name,
            "plan": {0: "all", 1: "last", 2: "last two"}[last],
            "batch": batch,
            **figures(
                net,
                module,
                how,
                compiler.trace_training(
                    module,
                    **how,
                    batch=batch,
                    input_shape=rows.x.shape[1:],
                    target_shape=rows.y.shape[1:],
                    signatures=("train",),
                ).convert(),
                steps,
            ),
        }
        for batch in batches
    ]


def figures(
    net: Net, module: torch.nn.Module, how: dict[str, Any], program: Program, steps: int
) -> dict[str, Any]:
    given = example_step(program, module, how["optimizer"], 0)
    given |= {"learning_rate": np.float32(RATE), "w": np.ones(program.batch, np.float32)}
    mine, theirs = best_of(
        steps, program_step(program, given), torch_step(net, module, how, program, given)
    )
    return {
        "file_bytes": len(program.model),
        "operators": len(compiler.micro_model(program).operators),
        "missing_in_micro": compiler.gaps(program),
        "arena_bytes": arena(program, given),
        "difference": compiler.check_program(program, module, **how).worst,
        "litert_ms": mine * 1e3,
        "pytorch_ms": theirs * 1e3,
    }


def arena(program: Program, given: dict[str, Any]) -> int | None:
    """TFLite-Micro's arena, bytes; None where it refuses the program."""
    try:
        return compiler.run_micro_step(program, given).arena_bytes
    except ExportError:
        return None


def program_step(program: Program, given: dict[str, Any]) -> Callable[[], Any]:
    runner = Runner(program.model)
    return lambda: runner.run("train", given)


def torch_step(
    net: Net, module: torch.nn.Module, how: dict[str, Any], program: Program, given: dict[str, Any]
) -> Callable[[], Any]:
    """The same step, written as one writes it; frozen layers need no gradients there either."""
    plan = plan_of(
        module,
        **how,
        batch=program.batch,
        input_shape=program.input_shape,
        target_shape=program.target_shape,
    )
    for name, one in plan.module.named_parameters():
        one.requires_grad_(name in plan.trained)
    x, y = torch.from_numpy(given["x"]), torch.from_numpy(given["y"])
    y = y if y.is_floating_point() else y.long()
    loss = torch.nn.functional.cross_entropy if isinstance(net.task.loss, str) else net.task.loss
    rule = torch.optim.SGD([one for one in plan.module.parameters() if one.requires_grad], RATE)

    def step() -> None:
        rule.zero_grad()
        loss(plan.module(x), y).backward()
        rule.step()

    return step


def best_of(steps: int, *works: Callable[[], Any]) -> list[float]:
    """Return the shortest CPU time of each, s; they take turns."""
    best = [float("inf")] * len(works)
    for _ in range(steps):
        for number, work in enumerate(works):
            start = time.thread_time()
            work()
            best[number] = min(best[number], time.thread_time() - start)
    return best


def table_row(one: dict[str, Any]) -> str:
    """One line of the table in ``docs/training-programs.md``."""
    room = "refused" if one["arena_bytes"] is None else f"{one['arena_bytes']:,}"
    cells = (
        one["net"], one["plan"], one["batch"], f"{one['file_bytes']:,}", one["operators"], room,
        f"{one['difference']:.0e}", f"{one['litert_ms']:.3f}", f"{one['pytorch_ms']:.3f}",
        f"{one['pytorch_ms'] / one['litert_ms']:.1f}",
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    options = arguments(__doc__)
    torch.set_num_threads(1)
    nets, plans, batches, steps = (
        (("mlp", "ds-cnn"), (1,), (1,), 20) if options.quick else (ZOO, (1, 2, 0), BATCHES, STEPS)
    )
    print(
        "| net | trained | batch | file B | operators | arena B | difference | ms | PyTorch ms "
        "| times faster |"
    )
    print("| --- | --- |" + " ---: |" * 8)
    rows = []
    for name in nets:
        for last in plans:
            for one in measured(NETS[name], last, batches, steps):
                rows.append(one)
                print(table_row(one), flush=True)
    finish(options, {"programs": rows})


if __name__ == "__main__":
    main()
