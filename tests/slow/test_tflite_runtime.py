"""Training programs in tflite-runtime 2.14, which is what 32-bit Raspberry Pi OS has."""

import os
import subprocess
import venv
from pathlib import Path

import numpy as np
import pytest
import torch

from frugalfl.blocks import Layout
from frugalfl.modules import read_parameters
from frugalfl.program_file import digest_of, pack
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.training.pytorch import TorchTrainer
from frugalfl_server.cohort.training_programs import SIGNATURES
from frugalfl_server.compiler import Sgd, trace_training
from frugalfl_sim.apps import importable

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "simulations" / "digits"
#: What FrugalFL itself needs is listed too, because it is not installed there but on the path.
PACKAGES = ("tflite-runtime==2.14.0", "numpy<2", "zstandard", "typer", "rich")
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from frugalfl.program_file import unpack
from frugalfl.settings import Settings
from frugalfl.task import Examples
from frugalfl_client.training.litert import LiteRTTrainer

folder = Path(sys.argv[1])
program = unpack((folder / "program").read_bytes(), sys.argv[2])
with np.load(folder / "rows.npz") as file:
    rows = Examples(file["x"], file["y"])
with np.load(folder / "parameters.npz") as file:
    parameters = {name: file[name] for name in file.files}
trainer = LiteRTTrainer(program, Settings(local_epochs=2, prune=0.0))
trained = trainer.train(parameters, trainer.layout.everything, rows, 0.05, (0, 1))
np.savez(folder / "update.npz", ranges=trainer.calibrate(parameters, rows), **trained.update)
assert "tflite_runtime" in sys.modules and "torch" not in sys.modules
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An environment of its own, because tflite-runtime needs an older numpy."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    found = folder / "bin" / "python"
    subprocess.run([found, "-m", "pip", "install", "--quiet", *PACKAGES], check=True, timeout=300)
    return found


def test_an_epoch_in_tflite_runtime_equals_pytorch(python, tmp_path):
    torch.manual_seed(0)
    with importable(DIGITS):
        task = load_task("task:task")
        rows, module = task.rows_of(3, 40), task.new_model()
    parameters = read_parameters(module)
    everything = Layout.of(parameters).everything
    file = pack(
        trace_training(
            module, loss="cross_entropy", optimizer=Sgd(momentum=0.9), planned=list(parameters),
            batch=16, input_shape=(1, 8, 8), signatures=SIGNATURES,
        ).convert()
    )  # fmt: skip
    (tmp_path / "program").write_bytes(file)
    np.savez(tmp_path / "rows.npz", x=rows.x, y=rows.y)
    np.savez(tmp_path / "parameters.npz", **parameters)
    path = os.pathsep.join(str(ROOT / name) for name in ("shared", "client", "edge"))
    subprocess.run(
        [python, "-c", PROGRAM, tmp_path, digest_of(file)], check=True, timeout=120,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    trainer = TorchTrainer(task, Settings.of(local_epochs=2, prune=0.0))
    expected = trainer.train(parameters, everything, rows, 0.05, (0, 1)).update
    with np.load(tmp_path / "update.npz") as found:
        for name, step in expected.items():
            np.testing.assert_allclose(found[name], step, rtol=0, atol=1e-5)
        ranges = trainer.calibrate(parameters, rows)
        np.testing.assert_allclose(found["ranges"], ranges, rtol=1e-5, atol=1e-5)
