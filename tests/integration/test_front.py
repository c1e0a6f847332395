"""The front as a process before a real SuperLink: what it hands on, and what it refuses."""

import contextlib
import resource
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attacking.stranger import (
    HALF_A_HELLO,
    HEARTBEAT,
    PATHS,
    Stranger,
    new_key,
    request,
    signed,
    statuses,
    tricks,
)
from attacking.stranger import key_of as private_key
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.node_pb2 import Node
from machines import Machines, free_port
from tcp_proxy import TcpProxy

from frugalfl_client.node.channel import Address, Channel, trust
from frugalfl_client.node.flower import Fleet
from frugalfl_server.serve.front.limits import FrontLimits
from frugalfl_server.serve.front_process import FrontProcess
from frugalfl_server.serve.key_folder import read_public_key
from frugalfl_server.serve.lines import show_lines
from frugalfl_server.serve.place import Place
from frugalfl_server.serve.processes import Tls

#: As a server's, with less patience, and few strangers.
LIMITS = FrontLimits(
    per_address=40,
    strangers=60,
    handshake_s=20,
    head_s=2,
    idle_s=1,
    pause_s=2,
    grace_s=1,
    least_rate=1e6,
)


class Guarded:
    """A SuperLink with TLS and registered nodes only, and a front before it."""

    def __init__(self, folder):
        self.machines = Machines(folder, tls=True)
        self.link = self.machines.superlink()
        self.key = self.machines.register("honest")
        self.admitted = read_public_key(Path(f"{self.key}.pub"))
        self.ca = self.machines.folder / "ca.crt"
        self.port, self.lines = free_port(), []
        made = self.machines.folder
        place = Place("127.0.0.1", self.port, LIMITS, Tls.of(made), None, "", made)
        self.front = FrontProcess(place, self.machines.port, made / "front.log")
        self.front.admit(frozenset({self.admitted}))
        self.front.__enter__()
        channel = Channel(Address("127.0.0.1", self.port), trust(self.ca))
        self.fleet = Fleet(channel, private_key(self.key))
        self.node = self.fleet.activate(30.0)

    def stranger(self, last):
        return Stranger(self.port, self.ca, f"127.0.1.{last}")

    def heartbeat(self):
        """What an honest node sends."""
        beat = SendNodeHeartbeatRequest(node=Node(node_id=self.node), heartbeat_interval=30.0)
        return request(HEARTBEAT, signed(private_key(self.key)), beat.SerializeToString())

    def told(self, last, about=""):
        """Return the line about an address, once there is one (that says so much)."""
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            self.front.tend()
            found = [one for one in self.lines if f"127.0.1.{last}:" in one and about in one]
            if found:
                return found[-1]
            time.sleep(0.05)
        raise AssertionError(self.lines)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    started = Guarded(tmp_path_factory.mktemp("front"))
    with show_lines(started.lines.append):
        yield started
    started.fleet._channel.close()
    started.front.__exit__()
    started.machines.stop()


@pytest.fixture(autouse=True)
def the_honest_node_goes_on(guarded):
    """Whatever a test does, the node that may join is served during it and after it."""
    yield
    assert guarded.fleet.heartbeat(guarded.node, 30.0)


@pytest.mark.parametrize("target", PATHS)
def test_no_path_leads_anywhere_else(guarded, target):
    key = private_key(guarded.key)
    assert guarded.stranger(1).first(request(target, signed(key))) in (400, 404)


def test_control_verbs_are_told_in_one_line(guarded):
    for _ in range(30):
        guarded.stranger(2).ask(request("/v1/control/start-run"))
    line = guarded.told(2)
    assert "to /v1/control/start-run from" in line
    assert "nothing but the nodes' API is served here" in line
    assert len([one for one in guarded.lines if "127.0.1.2:" in one]) <= 2


def test_a_request_that_can_be_read_in_two_ways_reaches_nothing(guarded):
    cases = tricks(private_key(guarded.key))
    with ThreadPoolExecutor(len(cases)) as side_by_side:
        answers = side_by_side.map(lambda data: guarded.stranger(3).ask(data), cases.values())
    for name, answer in zip(cases, answers, strict=True):
        found = statuses(answer)
        assert found and not any(status < 400 for status in found), (name, found)
    control = [line for line in guarded.link.lines if "/v1/control" in line]
    assert all("register-node" in line for line in control)


def test_requests_in_a_row_are_judged_one_by_one(guarded):
    data = guarded.heartbeat() * 2 + request("/v1/control/list-runs") + guarded.heartbeat()
    assert statuses(guarded.stranger(4).ask(data)) == [200, 200, 404]


@pytest.mark.parametrize(
    "target, expected",
    [("register-node", 412), ("activate-node", 412), ("push-object", 401)],
)
def test_an_unknown_key_is_refused_before_its_body(guarded, target, expected):
    """A body is announced and never comes: the answer does not wait for it."""
    data = request(f"/v1/fleet/{target}", signed(new_key()), length=1 << 20)
    assert guarded.stranger(5).first(data) == expected
    assert "its key is not in the folder of --nodes" in guarded.told(5)


def test_an_old_request_and_a_forged_one(guarded):
    key = private_key(guarded.key)
    assert guarded.stranger(6).first(request(HEARTBEAT, signed(key, age_s=600))) == 401
    assert "the time in it is not now" in guarded.told(6)
    headers = [*signed(key)[:3], signed(new_key())[3]]
    assert guarded.stranger(7).first(request(HEARTBEAT, headers)) == 401
    assert "its signature is not of the key" in guarded.told(7)
    assert guarded.stranger(8).first(request(HEARTBEAT)) == 415
    assert guarded.stranger(8).first(request(HEARTBEAT, signed(key)[:1])) == 401


