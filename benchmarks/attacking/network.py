"""Attacks from the network on ``frugalfl serve``, while two nodes train through it.

One federation with TLS and registered keys, as docs/serve.md begins it; each attacker has
``ca.crt``, and an address of his own if he can choose one. An attack is refused if it got nothing,
and the SuperLink and the front have not grown by it. The run went on if a round was finished after
it.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from machines import BIN, Machines, Process, children_of, program_of
from tcp_proxy import TcpProxy

from attacking.outcome import Outcome
from attacking.stranger import (
    HALF_A_HELLO,
    HEARTBEAT,
    PATHS,
    Stranger,
    key_of,
    new_key,
    request,
    signed,
    statuses,
    tricks,
)

ROOT = Path(__file__).parents[1]
DIGITS = ROOT.parent / "simulations" / "digits"
#: Longest wait for a round, on a machine that has other things to do (s).
PATIENCE_S = 400.0
#: Longest wait for the line about an attack (s); each is told at once, and then twice a minute.
LINE_S = 60.0
#: What the server's processes may grow by in an attack (MB).
GROWTH_MB = 64.0
#: Files of the app that must not leave, and what is in them.
SECRETS = {
    "secrets.json": "the-password", "customers.jsonl": "a-customer", ".hidden.py": "a-hidden-word",
}  # fmt: skip


@dataclass
class Federation:
    """A server, its nodes, and what an attacker may know of them."""

    machines: Machines
    serving: Process
    keys: Path

    @property
    def ca(self) -> Path:
        """The authority's certificate."""
        return self.machines.folder / "ca.crt"

    def stranger(self, last: int) -> Stranger:
        """Return an attacker with an address of his own."""
        return Stranger(self.machines.port, self.ca, f"127.0.2.{last}")

    def servers(self) -> dict[str, float]:
        """Return the memory of the SuperLink and of the front (MB)."""
        found = {}
        for pid in children_of(self.serving.pid):
            for name in ("flower-superlink", "serve.front"):
                if name in program_of(pid):
                    text = Path(f"/proc/{pid}/status").read_text()
                    found[name] = int(text.split("VmRSS:")[1].split()[0]) / 1000
        return found

    def rounds(self) -> int:
        """Return how many rounds are finished."""
        return len(re.findall(r"train +\d+/", self.serving.said))

    def another_round(self, after: int) -> bool:
        """Wait until more rounds are finished than that; ``False``: that never happened."""
        ends = time.monotonic() + PATIENCE_S
        while self.rounds() <= after:
            if time.monotonic() > ends or not self.serving.alive:
                return False
            time.sleep(0.2)
        return True

    def line(self, address: str, after: int) -> str:
        """Return what the operator reads of an address, from a line's number on; empty: nothing."""
        try:
            told = self.serving.wait_for(rf"refused .* from {address}:", LINE_S, after)
        except AssertionError:
            return ""
        return told.strip()


def start(folder: Path, *, stock: bool = False) -> Federation:
    """Serve digits to two nodes, from an app with secrets beside it, and see one round.

    Args:
        folder: For everything.
        stock: The second node is Flower's own, the first one lean.
    """
    machines = Machines(folder / "machines", tls=True)
    app = machines.folder / "digits"
    shutil.copytree(DIGITS, app, ignore=shutil.ignore_patterns("__pycache__"))
    (app / ".gitignore").write_text("secrets.json\n*.jsonl\n")
    for name, text in SECRETS.items():
        (app / name).write_text(text)
    keys = machines.folder / "keys"
    keys.mkdir()
    for number in range(2):
        machines.key(f"node{number}").with_suffix(".pub").rename(keys / f"node{number}.pub")
    serving = machines.start(
        "frugalfl", "serve", app, "--tls", machines.folder, "--nodes", keys, "--port",
        machines.port, "clients=3", "clients-per-round=2", "rounds=1000", "local-epochs=1",
        "prune=0.0", "evaluate-rows=0", "refresh=full", "initial=exact",
    )  # fmt: skip
    serving.wait_for("nodes connect to", PATIENCE_S)
    machines.lean(0, 3, machines.folder / "node0")
    (machines.stock if stock else machines.lean)(1, 3, machines.folder / "node1")
    serving.wait_for("train +1/", PATIENCE_S)
    return Federation(machines, serving, keys)


