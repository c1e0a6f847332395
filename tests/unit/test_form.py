"""The form of a client's rows, on the wire and off it."""

import numpy as np
import pytest
from flwr.app import Message
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import given
from hypothesis import strategies as st

from frugalfl import Examples, wire
from frugalfl.errors import FrameError, TaskError
from frugalfl.form import Form
from frugalfl.task import Task
from frugalfl_server.rounds.evaluate import form_of, scoring_for


@pytest.fixture(autouse=True, scope="module")
def identity():
    """Flower makes no message without one."""
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1


SHAPES = st.lists(st.integers(1, 1 << 30), max_size=8).map(tuple)


def sent(form, **changes):
    request = wire.TrainRequest("run", 1, -1, 0, (0,), b"", "raw", form=form)
    content = wire.pack_request(request)
    content.config_records["config"].update(changes)
    return wire.unpack_request(Message(content, dst_node_id=7, message_type="train"))


@given(st.builds(Form, st.sampled_from(["binary(0.5)", "regression"]), SHAPES, SHAPES, st.just(2)))
def test_it_travels(form):
    assert sent(form).form == form


def test_servers_that_do_not_say_it_are_understood():
    assert sent(None).form is None


@pytest.mark.parametrize(
    "changes", [{"inputs": [0]}, {"targets": [1] * 17}, {"kind": 3}, {"fewest": -1}]
)
def test_what_cannot_be_is_refused(changes):
    with pytest.raises(FrameError):
        sent(Form("regression", (8,), (1,)), **changes)


def test_whole_numbers_are_values_if_values_are_wanted():
    x, y = np.zeros((3, 2), np.float32), np.arange(3)
    fitted = Form("regression", (2,), ()).fit(Examples(x, y), "client 0 of 1")
    assert fitted.y.dtype == np.float32 and fitted.y.tolist() == [0, 1, 2]
    with pytest.raises(TaskError, match="client 0 of 1: targets have shape"):
        Form("regression", (2,), (1,)).fit(Examples(x, y), "client 0 of 1")


@pytest.mark.parametrize(("spatial", "fewest"), [((), 2), ((4, 4), 1)])
def test_only_batch_norms_of_single_numbers_need_two_rows(spatial, fewest):
    from torch import nn

    norm = nn.BatchNorm2d(3) if spatial else nn.BatchNorm1d(3)
    task = Task("t", model=lambda: norm, client_data=None, public_data=None, kind="reconstruction")
    x = np.random.default_rng(0).normal(size=(5, 3, *spatial)).astype(np.float32)
    rows = Examples(x, x)
    before = norm.running_mean.clone()
    assert form_of(norm, rows, scoring_for(task, norm, rows, "rows")).fewest == fewest
    assert (norm.running_mean == before).all()
