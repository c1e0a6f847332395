"""Clients in processes where PyTorch cannot be imported, through a real SuperLink."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

DIGITS = Path(__file__).parents[2] / "simulations" / "digits"
BIN = Path(sys.executable).parent
NODES = 3
#: Python imports this before anything else, from the first folder of its path.
WITHOUT_TORCH = """
import sys


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "tensorflow"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Missing())
"""
SETTINGS = {
    "rounds": "5", "clients": f"{NODES}", "clients-per-round": f"{NODES}", "local-epochs": "2",
    "prune": "0", "refresh": "'alternate(full,last(2))'",
}  # fmt: skip

pytestmark = pytest.mark.slow


class Machines:
    """A SuperLink and its SuperNodes, each a process with a home of its own."""

    def __init__(self, folder):
        self._folder = folder
        self._started = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "FLWR_HOME": str(folder / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        }

    def start(self, name, *command, **environment):
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [BIN / command[0], *command[1:]], cwd=self._folder, start_new_session=True,
                env=self.environment | environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._started.append(process)

    def superlink(self):
        self.start("superlink", "flower-superlink", "--insecure", "--port", str(self._port))
        config = Path(self.environment["FLWR_HOME"]) / "config.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(
            '[superlink]\ndefault = "test"\n\n'
            f'[superlink.test]\naddress = "127.0.0.1:{self._port}"\ninsecure = true\n'
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.2)
        raise TimeoutError((self._folder / "superlink.log").read_text())

    def supernode(self, number, **environment):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.start(
            f"node-{number}", "flower-supernode", "--insecure", "--superlink",
            f"127.0.0.1:{self._port}", "--port", str(port), "--node-config",
            f'partition-id={number} num-partitions={NODES} seed=0 smallest-batch=1 '
            f'state-dir="{self._folder / f"device-{number}"}"',
            **environment,
        )  # fmt: skip

    def run(self, app, settings):
        config = " ".join(f"{key}={value}" for key, value in settings.items())
        return subprocess.run(
            [BIN / "flwr", "run", app, "test", "--stream", "--run-config", config],
            cwd=self._folder, env=self.environment, capture_output=True, text=True, timeout=400,
            check=False,
        )  # fmt: skip

    def beside(self):
        folder = self._folder / "pytorch"
        folder.mkdir(exist_ok=True)
        return folder

    def stop(self):
        for process in self._started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def machines(tmp_path):
    started = Machines(tmp_path)
    yield started
    started.stop()


def test_a_federation_without_pytorch_on_its_clients(machines, tmp_path):
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WITHOUT_TORCH)
    machines.superlink()
    for number in range(NODES):
        path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        machines.supernode(number, PYTHONPATH=path)
    result = machines.run(DIGITS, SETTINGS | {"trainer": "'litert'"})
    said = result.stdout + result.stderr
    assert "train    5/5" in said, said
    without = summary_of(tmp_path / "runs")
    assert without["updates"] == 5 * NODES, said
    assert 0 < without["program_bytes"] < without["downlink_bytes"]
    for number in range(NODES):
        assert "Traceback" not in (tmp_path / f"node-{number}.log").read_text()

    changes = [f"{key}={value.strip(chr(39))}" for key, value in SETTINGS.items()]
    here = [BIN / "frugalfl", "simulate", DIGITS, "trainer=torch", *changes]
    subprocess.run(here, cwd=machines.beside(), env=machines.environment, check=True, timeout=400)
    beside = summary_of(machines.beside() / "runs")
    assert beside["program_bytes"] == 0
    assert without["accuracy"] > 0.6
    assert abs(without["accuracy"] - beside["accuracy"]) <= 0.02


def summary_of(runs):
    return json.loads((runs / "latest" / "summary.json").read_text())
