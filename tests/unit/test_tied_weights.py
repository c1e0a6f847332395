"""Tied weights are one tensor: in blocks, in what is trained and kept, and in a compiled program."""

import numpy as np
import torch
from torch import nn

from frugalfl.blocks import Layout
from frugalfl.modules import read_parameters, write_parameters
from frugalfl.resize import resize
from frugalfl_server.compiler import Sgd, check_program, trace_training


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.head(torch.relu(self.b(torch.relu(self.a(x)))))


def test_they_are_read_once_and_written_to_both():
    module = Tied()
    parameters = read_parameters(module)
    assert [block.tensors for block in Layout.of(parameters).blocks] == [
        ("a.weight", "a.bias"), ("b.bias",), ("head.weight", "head.bias"),
    ]  # fmt: skip
    write_parameters(module, {"a.weight": np.full((16, 16), 2, np.float32)})
    assert module.b.weight is module.a.weight
    assert (module.b.weight == 2).all()


def test_tensors_that_only_look_alike_stay_two():
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].load_state_dict(module[0].state_dict())
    assert len(read_parameters(module)) == 4
    assert len(read_parameters(nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2)))) == 8


def test_a_resized_model_stays_tied():
    shapes = {
        "a.weight": (8, 8),
        "a.bias": (8,),
        "b.bias": (8,),
        "head.weight": (4, 8),
        "head.bias": (4,),
    }
    module = resize(TiedInside(), shapes)
    assert module.b.weight is module.a.weight and module.a.weight.shape == (8, 8)


class TiedInside(Tied):
    """The same, for a shape that pruning could leave behind."""


def test_a_training_program_trains_them_as_one():
    module = Tied()
    names = Layout.of(read_parameters(module)).names(range(3))
    how = {"loss": "cross_entropy", "optimizer": Sgd(momentum=0.9), "planned": names}
    program = trace_training(module, **how, batch=8, input_shape=(16,)).convert()
    assert [one.name for one in program.parameters] == names
    assert check_program(program, module, **how).worst < 1e-5
