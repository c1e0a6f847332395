"""Training programs in a web browser: LiteRT.js from npm, in headless Chromium."""

from __future__ import annotations

import functools
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from frugalfl.modules import read_parameters
from frugalfl.program import Program
from frugalfl_server.compiler import SIGNATURES, Adam, Optimizer, Sgd, trace_training
from frugalfl_server.compiler.reference import example_step
from frugalfl_server.compiler.runner import Runner

PACKAGE = "@litertjs/core@2.5.3"
PAGE = Path(__file__).with_name("page.html")
#: Seconds for the browser to load 9 MB of WebAssembly and to answer.
PATIENCE = 120
STEPS = 4

pytestmark = pytest.mark.browser


def browser() -> str | None:
    """Return the path of a browser, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def packages(tmp_path_factory) -> Path:
    """A folder with LiteRT.js in it, and a browser to run it."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: LiteRT.js comes from its registry")
    if browser() is None:
        pytest.skip("neither chromium nor google-chrome is installed")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm could not install {PACKAGE} in 5 minutes")
    if result.returncode:
        pytest.skip(f"npm cannot install {PACKAGE}: {result.stderr.strip().splitlines()[-1]}")
    return folder


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the page, the packages and the work, and takes the result."""

    def do_GET(self) -> None:
        if self.path in self.server.made:
            kind, data = self.server.made[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(data)
        else:
            super().do_GET()

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.server.results.put(json.loads(data))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def run_in_browser(packages: Path, program: Program, work: dict, profile: Path) -> dict:
    """Run calls of a program's signatures in a browser; return the outputs of each."""
    handler = functools.partial(Handler, directory=str(packages))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.results = queue.Queue()
        server.made = {
            "/": ("text/html", PAGE.read_bytes()),
            "/program.tflite": ("application/octet-stream", program.model),
            "/work": ("application/json", json.dumps({"signatures": work}).encode()),
        }
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [
            browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-dev-shm-usage", f"--user-data-dir={profile}",
            f"http://127.0.0.1:{server.server_port}/",
        ]  # fmt: skip
        with (profile.parent / "browser.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                done = server.results.get(timeout=PATIENCE)
            except queue.Empty:
                pytest.fail((profile.parent / "browser.log").read_text()[-2000:])
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                server.shutdown()
    assert "error" not in done, done["error"]
    return done["signatures"]


def as_json(inputs: dict[str, np.ndarray]) -> dict:
    return {
        name: {"shape": one.shape, "type": str(one.dtype), "values": one.ravel().tolist()}
        for name, one in ((name, np.asarray(value)) for name, value in inputs.items())
    }


def as_array(found: dict) -> np.ndarray:
    return np.array(found["values"], found["type"]).reshape(found["shape"])


def cnn() -> nn.Module:
    """Strides, groups, batch norm, both kinds of pooling, dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Hardswish(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1, groups=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Dropout(0.25), nn.Linear(12, 10),
    )  # fmt: skip


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        (mlp, Sgd()),
        (cnn, Sgd(momentum=0.9, proximal=True)),
        (cnn, Adam(weight_decay=0.01, decoupled=True, accumulate=2)),
    ],
    ids=["MLP", "CNN, momentum and FedProx", "CNN, AdamW of two batches"],
)
def test_every_signature_does_in_a_browser_what_it_does_in_litert(
    packages: Path, tmp_path: Path, model, optimizer: Optimizer
) -> None:
    torch.manual_seed(0)
    module = model()
    program = trace_training(
        module, loss="cross_entropy", optimizer=optimizer, planned=list(read_parameters(module)),
        batch=5, input_shape=(1, 8, 8),
    ).convert()  # fmt: skip
    runner = Runner(program.model)
    work = {name: calls_of(name, program, module, optimizer) for name in SIGNATURES}
    made = run_in_browser(
        packages, program, {name: [as_json(one) for one in given] for name, given in work.items()},
        tmp_path / "profile",
    )  # fmt: skip
    for name, given in work.items():
        carried: dict[str, np.ndarray] = {}
        for inputs, outputs in zip(given, made[name], strict=True):
            expected = runner.run(name, inputs | carried)
            carried = {key: value for key, value in expected.items() if key in inputs}
            assert outputs.keys() == expected.keys()
            for key, value in expected.items():
                found = as_array(outputs[key])
                np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-5, err_msg=key)
    begin, end = work["train"][0], made["train"][-1]
    moved = [np.abs(as_array(end[key]) - begin[key]).max() for key in end if key.startswith("p")]
    assert max(moved) > 1e-3


def calls_of(
    name: str, program: Program, module: nn.Module, optimizer: Optimizer
) -> list[dict[str, np.ndarray]]:
    """Return inputs of some calls of a signature, of other rows each."""
    taken = Runner(program.model)._interpreter.get_signature_runner(name).get_input_details()
    given = [example_step(program, module, optimizer, seed) for seed in range(STEPS)]
    rate = {"learning_rate": np.array(0.05, np.float32)}
    return [{key: value for key, value in (one | rate).items() if key in taken} for one in given]
