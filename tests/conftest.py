"""What all tests share."""

import pytest


@pytest.fixture(autouse=True)
def no_ambient_settings(monkeypatch, tmp_path):
    """Tests see no FrugalFL settings of the person who runs them, and write to no home."""
    monkeypatch.setenv("FRUGALFL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FRUGALFL_DEBUG", raising=False)
