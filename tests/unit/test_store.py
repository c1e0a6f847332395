"""What a device keeps on its disk."""

import subprocess
import sys

import numpy as np
import pytest

from frugalfl.blocks import snap
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
