"""What a device keeps on its disk, and what it notices when the disk fails."""

import random
import sqlite3
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from frugalfl.blocks import snap
from frugalfl.codec import parse_codec
from frugalfl.errors import RunError
from frugalfl_client.held import Held
from frugalfl_client.store import KEPT_RUNS, Store

HELD = Held(
    version=3,
    model={
        "b.w": snap(np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)),
        "a": np.float32([[1]]),
    },
    residual={"b.w": np.full((3, 4), 1e-9, np.float32), "scalar": np.array(2.5, np.float32)},
    private={"head.w": np.random.default_rng(1).normal(size=(20, 30)).astype(np.float32)},
)
PARTS = ("model", "residual", "private")


def same_tensors(one, other):
    return list(one) == list(other) and all(np.array_equal(one[n], other[n]) for n in one)


def same(left, right):
    assert left.version == right.version
    for part in PARTS:
        assert same_tensors(getattr(left, part), getattr(right, part)), part


@pytest.fixture
def path(tmp_path):
    """A store of two runs, closed."""
    path = tmp_path / "device" / "store.sqlite"
    store = Store(path)
    store.save("run", HELD)
    store.save("other", replace(HELD, version=9))
    store.close()
    return path


def test_error_feedback_goes_on_after_a_restart_as_if_there_had_been_none(tmp_path):
    """Residual, momentum and staleness: the device's frames are the same bytes either way."""
    rng = np.random.default_rng(3)
    codec = parse_codec("feedback(momentum 0.9, decay 0.8) | topk(20%) | sign | golomb")
    path = tmp_path / "store.sqlite"
    kept, restarted = Held(version=1), Held(version=1)
    for version in (2, 3, 9, 10):
        update = {"a.w": rng.normal(size=(5, 8)).astype(np.float32)}
        payloads = []
        for held in (kept, restarted):
            missed = held.missed(version)
            payload, held.residual = codec.encode(update, held.residual, version, missed)
            held.version = version
            payloads.append(payload)
        assert payloads[0] == payloads[1]
        store = Store(path)
        store.save("run", restarted)
        store.close()
        restarted = Store(path).load("run")
        same(restarted, kept)


def test_versions_that_passed_are_counted_from_the_last_update():
    assert [Held(version=4).missed(version) for version in (4, 5, 6, 20)] == [0, 0, 1, 15]
    assert Held().missed(20) == 0  # nothing held, nothing stale


def test_what_was_saved_is_there_after_a_restart(path):
    held = Store(path).load("run")
    same(held, HELD)
    assert held.damage == ""


def test_an_unknown_run_finds_nothing(path):
    held = Store(path).load("unknown")
    same(held, Held())
    assert held.damage == ""


