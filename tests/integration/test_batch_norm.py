"""A model with batch norms trains with the default codecs; its running statistics stay usable."""

import numpy as np
import pytest
import torch
from torch import nn

from frugalfl.modules import read_parameters, write_parameters
from frugalfl.settings import Settings
from frugalfl_server.rounds.evaluate import accuracy

from .rounds import Rounds, digits

ROUNDS = 14


def normed_model():
    """Inputs far from the norm's first statistics, as raw sensor values are."""

    class Loud(nn.Module):
        def forward(self, x):
            return 10 * x + 3

    return nn.Sequential(
        Loud(), nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Flatten(), nn.Linear(256, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU(),
        nn.Linear(32, 10),
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Rounds with nothing set but their number, and what they ended with."""
    settings = Settings.of(
        rounds=ROUNDS, clients=10, clients_per_round=10, local_epochs=3, prune=0.0
    )
    with digits(), pytest.MonkeyPatch.context() as patch:
        import task

        patch.setattr(task, "model", normed_model)
        patch.setattr(task, "task", _with_model(task.task))
        rounds = Rounds(settings, tmp_path_factory.mktemp("devices"))
        for _ in range(ROUNDS):
            rounds.next()
        yield rounds


def _with_model(task):
    from dataclasses import replace

    return replace(task, model=normed_model)


def test_a_model_with_batch_norms_trains_with_the_defaults(trained):
    module = trained.task.new_model()
    write_parameters(module, trained.model)
    assert accuracy(module, trained.task.public_rows().test) > 0.85
    assert not trained.warnings


def test_its_uploads_are_still_small(trained):
    floats = 4 * sum(tensor.size for tensor in trained.model.values())
    for traffic in trained.traffic:
        assert traffic.uplink_bytes / traffic.updates < floats / 25


def test_its_statistics_follow_the_data(trained):
    """What a client holds is near what all rows give, from a first variance of 1."""
    module = trained.task.new_model()
    write_parameters(module, trained.downlink.view)
    held = read_parameters(module)
    rows = [trained.task.rows_of(client, 10).x for client in range(10)]
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = 1.0
    with torch.inference_mode():
        module.train()(torch.from_numpy(np.concatenate(rows)))
    fresh = read_parameters(module)
    for name in held:
        if name.endswith("running_var"):
            assert (held[name] > 0).all()
            assert np.abs(np.log(held[name] / fresh[name])).mean() < 0.5


def test_a_variance_below_zero_is_not_used():
    module = nn.Sequential(nn.BatchNorm1d(3))
    state = read_parameters(module)
    write_parameters(module, state | {"0.running_var": np.float32([-1, 0, 2])})
    assert torch.isfinite(module.eval()(torch.ones(2, 3))).all()
    assert read_parameters(module)["0.running_var"].tolist() == [0, 0, 2]
