"""Certificates as Python 3.13 checks them: what a node says of a poor one, and deploy.md's pass."""

import re
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from frugalfl_client.node.channel import Address, Channel, RefusedError, trust

DEPLOY = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()


def made(folder, but=""):
    """Type the commands of deploy.md, without one of their words."""
    block = next(one for one in re.findall(r"```sh\n(.*?)```", DEPLOY, re.S) if "req -x509" in one)
    assert but in block
    subprocess.run(
        ["/bin/sh", "-ec", block.replace(but, "")], cwd=folder, capture_output=True, check=True
    )
    return folder


def ask(folder):
    """Ask a server that has this certificate and says nothing, as a node on Python 3.13 would."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve_once, args=(context, listening), daemon=True).start()
        strict = trust(folder / "ca.crt")
        strict.verify_flags |= ssl.VERIFY_X509_STRICT
        channel = Channel(Address("127.0.0.1", listening.getsockname()[1]), strict)
        try:
            channel.post("/", {}, b"")
        finally:
            channel.close()


def serve_once(context, listening):
    connection, _ = listening.accept()
    try:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(4096)
            tls.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    except OSError:
        connection.close()


def test_what_deploy_md_makes_is_taken(tmp_path):
    ask(made(tmp_path))


def test_what_a_certificate_lacks_is_said(tmp_path):
    poor = made(tmp_path, '-addext "keyUsage=critical,keyCertSign,cRLSign"')
    with pytest.raises(RefusedError, match=r"lacks what Python 3\.13 asks for .*deploy\.md"):
        ask(poor)
