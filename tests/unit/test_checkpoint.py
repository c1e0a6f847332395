"""A checkpoint comes back as it was, or is refused."""

import json
import os
import random
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from energy_records import RECORD
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from frugalfl.energy.record_json import to_text
from frugalfl.errors import RunError
from frugalfl_server.run.checkpoint import (
    random_state,
    read_checkpoint,
    set_random_state,
    write_checkpoint,
)
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.records import HeadRecord, RoundRecord
from frugalfl_server.run.resume import claimed

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.uint8]),
        arrays.array_shapes(min_dims=0, min_side=0),
        elements=st.integers(0, 100),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text("abc.$", max_size=3).filter(lambda k: not k.startswith("$")), inner
        )
    ),
    max_leaves=8,
)


def same(one, other):
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


@settings(max_examples=60, deadline=None)
@given(tree=st.dictionaries(st.sampled_from("abc"), VALUES))
def test_a_tree_comes_back_as_it_was(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("checkpoint") / "resume.npz"
    write_checkpoint(path, tree)
    assert same(tree, read_checkpoint(path))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "resume.npz"
    write_checkpoint(path, {"model": {"w": np.arange(40, dtype=np.float32)}, "frames": b"ab" * 9})
    return path, path.read_bytes()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_harmless(written, data):
    """One changed or missing byte: the same tree comes back, or one line says that it is damaged."""
    path, whole = written
    path.write_bytes(whole)
    expected = read_checkpoint(path)
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        changed = bytearray(whole)
        changed[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(changed)
    else:
        path.write_bytes(whole[:place])
    try:
        assert same(expected, read_checkpoint(path))
    except RunError as error:
        assert "damaged" in str(error) and "\n" not in str(error)


def test_another_format_names_both(written, monkeypatch):
    path, whole = written
    path.write_bytes(whole)
    monkeypatch.setattr("frugalfl_server.run.checkpoint.FORMAT", 7)
    with pytest.raises(RunError, match="has format 1, this FrugalFL reads 7"):
        read_checkpoint(path)


def test_nothing_is_pickled(tmp_path):
    with pytest.raises(TypeError, match="cannot hold a object"):
        write_checkpoint(tmp_path / "resume.npz", {"a": object()})
    assert not list(tmp_path.iterdir())


def test_random_numbers_go_on_where_they_were(tmp_path):
    def draw():
        return random.random(), random.gauss(0, 1), np.random.random(), torch.rand(1).item()

    write_checkpoint(tmp_path / "resume.npz", random_state())
    drawn = [draw() for _ in range(3)]
    set_random_state(read_checkpoint(tmp_path / "resume.npz"))
    assert [draw() for _ in range(3)] == drawn


def test_a_run_is_worked_on_by_one_process_at_a_time(tmp_path):
    run = RunDirectory(tmp_path)
    says = f"process {os.getpid()} still works on"
    with claimed(run), pytest.raises(RunError, match=says), claimed(run):
        pass
    with claimed(run):
        pass


ROUND = RoundRecord("one", "train", 1, 0.9, 0.1, 2, 2, 0, 0, None, 10.0, 1.0)


@pytest.mark.parametrize("each", [1, 400])  # few are texts in a checkpoint, many are tables
def test_rows_that_are_not_in_the_tables_yet_come_back_from_a_checkpoint(tmp_path, each):
    (tmp_path / "run.json").write_text(
        json.dumps({"task": "t", "settings": {}, "versions": {}, "app": None})
    )
    run = RunDirectory(tmp_path)
    for number in range(5):
        energy = [replace(RECORD, round=number, samples=one) for one in range(each)]
        heads = [HeadRecord("7", number, one, "ab", "1007") for one in range(each)]
        run.add_round(replace(ROUND, round=number), energy, heads)
        if number == 1:
            run.flush()
        position = run.position()
    energy, heads = list(run.energy), list(run.heads)
    write_checkpoint(tmp_path / "resume.npz", {"tables": position})
    position = read_checkpoint(tmp_path / "resume.npz")["tables"]
    read = RunDirectory.open(tmp_path)
    assert len(read.energy) == len(read.heads) == 2 * each
    read.go_back_to(position)
    assert (read.energy, read.heads, read.rounds) == (energy, heads, run.rounds)
    older = {
        "written": [2, 2 * each, 2 * each],
        "rounds": position["rounds"],
        "energy": [to_text(one) for one in energy[2 * each :]],
        "heads": [asdict(one) for one in heads[2 * each :]],
    }
    read.go_back_to(older)
    assert (read.energy, read.heads) == (energy, heads)
    read.flush()
    assert RunDirectory.open(tmp_path).energy == energy
