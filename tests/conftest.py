"""What all tests share."""

import os

# Tests run side by side on tensors too small to share between threads. Read when PyTorch is
# first imported, and inherited by the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from hypothesis import register_random, settings


class TorchRandom:
    """PyTorch's random numbers, for hypothesis: an example has the same weights when tried again."""

    seed = staticmethod(torch.manual_seed)
    getstate = staticmethod(torch.get_rng_state)
    setstate = staticmethod(torch.set_rng_state)


TORCH_RANDOM = TorchRandom()  # hypothesis keeps no reference of its own
register_random(TORCH_RANDOM)
# How long an example takes says more about the machine than about the code.
settings.register_profile("frugalfl", deadline=None)
settings.load_profile("frugalfl")


@pytest.fixture(autouse=True)
def no_ambient_settings(monkeypatch, tmp_path, tmp_path_factory):
    """Tests see no FrugalFL settings of the person who runs them, and write to no home."""
    monkeypatch.setenv("FRUGALFL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("FRUGALFL_DEBUG", raising=False)
