"""What ``frugalfl serve`` says where it cannot serve: one line with what to do, and no run made."""

import socket

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .conftest import DIGITS, frugalfl


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def refused(folder, *arguments):
    result = frugalfl("serve", DIGITS, *arguments, cwd=folder)
    assert result.returncode == 2
    assert not (folder / "runs").exists()
    (line,) = result.stderr.splitlines()
    return line


def test_a_port_that_is_in_use(tmp_path, port):
    line = refused(tmp_path, "--insecure", "--port", port)
    assert line.startswith(f"error: port {port} is in use")
    assert "--port" in line and f"--superlink 127.0.0.1:{port}" in line


def test_a_superlink_that_is_not_there(tmp_path, port):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        line = refused(tmp_path, "--insecure", "--superlink", address)
    assert f"nothing answers at --superlink {address}" in line
    assert "leave --superlink out" in line


def test_a_key_that_flower_would_refuse(tmp_path):
    for name in ("ca.crt", "server.pem", "server.key"):
        (tmp_path / name).touch(0o600)
    keys = tmp_path / "keys"
    keys.mkdir()
    public = Ed25519PrivateKey.generate().public_key()
    (keys / "pi.pub").write_bytes(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    line = refused(tmp_path, "--tls", tmp_path, "--nodes", keys, "--port", 1 + 2**15)
    assert "pi.pub is no ECDSA key on P-384" in line
    assert "ssh-keygen -t ecdsa -b 384" in line
