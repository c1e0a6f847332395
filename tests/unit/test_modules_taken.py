"""A model that cannot be copied or cut is refused as it is built, with what to write instead."""

import pytest
import torch
from torch import nn

from frugalfl import Examples, Task
from frugalfl.errors import TaskError


def task_of(make):
    return Task("t", model=make, client_data=lambda client, clients: Examples(None, None))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: torch.jit.script(nn.Linear(2, 2)), "without torch.jit.script"),
        (lambda: nn.Sequential(nn.LazyLinear(2)), "'0.weight'; give the layer's sizes"),
        (lambda: None, "of type NoneType; model\\(\\) must return a torch.nn.Module"),
        (lambda: nn.Identity, "the class Identity; model"),
        (lambda: nn.Linear(2, 2).state_dict(), "of type OrderedDict; model"),
        (lambda: nn.Linear(2, 2).bfloat16(), "'weight' in bfloat16; .* call .float"),
        (lambda: nn.Linear(2, 2, device="meta"), "'weight' on meta; build it on the CPU"),
        (lambda: nn.Sequential(nn.utils.weight_norm(nn.Linear(2, 2))), "'0.weight', and cannot"),
    ],
)
def test_what_cannot_be_used_says_what_to_write(make, words):
    with pytest.raises(TaskError, match=words):
        task_of(make).new_model()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "norm", [nn.utils.spectral_norm, nn.utils.parametrizations.weight_norm, nn.Sequential]
)
def test_what_can_be_used_is(norm):
    assert task_of(lambda: norm(nn.Linear(2, 2))).new_model()
