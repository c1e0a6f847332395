"""Rows: what both trainers take is taken, all else is named with client and array."""

import numpy as np
import pytest
import torch

from frugalfl import Examples, PublicData, Task
from frugalfl.errors import TaskError

X = np.random.default_rng(0).normal(size=(6, 4)).astype("f4")
Y = np.arange(6) % 3


def task(rows, public=None):
    return Task(
        "t", model=lambda: None, client_data=lambda client, clients: rows,
        public_data=lambda: public,
    )  # fmt: skip


@pytest.mark.parametrize(
    "y", [Y.astype(kind) for kind in ("i1", "u1", "i4", "<i8", ">i8")] + [Y[::-1]]
)
def test_class_numbers_of_any_width_are_int64(y):
    rows = task(Examples(X, y)).rows_of(1, 3)
    assert rows.y.dtype == np.int64 and rows.y.tolist() == y.tolist()


def test_rows_that_run_backwards_can_be_trained_on():
    rows = task(Examples(X[::-1, ::-1], Y[::-1])).rows_of(0, 1)
    assert torch.from_numpy(rows.x).numpy().tolist() == X[::-1, ::-1].tolist()
    assert torch.from_numpy(rows.y).numpy().tolist() == Y[::-1].tolist()


def test_values_are_float32():
    assert task(Examples(X, X[:, 0].astype("f8"))).rows_of(0, 1).y.dtype == np.float32


def test_what_is_right_already_is_not_copied():
    rows = task(Examples(X, Y)).rows_of(0, 1)
    assert rows.x is X and rows.y is Y


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ((X, Y), "client 1 of 3: the task returned a tuple; return Examples(x, y)"),
        (None, "client 1 of 3: the task returned a NoneType"),
        (Examples(X.tolist(), Y), "client 1 of 3: inputs are a list, not a numpy array"),
        (Examples(X, torch.tensor(Y)), "client 1 of 3: targets are a Tensor, not a numpy array; add .numpy()"),
        (Examples(X, np.array(list("abcdef"))), "client 1 of 3: targets are <U1"),
        (Examples(X, Y == 1), "client 1 of 3: targets are bool"),
        (Examples(X, np.where(Y == 1, np.nan, 1.0)), "client 1 of 3: targets hold NaN"),
        (Examples(np.where(X > 0, np.inf, X).astype("f4"), Y), "client 1 of 3: inputs hold NaN or infinity"),
        (Examples(X.astype("f8"), Y), "client 1 of 3: inputs are float64, not float32"),
        (Examples(X, Y[:5]), "client 1 of 3: 6 inputs but 5 targets"),
        (Examples(X, np.array(3)), "client 1 of 3: 6 inputs but no row of targets"),
        (Examples(X[:0], Y[:0]), "client 1 of 3 has no data"),
    ],
)  # fmt: skip
def test_a_mistake_names_client_and_array(rows, says):
    with pytest.raises(TaskError) as error:
        task(rows).rows_of(1, 3)
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("public", "says"),
    [
        (Examples(X, Y), "public_data() returned a Examples; return PublicData(test="),
        (PublicData((X, Y)), "public_data().test: the task returned a tuple"),
        (PublicData(Examples(X, Y), Examples(X.astype("f8"), Y)), "public_data().calibration: inputs are float64"),
    ],
)  # fmt: skip
def test_public_rows_are_held_to_the_same(public, says):
    with pytest.raises(TaskError) as error:
        task(None, public).public_rows()
    assert says in str(error.value)


def test_rows_whose_axis_of_one_has_an_odd_step_are_laid_out_anew():
    """PyTorch would take them for channels last, and calibration would see other operators."""
    x = np.arange(48, dtype=np.float32).reshape(3, 4, 4)[:, None]
    checked = Examples(x, np.arange(3)).check("client 0")
    assert checked.x.strides == np.zeros(x.shape, np.float32).strides != x.strides
    np.testing.assert_array_equal(checked.x, x)
