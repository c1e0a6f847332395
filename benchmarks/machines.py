"""A SuperLink and its nodes as real processes on loopback, with TLS and registered keys."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BIN = Path(sys.executable).parent


class Process:
    """A process whose lines can be waited for."""

    def __init__(self, command, folder, environment):
        self.lines = []
        self._news = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            [str(word) for word in command], cwd=folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self):
        """Its number."""
        return self._process.pid

    @property
    def said(self):
        """All its lines so far."""
        return "".join(self.lines)

    def _read(self):
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(self, pattern, timeout=60.0, after=0):
        """Return the first line from number ``after`` on that matches, once it is there."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                for line in self.lines[after:]:
                    if re.search(pattern, line):
                        return line
                if self._ended or not self._news.wait(deadline - time.monotonic()):
                    raise AssertionError(f"never said {pattern!r}:\n{self.said}")

    def signal(self, number):
        """Send it, and it alone, a signal."""
        self._process.send_signal(number)

    def signal_all(self, number):
        """Send it and whatever it started a signal."""
        os.killpg(self.pid, number)

    @property
    def alive(self):
        """Whether it has not ended."""
        return self._process.poll() is None

    def kill(self):
        """End it and whatever it started, in sessions of their own too, as a power cut does."""
        started = children_of(self.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for number in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        return self.wait(10)

    def wait(self, timeout=30.0):
        """Return its exit code."""
        code = self._process.wait(timeout)
        self._reader.join(timeout)
        self._process.stdout.close()
        return code


class Machines:
    """A SuperLink and its nodes; each has a folder of its own."""

    def __init__(self, folder, tls=False, database=False):
        self.folder, self.tls = Path(folder), tls
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._database = database
        self._started = []
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "FLWR_HOME": str(self.folder / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "PYTHONUNBUFFERED": "1",
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        if tls:
            make_authority(self.folder, "ca")
            sign_server(self.folder, "ca", "server")
        config = Path(self.environment["FLWR_HOME"]) / "config.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        trust = f'root-certificates = "{self.folder / "ca.crt"}"' if tls else "insecure = true"
        config.write_text(
            '[superlink]\ndefault = "test"\n\n[superlink.test]\n'
            f'address = "{self.address}"\n{trust}\n'
        )

    def start(self, *command, **environment):
        """Start a program of this Python's environment; it ends with the machines."""
        process = Process(
            [BIN / command[0], *command[1:]], self.folder, self.environment | environment
        )
        self._started.append(process)
        return process

    def superlink(self, *more):
        """Start the SuperLink, and wait until it listens."""
        command = ["flower-superlink", "--port", self.port, *more]
        if self.tls:
            command += ["--ssl-ca-certfile", "ca.crt", "--ssl-certfile", "server.pem"]
            command += ["--ssl-keyfile", "server.key", "--enable-supernode-auth"]
        else:
            command.append("--insecure")
        if self._database:
            command += ["--database", self.folder / "link.db"]
        process = self.start(*command)
        process.wait_for("Application startup complete")
        return process

    def register(self, name):
        """Make a key and register it; return its file."""
        key = self.key(name)
        result = self.flwr("supernode", "register", f"{key}.pub", "test")
        assert result.returncode == 0, result.stdout + result.stderr
        return key

    def key(self, name):
        """Make a key; return its file."""
        key = ec.generate_private_key(ec.SECP384R1())
        path = self.folder / name
        path.touch(0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.OpenSSH,
                serialization.NoEncryption(),
            )
        )
        path.with_suffix(".pub").write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
            )
        )
        return path

    def _of_a_node(self, number, of, key, superlink, config):
        trust = ["--root-certificates", self.folder / "ca.crt"] if self.tls else ["--insecure"]
        named = ["--auth-supernode-private-key", key] if key else []
        state = self.folder / f"device-{number}"
        about = f'partition-id={number} num-partitions={of} state-dir="{state}" seed=0 {config}'
        return ["--superlink", superlink or self.address, *trust, *named, "--node-config", about]

    def lean(
        self, number, of=2, key=None, *more, superlink=None, config="", largest=0, **environment
    ):
        """Start a lean node; ``largest`` is the size (B) beyond which no file of it may grow."""
        node = self._of_a_node(number, of, key, superlink, config)
        command = ["frugalfl", "node", *node, *more]
        if largest:
            command[0] = BIN / command[0]
            command = ["/usr/bin/prlimit", f"--fsize={largest}", *command]
        return self.start(*command, **environment)

    def stock(self, number, of=2, key=None, superlink=None, config="", **environment):
        """Start Flower's own node."""
        node = self._of_a_node(number, of, key, superlink, config)
        return self.start("flower-supernode", *node, "--port", free_port(), **environment)

    def serve(self, app, *more):
        """Start ``frugalfl serve`` on this port; it ends with its run."""
        return self.start("frugalfl", "serve", app, *more, "--insecure", "--port", self.port)

    def flwr(self, *arguments):
        """Call ``flwr``, and return how that ended."""
        return subprocess.run(
            [BIN / "flwr", *map(str, arguments)], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def run(self, app, **settings):
        """Start a run; its process ends with it."""
        config = " ".join(f"{key.replace('_', '-')}={value}" for key, value in settings.items())
        return self.start("flwr", "run", app, "test", "--stream", "--run-config", config)

    def stop(self):
        """End everything, as a power cut does."""
        for process in self._started:
            process.kill()


def children_of(pid):
    """Return the numbers of all processes that a process started, and that these started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has just ended
        return []
    return [number for child in map(int, children) for number in [child, *children_of(child)]]


def program_of(pid):
    """Return the command line of a process; empty: it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def until(condition, seconds=300.0):
    """Return what a condition says once that is true, looking again and again."""
    ends = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > ends:
            raise AssertionError("it never came to that")
        time.sleep(0.02)
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_authority(folder, name):
    """Write ``name.crt`` and ``name.key``: a CA of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {name}")])
    certificate = (
        _begin(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_signs_certificates(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(folder / f"{name}.crt", folder / f"{name}.key", certificate, key)


def sign_server(folder, authority, name):
    """Write ``name.pem`` and ``name.key``: a certificate for this machine."""
    ca_key = serialization.load_pem_private_key((folder / f"{authority}.key").read_bytes(), None)
    ca = x509.load_pem_x509_certificate((folder / f"{authority}.crt").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        _begin(x509.Name([]), ca.subject, key.public_key())
        .add_extension(x509.SubjectAlternativeName(here), critical=True)
        .add_extension(  # which Python 3.13 asks for
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    _write(folder / f"{name}.pem", folder / f"{name}.key", certificate, key)


def _signs_certificates():
    """What a CA's key is for; Python 3.13 refuses a CA that does not say so."""
    return x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _begin(subject, issuer, public):
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
    )


def _write(where, key_file, certificate, key):
    where.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.touch(0o600)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
