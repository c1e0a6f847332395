"""Accuracy of the global model on the server's own rows."""

from __future__ import annotations

import torch

from frugalfl.task import Examples


def accuracy(module: torch.nn.Module, examples: Examples) -> float:
    """Return the share of rows whose largest output is the target class, in [0, 1]."""
    return count_right(module, examples) / len(examples)


def count_right(module: torch.nn.Module, examples: Examples) -> int:
    """Return the number of rows whose largest output is the target class."""
    module.eval()
    with torch.inference_mode():
        predicted = module(torch.from_numpy(examples.x)).argmax(1)
    return int((predicted == torch.from_numpy(examples.y)).sum())
