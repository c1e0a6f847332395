"""What all tests share."""

import os

# Tests run side by side on tensors too small to share between threads. Read when PyTorch is
# first imported, and inherited by the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest


@pytest.fixture(autouse=True)
def no_ambient_settings(monkeypatch, tmp_path):
    """Tests see no FrugalFL settings of the person who runs them, and write to no home."""
    monkeypatch.setenv("FRUGALFL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FRUGALFL_DEBUG", raising=False)
