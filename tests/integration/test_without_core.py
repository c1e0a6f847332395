"""Python alone, as on a machine without a C compiler, keeps the golden frames and the codecs' laws."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, pytest
from frugalfl import native
assert native.core() is None, native.state()
sys.exit(pytest.main(sys.argv[1:]))
"""
#: Laws that cost a minute of processor time each; the others hold Python to the same bytes.
LONG = ("unbiased", "mutated", "telescopes", "sixteen", "same_input", "as_long")


def test_golden_frames_and_laws_hold_without_the_core():
    done = subprocess.run(
        [
            sys.executable, "-c", PROGRAM, "tests/golden", "tests/laws/test_codecs.py",
            "-q", "-p", "no:cacheprovider", "-k", " and ".join(f"not {name}" for name in LONG),
        ],
        cwd=ROOT, env={**os.environ, "FRUGALFL_NATIVE": "0"}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 250, done.stdout
    assert "skipped" not in done.stdout
