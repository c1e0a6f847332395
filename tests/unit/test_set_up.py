"""What takes seconds to load is loaded before anything is metered, or not at all."""

import subprocess
import sys

from frugalfl.energy import choose_meter, profile_named
from frugalfl.energy.recorder import Recorder
from frugalfl_server.phases import load_libraries as module
from frugalfl_server.phases.load_libraries import set_up

RANGES = """
import sys, numpy as np, torch
from frugalfl.activation_ranges import ranges_of
print(ranges_of(torch.nn.ReLU(), np.array([[-1, 2]], np.float32)).tolist())
assert "torch._dynamo" not in sys.modules
"""


def test_a_devices_ranges_take_no_compiler():
    """It is a second of processor time, in the first device's calibration."""
    done = subprocess.run(
        [sys.executable, "-c", RANGES], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[[-1.0, 2.0], [0.0, 2.0]]"


def test_only_what_is_missing_is_loaded_and_charged(monkeypatch):
    energy = Recorder(
        choose_meter(profile_named("generic")), run="r", client="server", device="generic"
    )
    monkeypatch.setitem(module._LIBRARIES, "prune", ("wave", "no_such_library", "chunk"))
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    set_up(energy, "prune", 7)
    (record,) = energy.take()
    assert (record.phase, record.round) == ("setup", 7) and "wave" in sys.modules
    monkeypatch.setitem(module._LIBRARIES, "prune", ("wave", "json"))
    set_up(energy, "prune", 8)
    assert energy.take() == ()
