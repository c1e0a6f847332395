"""Loading libraries is charged to no device, and to no work of the server that needs them."""

import subprocess
import sys
from pathlib import Path

import pytest

DIGITS = Path(__file__).parents[2] / "simulations" / "digits"
#: Notes for each import inside a metered window which window it was: the innermost one. Into a
#: file: some libraries are loaded while nothing can be printed.
SPY = """
import contextlib, sys
from pathlib import Path
from frugalfl.energy.meter import Meter
open_windows, real, notes = [], Meter.window, open("imports", "w", buffering=1)

class Spy:
    def find_spec(self, name, path=None, target=None):
        if open_windows:
            print(open_windows[-1], name, file=notes)

@contextlib.contextmanager
def window(self, phase, apart=False):
    open_windows.append(phase)
    try:
        with real(self, phase, apart) as one:
            yield one
    finally:
        open_windows.pop()

Meter.window = window
sys.meta_path.insert(0, Spy())
from frugalfl_sim.apps import read_settings
from frugalfl_sim.simulate import simulate_app
app = Path(sys.argv[1])
simulate_app(app, read_settings(app, sys.argv[2:]), Path("runs"), False)
"""
FEW = ("rounds=1", "clients=2", "clients-per-round=2", "local-epochs=1", "recover-rounds=1")


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["torch", "litert"])
def test_imports_are_in_a_phase_of_their_own(tmp_path, trainer):
    subprocess.run(
        [sys.executable, "-c", SPY, DIGITS, *FEW, f"trainer={trainer}"],
        cwd=tmp_path, capture_output=True, timeout=500, check=True,
    )  # fmt: skip
    seen = [line.split() for line in (tmp_path / "imports").read_text().splitlines()]
    of_devices = {"prepare", "decode", "evaluate", "train", "calibrate"}
    assert [name for phase, name in seen if phase in of_devices] == []
    charged = [name for phase, name in seen if phase == "setup"]
    assert {"torch_pruning", "litert_torch"} <= set(charged)
    elsewhere = [name for phase, name in seen if phase != "setup"]
    assert len(elsewhere) < len(charged) / 20, elsewhere
