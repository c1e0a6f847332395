"""What somebody without the repository has: `benchmarks/installed.py`, the short version."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("extras", ["edge", "client,edge", "server"])
def test_the_commands_work_as_typed(extras):
    program = [sys.executable, ROOT / "benchmarks" / "installed.py", "--quick", "--only", extras]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"[{extras}]" in done.stdout
