"""What slow tests share."""

import pytest
from machines import Machines


@pytest.fixture
def machines(tmp_path):
    """Processes on this machine, without TLS; a file may have its own."""
    started = Machines(tmp_path / "machines")
    yield started
    started.stop()
