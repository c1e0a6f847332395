"""Programs that were compiled before: found again, bounded, and no way into a server."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from frugalfl.program_file import digest_of, pack, unpack
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_server.cohort.training_programs import Compiling, TrainingPrograms
from frugalfl_server.compiler import optimizer_of, trace_training
from frugalfl_server.compiler.program_cache import ProgramCache

SETTINGS = Settings.of(trainer="litert", batch_size=4, prune=0.0)
ROWS = Examples(np.zeros((8, 6), np.float32), np.arange(8) % 3)


def model(hidden=9, scale=1.0):
    class Scaled(nn.Module):
        def forward(self, x):
            return x * scale

    return nn.Sequential(nn.Linear(6, hidden), Scaled(), nn.Linear(hidden, 3))


class Server:
    """One process of a server, as far as programs go."""

    def __init__(self, module):
        self.prepared = []
        task = Task("t", model=lambda: module, client_data=lambda *_: ROWS)
        self.programs = TrainingPrograms(
            task, SETTINGS, ROWS, compiling=Compiling(set_up=self.prepared.append)
        )
        self.programs.follow(module)
        self.names = tuple(name for name, _ in module.named_parameters())

    def compile(self):
        return self.programs.program_for(self.names, proximal=False)

    @property
    def converted(self):
        return "compile" in self.prepared


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A cache with the program of :func:`model`, and its digest."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        server = Server(model())
        sent = server.compile()
    assert server.converted
    return folder, sent


@pytest.fixture
def cache(home, monkeypatch):
    folder, _ = home
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "frugalfl" / "training-programs"


def test_a_second_server_takes_the_same_bytes_without_converting(cache, home, caplog):
    _, sent = home
    caplog.set_level("INFO")
    server = Server(model())
    assert server.compile() == sent
    assert not server.converted
    assert f"compiled before, from {cache}" in caplog.text
    assert cache.stat().st_mode & 0o777 == 0o700
    (file,) = cache.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes() == sent.file  # the file that travels to devices, and nothing else


def test_the_numbers_of_a_model_do_not_matter_and_its_code_does(cache):
    def key(module):
        names = [name for name, _ in module.named_parameters()]
        return trace_training(
            module, loss="cross_entropy", planned=names, batch=4, input_shape=(6,),
            optimizer=optimizer_of(SETTINGS.train.local_optimizer, False),
        ).key  # fmt: skip

    first = key(model())
    torch.manual_seed(5)
    assert key(model()) == first  # other weights, which are inputs
    assert key(model(scale=2.0)) != first  # the same layers by name, another code
    assert key(model(hidden=8)) != first


@pytest.mark.slow
def test_a_sound_program_that_does_something_else_is_compiled_anew(cache, home):
    """Somebody put it under the right name: a step of it is not PyTorch's."""
    _, sent = home
    (file,) = cache.iterdir()
    other = Server(model(scale=2.0)).compile()
    (second,) = set(cache.iterdir()) - {file}
    key = file.name.partition(".")[0]
    file.unlink()
    second.rename(cache / f"{key}.{other.digest}")
    server = Server(model())
    assert server.compile() == sent
    assert server.converted
    (again,) = cache.iterdir()
    assert (again.name, again.read_bytes()) == (f"{key}.{sent.digest}", sent.file)


@pytest.mark.parametrize("what", ["truncated", "flipped", "another's", "link", "huge", "folder"])
def test_what_is_not_to_be_trusted_is_not_found_and_makes_room(home, tmp_path, what):
    _, sent = home
    program = unpack(sent.file, sent.digest)
    cache = ProgramCache(tmp_path / "c")
    cache.keep("k", program)
    (file,) = cache.folder.iterdir()
    assert cache.find("k", replace(program, model=b"")) == program
    if what == "truncated":
        file.write_bytes(sent.file[:-3])
    elif what == "flipped":
        file.write_bytes(sent.file[:50] + bytes([sent.file[50] ^ 1]) + sent.file[51:])
    elif what == "another's":
        lie = pack(replace(program, batch=8))
        file.unlink()
        (cache.folder / f"k.{digest_of(lie)}").write_bytes(lie)
    elif what == "link":
        file.rename(tmp_path / "stolen")
        file.symlink_to(tmp_path / "stolen")
    elif what == "huge":
        os.truncate(file, 1 << 29)
    else:
        file.unlink()
        file.mkdir()
    assert cache.find("k", replace(program, model=b"")) is None
    cache.keep("k", program)
    assert (cache.find("k", program) == program) is (what != "folder")


def test_it_is_bounded_and_drops_what_was_not_used_the_longest(home, tmp_path):
    _, sent = home
    program = unpack(sent.file, sent.digest)
    cache = ProgramCache(tmp_path / "c", most_bytes=int(3.5 * len(sent.file)))
    for number in range(3):
        cache.keep(f"k{number}", program)
        (path,) = cache.folder.glob(f"k{number}.*")
        os.utime(path, (number, number))
    assert cache.find("k0", program) == program  # used now
    cache.keep("k3", program)
    assert [cache.find(f"k{n}", program) is not None for n in range(4)] == [True, False, True, True]


def test_a_cache_that_cannot_be_written_costs_time_only(home, tmp_path):
    _, sent = home
    program = unpack(sent.file, sent.digest)
    (tmp_path / "file").write_text("no folder")
    cache = ProgramCache(tmp_path / "file" / "c")
    cache.keep("k", program)
    assert cache.find("k", program) is None
