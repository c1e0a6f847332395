"""The same app under Flower's own runtime: SuperLink, Ray, a process for each part."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import DIGITS

BIN = Path(sys.executable).parent


@pytest.fixture
def flower(tmp_path):
    """Call ``flwr`` with a home, and a local SuperLink, of its own; stop that afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "FLWR_HOME": str(tmp_path / "flwr"),
        "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": str(port),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    }

    def call(*arguments):
        return subprocess.run(
            [BIN / "flwr", *arguments], cwd=tmp_path, env=environment,
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip

    yield call
    for process in Path("/proc").glob("[0-9]*"):
        try:
            home = f"FLWR_HOME={tmp_path / 'flwr'}".encode()
            if home in (process / "environ").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:  # it has ended, or is not ours
            continue


def test_flwr_run(flower, tmp_path):
    result = flower(
        "run", str(DIGITS), "local", "--stream",
        "--run-config", "rounds=2 clients=10 clients-per-round=2 local-epochs=1 recover-rounds=1",
        "--federation-config", "num-supernodes=10 client-resources-num-cpus=1",
    )  # fmt: skip
    assert "recover    3/3" in result.stdout + result.stderr
    run = tmp_path / "runs" / "latest"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert summary["updates"] == 6
    assert 0 < summary["uplink_bytes_per_update"] < 600
    assert summary["accuracy_int8"] is not None
    assert (run / "report.html").is_file()
    # The devices kept their own state and ledgers, each in a folder of its own.
    assert list((tmp_path / "home").glob("client-*/ledger.sqlite"))


@pytest.mark.slow
def test_flwr_run_without_rounds(flower, app, tmp_path):
    project = app() / "pyproject.toml"
    text = project.read_text().replace("prune = 0.5", 'prune = 0.0\nasynchronous = "buffered(2)"')
    project.write_text(text)
    result = flower(
        "run", str(project.parent), "local", "--stream",
        "--run-config", "rounds=4 clients=6 clients-per-round=3 local-epochs=1",
        "--federation-config", "num-supernodes=6 client-resources-num-cpus=1",
    )  # fmt: skip
    assert "train    4/4" in result.stdout + result.stderr
    summary = json.loads((tmp_path / "runs" / "latest" / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert (summary["updates"], summary["simulated_s"]) == (8, None)
