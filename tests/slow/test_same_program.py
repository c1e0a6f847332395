"""The same app and the same versions give the same program, whoever compiles it, and wherever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
#: Prints the digests of three nets' files; with an argument, after compiling something else.
COMPILE = """
import sys
import torch
from torch import nn
from zoo import NETS
from frugalfl.modules import read_parameters
from frugalfl.program_file import digest_of, pack
from frugalfl_server.compiler import Adam, Sgd, trace_training

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory, self.end = nn.GRU(3, 5, batch_first=True), nn.Linear(5, 4)

    def forward(self, x):
        return self.end(self.memory(x)[0][:, -1])

def compiled(module, shape, optimizer, batch=5):
    program = trace_training(module, loss="cross_entropy", optimizer=optimizer,
        planned=list(read_parameters(module)), batch=batch, input_shape=shape).convert()
    return digest_of(pack(program))

def all_of_them():
    return [
        compiled(NETS["ds-cnn"].task.new_model(), NETS["ds-cnn"].task.rows_of(0, 50).x.shape[1:],
            Sgd(momentum=0.9, proximal=True)),
        compiled(Recurrent(), (4, 3), Adam(clip_norm=0.1)),
        compiled(nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.2), nn.Linear(8, 4)), (6,), Sgd()),
    ]

if len(sys.argv) > 1:
    torch.manual_seed(int(sys.argv[1]))
    compiled(nn.Sequential(nn.Linear(7, 3), nn.Tanh(), nn.Linear(3, 4)), (7,), Adam(), batch=3)
print(*all_of_them())
"""


def digests(folder: Path, hash_seed: int, *arguments: str) -> str:
    folder.mkdir()
    paths = [ROOT / "benchmarks", os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ, "PYTHONHASHSEED": str(hash_seed), "TMPDIR": str(folder),
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, *arguments], cwd=folder, env=environment, check=True,
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    return done.stdout.splitlines()[-1]


def test_two_processes_compile_the_same_bytes(tmp_path) -> None:
    first = digests(tmp_path / "owner", 1)
    assert len(set(first.split())) == 3
    assert digests(tmp_path / "a server elsewhere", 4242, "7") == first
