"""What a device keeps on its disk."""

import subprocess
import sys

import numpy as np
import pytest

from frugalfl.blocks import snap
from frugalfl.codec import parse_codec
from frugalfl.errors import RunError
from frugalfl_client.held import Held
from frugalfl_client.store import Store

HELD = Held(
    version=3,
    model={
        "b.w": snap(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)),
        "a": np.float32([[1]]),
    },
    residual={"b.w": np.full((3, 4), 1e-9, np.float32), "scalar": np.array(2.5, np.float32)},
)


def same(left, right):
    assert left.version == right.version
    for one, other in ((left.model, right.model), (left.residual, right.residual)):
        assert list(one) == list(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_what_was_saved_is_there_after_a_restart(tmp_path):
    path = tmp_path / "device" / "store.sqlite"
    store = Store(path)
    store.save("run", HELD)
    store.close()
    same(Store(path).load("run"), HELD)


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


def test_another_run_finds_nothing(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    store.save("run", HELD)
    same(store.load("other"), Held())


def test_a_new_run_replaces_the_old_one(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    store.save("old", HELD)
    store.save("new", Held(version=0, model={"w": np.zeros(2, np.float32)}))
    same(store.load("old"), Held())
    assert list(store.load("new").model) == ["w"]


def test_a_process_killed_while_it_saves_leaves_the_old_state(tmp_path):
    path = tmp_path / "store.sqlite"
    store = Store(path)
    store.save("run", HELD)
    store.close()
    program = (
        "import os, signal, numpy as np\nfrom pathlib import Path\n"
        "from frugalfl_client.held import Held\nfrom frugalfl_client.store import Store\n"
        f"store = Store(Path({str(path)!r}))\n"
        "insert = store._insert\n"
        "def killed(kind, *rest):\n"
        "    insert(kind, *rest)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "store._insert = killed\n"
        "store.save('run', Held(version=4, model={'w': np.ones(9, np.float32)}))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    same(Store(path).load("run"), HELD)


def test_a_file_that_is_no_store(tmp_path):
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"something else entirely, and long enough " * 40)
    with pytest.raises(RunError, match="cannot open the device's store"):
        Store(path)