def attacks(folder: Path, quick: bool) -> Iterator[Outcome]:
    """Try everything that a stranger on the network can."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    federation = start(folder)
    try:
        yield ignored_files(federation)
        yield tokens(federation)
        for name, attack in verbs(federation):
            yield _watched(federation, name, "127.0.0.1", attack)
        for number, (name, attack) in enumerate(_ATTACKS.items(), 10):
            stranger = federation.stranger(number)
            tried = _tried(federation, attack, stranger, quick)
            yield _watched(federation, name, stranger.source, tried)
    finally:
        federation.machines.stop()


def _tried(
    federation: Federation, attack: Callable[..., bool], stranger: Stranger, quick: bool
) -> Callable[[], bool]:
    return lambda: attack(federation, stranger, quick)


def _watched(
    federation: Federation, name: str, address: str, attack: Callable[[], bool]
) -> Outcome:
    """Carry out one attack; look at memory, the operator's line, and the run."""
    before, lines, rounds = federation.servers(), len(federation.serving.lines), federation.rounds()
    refused = attack()
    after = federation.servers()
    grown = before.keys() != after.keys() or any(
        after[one] > before[one] + GROWTH_MB for one in before
    )
    line = federation.line(address, lines)
    return Outcome(name, refused and not grown, line, federation.another_round(rounds))


def verbs(federation: Federation) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Yield the control verbs, tried by Flower's own command from a foreign home."""
    home = federation.machines.folder / "foreign"
    home.mkdir()
    (home / "config.toml").write_text(
        '[superlink]\ndefault = "theirs"\n\n[superlink.theirs]\n'
        f'address = "{federation.machines.address}"\nroot-certificates = "{federation.ca}"\n'
    )
    key = federation.machines.key("foreign-key")
    environment = federation.machines.environment | {"FLWR_HOME": str(home)}
    for verb in (
        ["run", ROOT / "echo", "theirs"], ["supernode", "register", f"{key}.pub", "theirs"],
        ["supernode", "ls", "theirs"], ["ls", "theirs"], ["stop", "1", "theirs"],
    ):  # fmt: skip
        yield f"flwr {' '.join(map(str, verb[:2]))}"[:40], _fails(verb, environment)