def test_what_was_overheard_cannot_be_said_again(guarded):
    proxy = TcpProxy(guarded.port)
    channel = Channel(Address.parse(proxy.address), trust(guarded.ca))
    assert Fleet(channel, private_key(guarded.key)).heartbeat(guarded.node, 30.0)
    channel.close()
    overheard = b"".join(data for _, data in proxy.lines[0].up)
    proxy.close()
    with Stranger(guarded.port, None, "127.0.1.9").connect() as connection:
        connection.sendall(overheard)
        while connection.recv(65536):
            pass
    assert "it came to no TLS on it" in guarded.told(9)


def test_large_bodies(guarded):
    before = resident(guarded)
    key = private_key(guarded.key)
    huge = request("/v1/fleet/push-object", signed(key), length=10**9)
    assert guarded.stranger(10).first(huge) == 413
    endless = [*signed(key), "transfer-encoding: chunked"]
    piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    for last, head in ((11, endless), (12, [*signed(new_key()), "transfer-encoding: chunked"])):
        sent, _ = guarded.stranger(last).pour(request(HEARTBEAT, head), piece, 400 << 20)
        assert sent < 16 << 20
        assert "does not say how long its body is" in guarded.told(last)
    unasked = request("/v1/fleet/push-object", signed(new_key()), length=400 << 20)
    sent, _ = guarded.stranger(13).pour(unasked, bytes(1 << 20), 400 << 20)
    assert sent < 16 << 20
    assert "longer than 32 MiB" in guarded.told(13)
    assert all(after < was + 24 for was, after in zip(before, resident(guarded), strict=True))


def test_heads_that_are_too_long_or_too_many(guarded):
    key = private_key(guarded.key)
    long = request(HEARTBEAT, [*signed(key), "x: " + "a" * 20000])
    assert guarded.stranger(14).first(long) == 431
    many = request(HEARTBEAT, [*signed(key), *(f"x-{n}: 1" for n in range(100))])
    assert guarded.stranger(15).first(many) == 431


def test_slow_heads_and_slow_bodies(guarded):
    key = private_key(guarded.key)
    slow_body = request("/v1/fleet/push-object", signed(key), length=1 << 20)
    cases = {16: b"POST /v1/fleet/push-object HTTP/1.1\r\nx: ", 17: slow_body, 18: b""}
    threads = [
        threading.Thread(target=drip, args=(guarded.stranger(last), data))
        for last, data in cases.items()
    ]
    for thread in threads:
        thread.start()
    assert "its head was not complete within 2 s" in guarded.told(16)
    assert "its body comes too slowly" in guarded.told(17)
    for thread in threads:
        thread.join()


def test_a_connection_on_which_nothing_is_said(guarded):
    with guarded.stranger(19).connect() as connection:
        assert connection.recv(1) == b""
    assert "nothing was said on it for 2 s" in guarded.told(19)


def test_half_open_connections_shut_nobody_out(guarded):
    """From the node's own address too, as behind one NAT: they take each other's places."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    before = resident(guarded)
    crowds = [Stranger(guarded.port, source=f"127.0.1.{last}") for last in (20, 21)]
    crowds.append(Stranger(guarded.port))
    try:
        for number, crowd in enumerate(crowds):
            crowd.hold(150, HALF_A_HELLO if number % 2 else b"")
        guarded.fleet._channel.close()  # so that it has to come in anew
        assert guarded.fleet.heartbeat(guarded.node, 30.0)
        assert guarded.told(20, "too many at once that show no key")
        assert all(after < was + 24 for was, after in zip(before, resident(guarded), strict=True))
    finally:
        for crowd in crowds:
            crowd.release()


def test_a_session_is_resumed(guarded):
    context = ssl.create_default_context(cafile=guarded.ca)
    session = None
    for resumed in (False, True):
        plain = Stranger(guarded.port).half_open()
        with context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as line:
            line.sendall(guarded.heartbeat())
            assert statuses(line.recv(65536)) == [200]
            assert line.session_reused == resumed
            session = line.session


def test_a_key_that_goes_is_out_at_once_and_in_again(guarded):
    with guarded.stranger(22).connect() as connection:
        connection.sendall(guarded.heartbeat())
        assert statuses(connection.recv(65536)) == [200]  # in one piece
        guarded.front.admit(frozenset())
        with contextlib.suppress(OSError):  # it may be cut
            assert connection.recv(1) == b""
    assert guarded.stranger(22).first(guarded.heartbeat()) == 401
    guarded.front.admit(frozenset({guarded.admitted}))
    assert guarded.stranger(22).first(guarded.heartbeat()) == 200


def test_a_front_that_is_killed_is_started_again(guarded):
    guarded.front._child.kill()
    guarded.front._child.wait()
    guarded.front.tend()
    assert guarded.lines[-1] == "the front ended (-9): starts again"
    assert guarded.stranger(23).first(guarded.heartbeat()) == 200
    command = Path(f"/proc/{guarded.front._child.pid}/cmdline").read_bytes()
    assert command.split(b"\0")[1:-1] == [b"-m", b"frugalfl_server.serve.front"]


def drip(stranger, data):
    try:
        with stranger.connect() as connection:
            connection.sendall(data)
            for _ in range(60):
                connection.sendall(b"a")
                time.sleep(0.1)
    except OSError:
        pass


def resident(guarded):
    """Memory (MB) of the SuperLink and of the front."""
    found = []
    for pid in (guarded.link.pid, guarded.front._child.pid):
        text = Path(f"/proc/{pid}/status").read_text()
        found.append(int(text.split("VmRSS:")[1].split()[0]) / 1000)
    return found