def test_runs_that_take_turns_keep_apart(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    expected = {}
    for turn in range(3):
        for number in range(KEPT_RUNS):
            run = f"run {number}"
            held = store.load(run)
            same(held, expected.get(run, Held()))
            expected[run] = Held(turn, {"w": np.full(2, 10 * number + turn, np.float32)})
            store.save(run, expected[run])


def test_the_run_that_was_not_used_the_longest_makes_room(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    for number in range(KEPT_RUNS):
        store.save(f"run {number}", replace(HELD, version=number))
    store.save("run 0", replace(HELD, version=70))
    store.save("one more", HELD)
    assert [store.load(f"run {n}").version for n in range(KEPT_RUNS)] == [70, -1, 2, 3]


def test_the_disk_is_bounded(tmp_path):
    def used(runs):
        folder = tmp_path / str(runs)
        store = Store(folder / "store.sqlite")
        for number in range(runs):
            big = {"w": np.full((500, 500), number, np.float32)}
            store.save(f"run {number}", Held(0, big, big, big))
        store.close()
        return sum(file.stat().st_size for file in folder.iterdir())

    assert used(40) <= used(KEPT_RUNS + 1) * 1.05


def test_a_process_killed_while_it_saves_leaves_the_old_state(path):
    program = (
        "import os, signal, numpy as np\nfrom pathlib import Path\n"
        "from frugalfl_client import kept_runs\n"
        "from frugalfl_client.held import Held\nfrom frugalfl_client.store import Store\n"
        f"store = Store(Path({str(path)!r}))\n"
        "insert = kept_runs._insert\n"
        "def killed(*arguments):\n"
        "    insert(*arguments)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "kept_runs._insert = killed\n"
        "store.save('run', Held(version=4, model={'w': np.ones(9, np.float32)}))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    same(Store(path).load("run"), HELD)


def check_after_damage(path):
    """Whatever happened to the file: no wrong content, a notice, and it works on."""
    store = Store(path)
    held = store.load("run")
    lost = []
    for part in PARTS:
        kept = getattr(held, part)
        if not same_tensors(kept, getattr(HELD, part)):
            assert kept == {}, part
            lost.append(part)
    assert held.version == (-1 if "model" in lost else HELD.version)
    assert held.damage or not lost
    store.save("run", HELD)
    same(store.load("run"), HELD)  # with a notice, where only writing found the damage
    again = store.load("run")
    same(again, HELD)
    assert again.damage == ""
    store.close()
    return lost


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_is_noticed(path, seed):
    whole = path.read_bytes()
    rng = random.Random(seed)
    # The header and the schema are small, and the most dangerous: half of the flips go there.
    places = [rng.randrange(400) for _ in range(40)] + [
        rng.randrange(len(whole)) for _ in range(40)
    ]
    outcomes = set()
    for place in places:
        data = bytearray(whole)
        data[place] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        outcomes.add(tuple(check_after_damage(path)))
        path.with_name("store.sqlite.damaged").unlink(missing_ok=True)
    assert PARTS in outcomes  # a whole file that was set aside
    assert {("model",), ("private",)} & outcomes  # a single part


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_noticed(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert check_after_damage(path) == list(PARTS)


def test_an_emptied_file_is_a_new_one(path):
    path.write_bytes(b"")
    held = Store(path).load("run")
    same(held, Held())
    assert held.damage == ""


@pytest.mark.parametrize(
    ("statement", "lost"),
    [
        ("DELETE FROM tensors WHERE kind = 'model' AND place = 0", ["model"]),
        ("DELETE FROM tensors WHERE kind = 'private'", ["private"]),
        ("DELETE FROM tensors", list(PARTS)),
        ("DELETE FROM parts WHERE kind = 'residual'", ["residual"]),
        ("UPDATE slots SET version = -7", ["model"]),
        ("UPDATE slots SET version = 4", ["model"]),
        ("UPDATE tensors SET shape = '40,30' WHERE name = 'b.w' AND kind = 'model'", ["model"]),
        ("UPDATE tensors SET data = zeroblob(length(data)) WHERE kind = 'residual'", ["residual"]),
        ("UPDATE tensors SET data = 5 WHERE kind = 'private'", ["private"]),
        ("UPDATE tensors SET name = CAST(x'ff' AS TEXT) WHERE kind = 'private'", ["private"]),
    ],
)
def test_rows_that_were_deleted_or_changed_are_noticed(path, statement, lost):
    with sqlite3.connect(path) as database:
        database.execute(statement)
    database.close()
    assert check_after_damage(path) == lost


def test_damage_while_the_store_is_open_is_noticed(path):
    store = Store(path)
    same(store.load("run"), HELD)
    data = bytearray(path.read_bytes())
    for place in range(100, len(data), 7):
        data[place] ^= 0xFF
    path.write_bytes(data)
    store.save("run", HELD)  # SQLite may have its pages in memory still, or begin anew
    held = store.load("run")
    same(held, HELD)


def test_a_file_that_is_no_store_is_set_aside(tmp_path):
    path = tmp_path / "store.sqlite"
    text = b"something else entirely, and long enough " * 40
    path.write_bytes(text)
    store = Store(path)
    assert "damaged" in store.load("run").damage
    assert store.load("run").damage == ""  # said once
    assert (tmp_path / "store.sqlite.damaged").read_bytes() == text


def test_a_store_that_cannot_be_opened(tmp_path):
    (tmp_path / "store.sqlite").mkdir()
    with pytest.raises(RunError, match="cannot open the device's store"):
        Store(tmp_path / "store.sqlite")


def test_work_that_was_in_vain_is_forgotten(tmp_path):
    """The server was stopped in round 5 and resumes with it; then again in round 7."""
    store = Store(tmp_path / "store.sqlite")
    held = {}
    for round_ in (3, 5):
        held[round_] = replace(HELD, version=round_, round=round_)
        store.save("run", held[round_])
    same(store.load("run"), held[5])
    same(store.load("run", (6,)), held[5])  # round 5 was over by then
    for _ in range(2):
        same(store.load("run", (5,)), held[3])
    again = replace(HELD, version=50, round=5, attempt=1)
    store.save("run", again)
    same(store.load("run", (5,)), again)
    same(store.load("run", (5, 7)), again)
    same(Store(store.path).load("run", (5, 5)), held[3])


def test_a_first_round_in_vain_leaves_nothing(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    store.save("run", replace(HELD, round=1))
    same(store.load("run", (1,)), Held())
    assert store.load("run").damage == ""


def test_damage_to_the_newest_state_leaves_the_one_before(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    for round_ in (1, 2):
        store.save("run", replace(HELD, version=round_, round=round_))
    store.close()
    with sqlite3.connect(store.path) as database:
        database.execute("DELETE FROM tensors WHERE kind = 'model-1'")
    database.close()
    store = Store(store.path)
    assert store.load("run").version == -1
    same(store.load("run", (2,)), replace(HELD, version=1))


TREES = Held(version=2, trees=(b"bins", b"base", bytes(range(256))), round=4)


@pytest.fixture
def grown(tmp_path):
    """A store of a run of trees, beside one of a network."""
    store = Store(tmp_path / "store.sqlite")
    store.save("run", TREES)
    store.save("other", HELD)
    store.close()
    return store.path


def test_trees_are_there_after_a_restart_and_go_back_as_models_do(grown):
    store = Store(grown)
    assert store.load("run") == TREES
    more = replace(TREES, version=3, trees=(*TREES.trees, b"more"), round=6)
    store.save("run", more)
    assert Store(grown).load("run").trees == more.trees
    assert store.load("run", (6,)).trees == TREES.trees
    same(store.load("other"), HELD)
    assert store.load("other").trees == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tensors SET data = x'00' WHERE kind = 'trees' AND place = 1",
        "DELETE FROM tensors WHERE kind = 'trees' AND place = 2",
        "DELETE FROM tensors WHERE kind = 'trees'",
        "DELETE FROM parts WHERE kind = 'trees'",
        "UPDATE slots SET version = 1 WHERE run = 'run'",
    ],
)
def test_damaged_trees_are_noticed_and_sent_anew(grown, statement):
    with sqlite3.connect(grown) as database:
        database.execute(statement)
    database.close()
    held = Store(grown).load("run")
    assert (held.version, held.trees) == (-1, ())
    assert "trees lost" in held.damage
    other = Store(grown).load("other")
    same(other, HELD)


def test_a_store_from_before_it_held_trees_is_read(path):
    """A network's run has no part for them, then as now."""
    with sqlite3.connect(path) as database:
        (parts,) = database.execute(
            "SELECT count(*) FROM parts WHERE kind LIKE 'trees%'"
        ).fetchone()
    database.close()
    assert parts == 0
    assert Store(path).load("run").damage == ""


def test_a_round_costs_the_disk_few_statements(tmp_path):
    """Every one is processor time on a device; rows of one table go in as one statement."""
    store = Store(tmp_path / "store.sqlite")
    store.save("run", HELD)
    asked = []
    store._file._db.set_trace_callback(asked.append)
    held = store.load("run")
    loading = len(asked)
    store.save("run", replace(held, version=4, round=2))
    rows = sum(len(getattr(HELD, part)) + 1 for part in PARTS)
    assert loading <= 3
    assert len(asked) - loading - rows <= 7  # beside the rows, with BEGIN and COMMIT
