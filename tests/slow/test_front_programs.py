"""nginx and Caddy before a SuperLink, with the rules of server/front; skipped where one is absent."""

import os
import shutil
from pathlib import Path

import pytest
from attacking.stranger import PATHS, Stranger, key_of, request, signed, statuses, tricks
from machines import Machines, Process, free_port, until

FRONT = Path(__file__).parents[2] / "server" / "front"
pytestmark = pytest.mark.slow


@pytest.fixture(params=["nginx", "caddy"])
def before(request, tmp_path):
    """A SuperLink with TLS, a program before it, and a registered key."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    program = shutil.which(request.param, path=path)
    if program is None:
        pytest.skip(f"there is no {request.param} here")
    machines = Machines(tmp_path / "machines", tls=True)
    try:
        machines.superlink()
        port = free_port()
        start(machines, request.param, program, port)
        stranger = Stranger(port, machines.folder / "ca.crt")
        until(lambda: stranger.first(b"POST /x HTTP/1.1\r\nhost: x\r\n\r\n") >= 400, 60)
        yield machines, stranger, machines.register("node0")
    finally:
        machines.stop()


def start(machines, kind, program, port):
    folder = machines.folder
    text = (FRONT / {"nginx": "nginx.conf", "caddy": "Caddyfile"}[kind]).read_text()
    for old, new in {
        "8001": str(machines.port), "8000": str(port), "/etc/frugalfl": str(folder),
        "/var/log/nginx/frugalfl.log": str(folder / "nginx.log"),
        "/run/nginx-frugalfl.pid": str(folder / "nginx.pid"),
    }.items():  # fmt: skip
        text = text.replace(old, new)
    (folder / "front").write_text(text)
    command = {
        "nginx": [program, "-c", folder / "front", "-g", "daemon off; user root;"],
        "caddy": [program, "run", "--adapter", "caddyfile", "--config", folder / "front"],
    }[kind]
    environment = machines.environment | {"HOME": str(folder)}
    machines._started.append(Process(command, folder, environment))


def test_nodes_get_through_and_nothing_else_does(before):
    machines, stranger, key = before
    node = machines.lean(0, 1, key, superlink=f"127.0.0.1:{stranger.port}")
    node.wait_for("connected (again .*)?as node", 120)
    headers = signed(key_of(key))
    for path in PATHS:
        assert stranger.first(request(path, headers)) >= 400, path
    for name, data in tricks(key_of(key)).items():
        assert not any(200 <= status < 400 for status in statuses(stranger.ask(data))), name
    run = machines.run(Path(__file__).parents[2] / "benchmarks" / "echo", nodes=1, rounds=3)
    run.wait_for(r"echo 3: .* 1 answers, errors \[\]", 300)
