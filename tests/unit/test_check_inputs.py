"""Inputs that int8 has no steps for are named before the first round."""

import numpy as np
import pytest

from frugalfl import Examples, PublicData, Task
from frugalfl.settings import Settings
from frugalfl_server.phases.check_inputs import check_inputs, lost_columns

RNG = np.random.default_rng(0)


def said(x, **settings):
    rows = Examples(x.astype(np.float32), np.zeros(len(x), np.int64))
    task = Task("t", model=None, client_data=None, public_data=lambda: PublicData(rows))
    return list(check_inputs(task, Settings.of(**settings), rows))


def test_columns_that_vary_by_less_than_a_step_are_named_with_what_to_do():
    x = RNG.normal(size=(200, 4)) * (1, 900, 0.5, 30)
    (line,) = said(x)
    assert line.startswith("int8: columns 0, 2 of the inputs vary") and "\n" not in line
    assert "scale each column" in line and 'activations = "int16"' in line
    assert said(x, activations="int16") == [] and said(x, export=False) == []


@pytest.mark.parametrize("shape", [(200, 4), (50, 3, 8, 8), (50, 6, 32), (20, 1, 5), (30,)])
def test_inputs_of_one_scale_are_not_warned_of(shape):
    assert said(RNG.normal(size=shape)) == []


def test_rare_flags_and_constants_are_not_lost_beside_scaled_columns():
    x = np.concatenate([RNG.normal(size=(500, 3)), np.zeros((500, 2))], axis=1)
    x[::100, 3] = 1  # one row in a hundred
    assert lost_columns(x.astype(np.float32)) == []
    x[:, 0] *= 10  # the flag is still several steps high
    assert lost_columns(x.astype(np.float32)) == []


def test_the_range_that_is_told_has_the_zero_that_int8_needs():
    x = np.stack([RNG.uniform(1000, 1010, 200), RNG.uniform(1000, 1001, 200)], axis=1)
    (line,) = said(x)
    assert "steps between 0 and 1010" in line