def _fails(verb: list[object], environment: dict[str, str]) -> Callable[[], bool]:
    def attack() -> bool:
        done = subprocess.run(
            [BIN / "flwr", *map(str, verb)], env=environment, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        return done.returncode != 0

    return attack


def ignored_files(federation: Federation) -> Outcome:
    """Look for the app's secrets on a device."""
    device = federation.machines.folder / "device-0"
    files = [path for path in device.rglob("*") if path.is_file()]
    there = {path.name for path in files}
    inside = b"".join(path.read_bytes() for path in files)
    leaked = [name for name, text in SECRETS.items() if name in there or text.encode() in inside]
    line = federation.serving.wait_for("every device gets").strip()
    return Outcome(
        "files that .gitignore names, on a device", "task.py" in there and not leaked, line
    )


def tokens(federation: Federation) -> Outcome:
    """Look for secrets in the command lines of everything that the server has started."""
    commands = [program_of(pid) for pid in children_of(federation.serving.pid)]
    app = [one for one in commands if "flwr-serverapp" in one]
    secret = re.compile(r"[0-9a-f]{40,}|BEGIN [A-Z ]*PRIVATE")
    found = [one for one in commands if secret.search(one)]
    return Outcome("tokens and keys in command lines", bool(app) and not found, "")


def unregistered(federation: Federation, stranger: Stranger, quick: bool) -> bool:
    """Register a key of one's own by the nodes' API, then come online with it."""
    key = new_key()
    asked = [
        request(f"/v1/fleet/{name}", signed(key)) for name in ("register-node", "activate-node")
    ]
    return [stranger.first(data) for data in asked] == [412, 412]


def paths(federation: Federation, stranger: Stranger, quick: bool) -> bool:
    """Reach the control API by paths that others might resolve, with a node's own key."""
    headers = signed(key_of(federation.machines.folder / "node0"))
    return all(stranger.first(request(path, headers)) in (400, 404) for path in PATHS)


def smuggling(federation: Federation, stranger: Stranger, quick: bool) -> bool:
    """Hide a request in another one, with a node's own key."""
    cases = tricks(key_of(federation.machines.folder / "node0"))
    answers: dict[str, list[int]] = {}

    def ask(name: str, data: bytes) -> None:
        answers[name] = statuses(stranger.ask(data))

    _side_by_side([lambda name=name, data=data: ask(name, data) for name, data in cases.items()])
    return len(answers) == len(cases) and all(
        found and min(found) >= 400 for found in answers.values()
    )


def half_open(federation: Federation, stranger: Stranger, quick: bool) -> bool:
    """Open connections and say nothing, from the nodes' own address too."""
    return _crowded(federation, stranger, 400 if quick else 2000, b"")


def half_shaken(federation: Federation, stranger: Stranger, quick: bool) -> bool:
    """Begin TLS handshakes, and end none."""
    return _crowded(federation, stranger, 400 if quick else 2000, HALF_A_HELLO)


def _crowded(federation: Federation, stranger: Stranger, number: int, data: bytes) -> bool:
    """Hold connections while a node comes in anew; ``True``: it is served."""
    neighbour = Stranger(federation.machines.port, federation.ca)
    honest = request(HEARTBEAT, signed(key_of(federation.machines.folder / "node1")))
    try:
        stranger.hold(number, data)
        neighbour.hold(number // 4, data)
        # Whose node it is, the SuperLink is asked: an answer of its own, so the front let it pass.
        return neighbour.first(honest) == 401
    finally:
        stranger.release()
        neighbour.release()


def declared(federation: Federation, stranger: Stranger, quick: bool) -> bool:
    """Announce a body of 1 GB, with a node's own key and with none."""
    keys = (key_of(federation.machines.folder / "node0"), new_key())
    return all(
        stranger.first(request("/v1/fleet/push-object", signed(key), length=10**9)) == 413
        for key in keys
    )


def poured(federation: Federation, stranger: Stranger, quick: bool) -> bool:
    """Send 400 MB without a known key, as fast as it goes."""
    head = request("/v1/fleet/push-object", signed(new_key()), length=30 << 20)
    sent, answer = stranger.pour(head, bytes(1 << 20), 400 << 20)
    return sent < 32 << 20 and not any(status < 400 for status in statuses(answer))


def endless(federation: Federation, stranger: Stranger, quick: bool) -> bool:
    """Send chunks without end, with a node's own key."""
    by = signed(key_of(federation.machines.folder / "node0"))
    head = request("/v1/fleet/push-object", [*by, "transfer-encoding: chunked"])
    piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    sent, answer = stranger.pour(head, piece, 400 << 20)
    return sent < 32 << 20 and not any(status < 400 for status in statuses(answer))


def slow_heads(federation: Federation, stranger: Stranger, quick: bool) -> bool:
    """Send heads a letter at a time."""
    return _dripped(stranger, b"POST /v1/fleet/push-object HTTP/1.1\r\nx: ", 20 if quick else 100)


def slow_bodies(federation: Federation, stranger: Stranger, quick: bool) -> bool:
    """Send bodies a byte at a time, with a node's own key."""
    by = signed(key_of(federation.machines.folder / "node0"))
    head = request("/v1/fleet/push-object", by, length=1000)
    return _dripped(stranger, head, 5 if quick else 20)


def _dripped(stranger: Stranger, head: bytes, number: int) -> bool:
    """Send slowly on many connections; ``True``: the server ended each of them."""
    ended = []

    def drip() -> None:
        ends = time.monotonic() + 120
        try:
            with stranger.connect() as connection:
                connection.sendall(head)
                while time.monotonic() < ends:
                    connection.sendall(b"a")
                    time.sleep(0.5)
        except OSError:
            ended.append(True)

    _side_by_side([drip] * number)
    return len(ended) == number


def huge_heads(federation: Federation, stranger: Stranger, quick: bool) -> bool:
    """Send a header of 1 MB, and 10,000 headers."""
    many = [f"x-{number}: 1" for number in range(10000)]
    return all(
        not any(status < 400 for status in statuses(stranger.ask(request(HEARTBEAT, headers))))
        for headers in (["x: " + "a" * 10**6], many)
    )


def replayed(federation: Federation, stranger: Stranger, quick: bool) -> bool:
    """Say again what was overheard of a node's connection."""
    proxy = TcpProxy(federation.machines.port)
    node = Stranger(int(proxy.address.rpartition(":")[2]), federation.ca)
    node.first(request(HEARTBEAT, signed(key_of(federation.machines.folder / "node1"))))
    overheard = b"".join(data for _, data in proxy.lines[0].up)
    proxy.close()
    answer = replace(stranger, ca=None).ask(overheard)
    return bool(overheard) and b"HTTP/1.1 " not in answer


def stale(federation: Federation, stranger: Stranger, quick: bool) -> bool:
    """Use headers of a node that are ten minutes old."""
    old = signed(key_of(federation.machines.folder / "node1"), age_s=600)
    return stranger.first(request(HEARTBEAT, old)) == 401


def _side_by_side(tasks: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


_ATTACKS: dict[str, Callable[[Federation, Stranger, bool], bool]] = {
    "a key of one's own, registered and online": unregistered,
    "paths that lead to the control API": paths,
    "a request hidden in another": smuggling,
    "half-open connections (2,000; 400 if quick)": half_open,
    "half TLS handshakes (2,000; 400 if quick)": half_shaken,
    "a body of 1 GB, announced": declared,
    "a body of 400 MB, sent": poured,
    "a body without end": endless,
    "slow heads": slow_heads,
    "slow bodies": slow_bodies,
    "huge heads": huge_heads,
    "a connection that was overheard, again": replayed,
    "an old request, again": stale,
}
