"""What a disk makes of a run's files: one line that names the file, or the same figures."""

import random
import shutil

import numpy as np
import pytest
from attacking.run_files import damages, files_of

from frugalfl.energy import EnergyRecord
from frugalfl.energy.reading import Reading
from frugalfl.errors import RunError
from frugalfl.settings import Settings
from frugalfl_server.run import summary
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.records import HeadRecord, RoundRecord

ROUNDS = [
    RoundRecord("frugalfl", "train", number, 0.5, 1.0, 4, 4, 2000, 9000, None, 0.5, 0.2)
    for number in range(1, 30)
]
READING = Reading("cpu", 0.5, None, False, "cpu-time", "generic", "process", 0.5)
ENERGY = [
    EnergyRecord("run", str(client), 1, "train", "generic", 0.0, 0.1, 0.1, (READING,))
    for client in range(9)
]
MODEL = {"w": np.arange(60, dtype=np.float32)}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    run = RunDirectory.create(tmp_path_factory.mktemp("runs"), "digits", Settings(), app=None)
    run.rounds, run.energy = list(ROUNDS), list(ENERGY)
    run.heads = [HeadRecord("1", 2, 3, "ab" * 32)]
    run.checkpoint(MODEL, phase="train", round=29)
    run.flush()
    run.write_json(summary.STOPPED, {"why": "30 J, of stop-joules 29"})
    run.write_json("set_aside.json", {"set_aside": [{"node": "7", "round": 3, "why": "x"}]})
    run.write_json("summary.json", summary.of_run(run, "finished", None))
    return run.path


def figures(path):
    run = RunDirectory.open(path)
    model = {name: tensor.tobytes() for name, tensor in run.load_checkpoint().items()}
    return summary.of_run(run, *run.status()), run.rounds, run.energy, run.heads, model


@pytest.mark.parametrize("seed", range(3))
def test_it_is_one_line_or_nothing(sound, tmp_path, seed):
    rng = random.Random(seed)
    whole, refused = figures(sound), 0
    for name in files_of(sound, ["*.json", "*.parquet", "checkpoints/model.npz"]):
        for kind, damage in damages(sound / name, rng).items():
            copy = tmp_path / sound.name
            shutil.copytree(sound, copy)
            damage(copy / name)
            try:
                assert figures(copy) == whole, f"{name}, {kind}: other figures, and nobody said so"
            except RunError as error:
                refused += 1
                assert "\n" not in str(error), f"{name}, {kind}"
                named = name in str(error) or "not a run directory" in str(error)
                assert named, f"{name}, {kind}: {error}"
            shutil.rmtree(copy)
    assert refused > 50


def test_a_table_that_is_gone_is_missed(sound, tmp_path):
    copy = shutil.copytree(sound, tmp_path / "run")
    (copy / "rounds.parquet").unlink()
    with pytest.raises(RunError, match="rounds.parquet is missing"):
        RunDirectory.open(copy)


def test_an_app_that_moved_may_be_named_anew(sound, tmp_path):
    copy = shutil.copytree(sound, tmp_path / "run")
    path = copy / "run.json"
    path.write_text(path.read_text().replace('"app": null', '"app": "/elsewhere"'))
    assert RunDirectory.open(copy).read_json("run.json")["app"] == "/elsewhere"
    path.write_text(path.read_text().replace('"rounds": 80', '"rounds": 81'))
    with pytest.raises(RunError, match=r"run\.json is damaged \(its checksum does not agree\)"):
        RunDirectory.open(copy)
