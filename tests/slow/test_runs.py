"""Runs that are continued in unusual ways, as a user does it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

DIGITS = Path(__file__).parents[2] / "simulations" / "digits"
COMMAND = Path(sys.executable).with_name("frugalfl")
FEW = ("clients=6", "clients-per-round=3", "local-epochs=1", "recover-rounds=0", "prune=0")


def frugalfl(*arguments, cwd):
    done = subprocess.run(
        [COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_run_of_no_rounds_evaluates_and_exports_and_an_unfinished_one_takes_rows(tmp_path):
    frugalfl("simulate", DIGITS, *FEW, "rounds=3", cwd=tmp_path)
    first = (tmp_path / "runs" / "latest").resolve()
    again = frugalfl("simulate", DIGITS, *FEW, f"start-from={first}", "rounds=0", cwd=tmp_path)
    second = (tmp_path / "runs" / "latest").resolve()
    before, after = (json.loads((run / "summary.json").read_text()) for run in (first, second))
    assert after["accuracy"] == before["accuracy"] and after["rounds"] == 0
    assert after["accuracy_int8"] is not None and "start:" in again.stderr
    frugalfl("export", second, cwd=tmp_path)  # from the model that it keeps
    (second / "checkpoints" / "ranges.json").unlink()  # as one that was stopped before
    refused = subprocess.run(
        [COMMAND, "export", second], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode and "--calibration rows.npz" in refused.stderr
    rows = np.random.default_rng(0).random((200, 1, 8, 8), np.float32)
    np.savez(tmp_path / "rows.npz", x=rows)
    frugalfl("export", second, "--calibration", "rows.npz", cwd=tmp_path)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_in_serve_keeps_the_summary_and_says_how_to_go_on(machines, how):
    serving = machines.serve(DIGITS, *FEW, "clients-per-round=2", "rounds=60", "evaluate-rows=0")
    for number in range(2):
        machines.lean(number)
    serving.wait_for("train +2/60", 300)
    os.kill(serving.pid, how)
    assert serving.wait(60) == 130
    (run,) = [path.parent for path in machines.folder.rglob("summary.json")]
    about = json.loads((run / "summary.json").read_text())
    assert about["status"] == "interrupted" and about["rounds"] >= 2
    assert f"go on with: frugalfl serve --resume runs/{run.name}" in serving.said
