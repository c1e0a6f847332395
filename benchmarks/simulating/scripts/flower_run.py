"""Flower's simulation by its command line, ``flwr run``, on a SuperLink that runs simulations.

``flwr run`` starts such a SuperLink by itself and leaves it running; here it is started with the
same options and ended.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from measured import Workload, parser, show_file, tell

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_link(port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start the SuperLink and wait until it answers."""
    link = subprocess.Popen(
        [
            BIN / "flower-superlink", "--insecure", "--simulation", "--isolation", "subprocess",
            "--control-api-address", f"127.0.0.1:{free_port()}", "--host", "127.0.0.1",
            "--port", str(port), "--log-file", log,
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return link
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    link.terminate()
    raise SystemExit("the SuperLink did not start within 60 s")


def main() -> None:
    options = parser().parse_args()
    workload = Workload(options.data)
    with tempfile.TemporaryDirectory() as temporary:
        folder, port = Path(temporary), free_port()
        answer = folder / "answer.json"
        tell(options, answer)
        os.environ |= {
            "FLWR_HOME": str(folder), "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip
        (folder / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "127.0.0.1:{port}"\n'
            "insecure = true\n"
        )
        link = start_link(port, folder / "link.log")
        try:
            done = subprocess.run(
                [
                    BIN / "flwr", "run", HERE / "flower_app", "here", "--stream",
                    "--federation-config",
                    f"num-supernodes={workload.clients} client-resources-num-cpus=1 "
                    "init-args-num-cpus=2",
                ],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        finally:
            link.terminate()
            link.wait(30)
        if not answer.is_file():
            sys.stderr.write(done.stdout + done.stderr)
            raise SystemExit("flwr run gave no answer")
        show_file(answer)


if __name__ == "__main__":
    main()
