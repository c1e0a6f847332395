"""The lean node against a real SuperLink, processes on loopback."""

import base64
import contextlib
import os
import re
import signal
import socket
import socketserver
import textwrap
import threading
from pathlib import Path

import pytest
from machines import Machines, make_authority

ECHO = Path(__file__).parents[2] / "benchmarks" / "echo"


@pytest.fixture
def machines(tmp_path):
    started = Machines(tmp_path / "machines")
    yield started
    started.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A SuperLink with TLS, which takes registered nodes only."""
    started = Machines(tmp_path_factory.mktemp("guarded"), tls=True)
    started.superlink()
    yield started
    started.stop()


def test_two_nodes_answer_a_run_and_sign_off(machines):
    link = machines.superlink()
    nodes = [machines.lean(number) for number in range(2)]
    for node in nodes:
        node.wait_for("connected as node")
    run = machines.run(ECHO, nodes=2, rounds=3)
    for number in range(1, 4):
        run.wait_for(rf"echo {number}: .* 2 answers, errors \[\]")
    for node in nodes:
        node.wait_for("round 3: query.echo done .* sent")
        node.signal(signal.SIGTERM)
        assert node.wait() == 0
        assert "signed off" in node.said
    link.wait_for("Deactivated")


def test_an_unregistered_key_is_refused_until_it_is_registered(guarded):
    """It says so once, tries again, and is in as soon as its key is."""
    key = guarded.key("stranger")
    node = guarded.lean(0, 2, key)
    assert "flwr supernode register" in node.wait_for("trying again")
    assert guarded.flwr("supernode", "register", f"{key}.pub", "test").returncode == 0
    node.wait_for("connected again .* as node")
    node.signal(signal.SIGTERM)
    assert node.wait() == 0


def test_a_node_without_a_key_is_told_to_make_one(guarded):
    node = guarded.lean(0)
    assert node.wait() == 6
    assert "ssh-keygen -t ecdsa" in node.lines[-1]


def test_a_wrong_authority_is_refused(guarded):
    make_authority(guarded.folder, "other")
    node = guarded.start(
        "frugalfl", "node", "--superlink", guarded.address, "--root-certificates", "other.crt",
        "--node-config", "partition-id=0 num-partitions=2",
    )  # fmt: skip
    assert node.wait() == 6
    assert "not trusted" in node.lines[-1]
    assert "--root-certificates" in node.lines[-1]


def test_tls_and_none_do_not_mix(guarded, machines):
    node = guarded.start(
        "frugalfl", "node", "--superlink", guarded.address, "--insecure",
        "--node-config", "partition-id=0 num-partitions=2",
    )  # fmt: skip
    node.wait_for("replace --insecure by --root-certificates")
    machines.superlink()
    node = guarded.lean(0, superlink=machines.address)
    assert node.wait() == 6
    assert "does not speak TLS" in node.lines[-1]


def test_a_clock_that_is_wrong(guarded, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent("""
        import datetime

        class Late(datetime.datetime):
            @classmethod
            def now(cls, tz=None):
                return super().now(tz) - datetime.timedelta(minutes=10)

        datetime.datetime = Late
        """)
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    node = guarded.lean(0, 2, guarded.key("late"), PYTHONPATH=path)
    line = node.wait_for("clock is")
    node.kill()
    minutes, seconds = map(int, re.search(r"(\d+) min (\d+) s behind", line).groups())
    assert abs(60 * minutes + seconds - 600) <= 3  # a SuperLink reads its own clock once a second
    assert "trying again" in line


def test_a_way_through_a_proxy(guarded):
    """As a branch's proxy does it: CONNECT, with a login, then bytes as they are."""
    asked = []

    class Way(socketserver.StreamRequestHandler):
        def handle(self):
            while (line := self.rfile.readline().strip()) != b"":
                asked.append(line.decode())
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            host, _, port = asked[0].split()[1].partition(":")
            with socket.create_connection((host, int(port))) as far:
                back = threading.Thread(target=carry, args=(far, self.connection), daemon=True)
                back.start()
                carry(self.connection, far)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Way) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy = f"http://ann:s%40fe@127.0.0.1:{server.server_address[1]}"
        node = guarded.lean(0, 2, guarded.key("far"), https_proxy=proxy, no_proxy="")
        assert "flwr supernode register" in node.wait_for("trying again")
        node.kill()
        server.shutdown()
    assert asked[0] == f"CONNECT {guarded.address} HTTP/1.1"
    login = base64.b64encode(b"ann:s@fe").decode()
    assert f"proxy-authorization: Basic {login}" in asked


def carry(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_two_nodes_do_not_share_a_folder(machines):
    machines.lean(0).wait_for("trying again")
    second = machines.lean(0)
    assert second.wait() == 8
    assert "another node uses" in second.said
