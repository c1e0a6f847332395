"""``frugalfl serve`` with real processes: what is killed comes back, and the bits are the same."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from frugalfl_server.run.directory import RunDirectory

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "simulations" / "digits"
BIN = Path(sys.executable).parent
SETTINGS = (
    "clients=2", "clients-per-round=2", "rounds=3", "local-epochs=1", "prune=0.0",
    "evaluate-rows=0", "private='8'", "uplink=feedback | topk(5%) | sign | golomb", "refresh=full",
    "initial=exact", "round-deadline=300",
)  # fmt: skip
pytestmark = pytest.mark.slow


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def process_of(folder, name):
    """Return the number of the process of that program that works in a folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if Path(os.readlink(process / "cwd")) == folder and any(
                word.endswith(name.encode()) for word in words[:2]
            ):
                return int(process.name)
        except OSError:  # it has ended, or is not ours
            continue
    return None


def until(condition, seconds=300):
    ends = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < ends, "nothing happened"
        time.sleep(0.05)
    return found


@contextmanager
def nodes(folder, port):
    """Two of Flower's own SuperNodes, which outlive the SuperLink."""
    children = []
    for number in range(2):
        home = folder / f"node{number}"
        home.mkdir()
        environment = {
            **os.environ, "FLWR_HOME": str(home / "flwr"), "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "FRUGALFL_HOME": str(home / "state"),
        }  # fmt: skip
        with (home / "log").open("wb") as log:
            children.append(
                subprocess.Popen(
                    [BIN / "flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{port}",
                     "--port", str(free_port()),
                     "--node-config", f"partition-id={number} num-partitions=2"],
                    cwd=home, env=environment, stdout=log, stderr=log,
                )
            )  # fmt: skip
    try:
        yield
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(60)


def serve(folder, port, *arguments):
    return subprocess.Popen(
        [BIN / "frugalfl", "serve", *map(str, arguments), "--insecure", "--port", str(port)],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finished_rounds(folder):
    log = folder / "runs" / "latest" / "progress.log"
    return re.findall(r"train +(\d)/3", log.read_text()) if log.exists() else []


def test_serverapp_and_superlink_are_killed_and_the_model_is_the_same(tmp_path):
    port = free_port()
    with nodes(tmp_path, port):
        whole = serve(tmp_path, port, DIGITS, *SETTINGS)
        said = whole.communicate(timeout=900)[1]
        assert whole.returncode == 0, said
        plain = RunDirectory.open(tmp_path / "runs" / "latest")

        broken = serve(tmp_path, port, DIGITS, *SETTINGS)
        until(lambda: plain.path != (tmp_path / "runs" / "latest").resolve())
        until(lambda: "1" in finished_rounds(tmp_path))
        os.kill(until(lambda: process_of(tmp_path, "flwr-serverapp")), signal.SIGKILL)
        broken.terminate()
        broken.communicate(timeout=60)
        until(lambda: process_of(tmp_path, "flower-superlink") is None, 60)

        rest = serve(tmp_path, port, "--resume", "latest")
        until(lambda: "2" in finished_rounds(tmp_path))
        os.kill(until(lambda: process_of(tmp_path, "flower-superlink")), signal.SIGKILL)
        said = rest.communicate(timeout=900)[1]
        assert rest.returncode == 0, said
        assert "the superlink ended (-9): starts again" in said
    resumed = RunDirectory.open(tmp_path / "runs" / "latest")
    assert resumed.path != plain.path
    assert [(r.round, r.updates, r.accuracy, r.uplink_bytes, r.downlink_bytes) for r in resumed.rounds] == [
        (r.round, r.updates, r.accuracy, r.uplink_bytes, r.downlink_bytes) for r in plain.rounds
    ]  # fmt: skip
    left, right = plain.load_checkpoint(), resumed.load_checkpoint()
    assert {name: a.tobytes() for name, a in left.items()} == {
        name: a.tobytes() for name, a in right.items()
    }
