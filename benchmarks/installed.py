"""FrugalFL as somebody has it without the repository: fresh environments, commands as typed.

    python benchmarks/installed.py [--quick] [--json FILE] [--only EXTRA ...]

Builds the wheel, installs it with each set of extras into an environment of its own under a
temporary folder, runs there what README.md and docs/deploy.md say, and prints what each takes on
disk. Away from the repository: nothing is on the path but what pip put there. It takes 4 GB in the
temporary folder at a time, and every environment is deleted before the next one.

PyTorch is the CPU build, as docs/deploy.md has it installed. `--torch` says which: by default the
version of constraints-cpu.txt, from wherever pip is configured to look; `--index URL` adds the
documented index.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from common import finish, parser_of
from machines import Machines, Process, free_port

ROOT = Path(__file__).parents[1]
#: What an environment may take on disk (MB), by its extras.
LIMITS = {"edge": 220, "client,edge": 400, "server": 3000, "sim": 3300}
DEADLINE_S = 900


@dataclass
class Environment:
    """A fresh environment, and a folder to type commands in."""

    extras: str
    folder: Path
    quick: bool
    typed: list[str] = field(default_factory=list)
    bare_mb: float = 0.0

    @property
    def bin(self) -> Path:
        """Where its programs are."""
        return self.folder / "venv" / "bin"

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a new shell in which the environment is active."""
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        path = f"{self.bin}{os.pathsep}/usr/local/bin{os.pathsep}/usr/bin{os.pathsep}/bin"
        telemetry = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
        return {**kept, **telemetry, "PATH": path, "HOME": str(self.folder), "COLUMNS": "120"}

    def install(self, wheel: Path, pins: list[str]) -> None:
        """Make it, with pip alone in it, then install the wheel with its extras."""
        venv.create(self.folder / "venv", with_pip=True)
        self.bare_mb = self.megabytes
        command = [self.bin / "python", "-m", "pip", "install", "--quiet"]
        done = subprocess.run([*command, f"{wheel}[{self.extras}]", *pins], check=False)
        assert done.returncode == 0, f"pip could not install [{self.extras}]"

    def type(self, line: str, code: int = 0) -> str:
        """Type one line of a shell; return what it printed."""
        self.typed.append(line)
        done = subprocess.run(
            ["/bin/sh", "-c", line], cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{line}: exit {done.returncode}\n{done.stdout[-3000:]}"
        return done.stdout

    @property
    def megabytes(self) -> float:
        """What the environment takes on disk, beyond what it took with pip alone."""
        done = subprocess.run(
            ["/usr/bin/du", "-sm", self.folder / "venv"], capture_output=True, text=True, check=True
        )
        return float(done.stdout.split()[0]) - self.bare_mb

    @property
    def packages(self) -> dict[str, str]:
        """Versions of what is installed."""
        done = subprocess.run(
            [self.bin / "python", "-m", "pip", "list", "--format", "json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return {one["name"].lower(): one["version"] for one in json.loads(done.stdout)}


def on_edge(one: Environment) -> None:
    """A device that only runs the model; and what is to be read without a repository."""
    assert "frugalfl 0." in one.type("frugalfl --version")
    documents = one.folder / "venv" / "share" / "doc" / "frugalfl"
    assert str(documents) in re.sub(r"[\s│]+", "", one.type("frugalfl --help"))
    check_links(documents)
    one.type("frugalfl doctor")
    one.type("frugalfl new digits")
    said = one.type("frugalfl simulate digits", code=2)
    assert "pip install 'frugalfl[sim]'" in said and "Traceback" not in said
    one.type("python -c 'from frugalfl_edge import predict, read_about'")


def on_device(one: Environment) -> None:
    """A device that trains without PyTorch; it joins the server's federation in `on_server`."""
    assert "node" in one.type("frugalfl --help")
    said = one.type(
        "frugalfl node --superlink 127.0.0.1:9 --insecure "
        '--node-config "partition-id=0 num-partitions=3" --app digits', code=2,
    )  # fmt: skip
    assert "digits is no folder" in said
    assert "ExecStart" in one.type("cat venv/share/doc/frugalfl/client/frugalfl-node.service")


def on_server(one: Environment) -> None:
    """A server: a starter app, simulated, exported, listed; then served to real nodes."""
    fewer = " rounds=2 recover-rounds=1 clients=3 clients-per-round=3" if one.quick else ""
    one.type("frugalfl new digits")
    one.type(f"frugalfl simulate digits{fewer}")
    for name in ("model/model_int8.tflite", "report.html"):
        assert (one.folder / "runs" / "latest" / name).is_file(), name
    one.type("frugalfl report runs/latest")
    one.type("frugalfl energy runs/latest")
    one.type("frugalfl export runs/latest --flash 64KiB --out firmware/model")
    said = one.type("frugalfl export runs/latest --ram 16KiB --out firmware/model", code=7)
    assert "pip install 'frugalfl[micro]'" in said  # RAM is measured in TFLite-Micro
    one.type("frugalfl runs")
    one.type("frugalfl approve digits")
    one.type("python -c 'import frugalfl; print(frugalfl.open_run(\"runs/latest\").clients)'")
    for template in () if one.quick else ("regress", "anomaly", "sensor", "fraud"):
        one.type(f"frugalfl new my-{template} --template {template}")
        one.type(f"frugalfl simulate my-{template}")
    federate(one)


def on_simulator(one: Environment) -> None:
    """A machine that simulates, with TFLite-Micro and Flower's own engine."""
    fewer = " rounds=2 recover-rounds=1 clients=3 clients-per-round=3" if one.quick else ""
    one.type("frugalfl new digits")
    assert "run in TFLite-Micro" in one.type(f"frugalfl simulate digits --baseline{fewer}")
    one.type(
        "frugalfl export runs/latest --target cortex-m4 --flash 64KiB --ram 16KiB "
        "--out firmware/model"
    )
    one.type("frugalfl simulate digits start-from=runs/latest rounds=0 flash=8KiB")


EXTRAS: dict[str, Callable[[Environment], None]] = {
    "edge": on_edge, "client,edge": on_device, "server": on_server, "sim": on_simulator,
}  # fmt: skip


def federate(one: Environment) -> None:
    """`frugalfl serve` and two nodes as processes of this environment, over TLS with keys."""
    machines = Machines(one.folder / "machines", tls=True)
    port, started = free_port(), []
    certificates, keys = one.folder / "certificates", one.folder / "keys"
    for folder, names in ((certificates, ("ca.crt", "server.pem", "server.key")), (keys, ())):
        folder.mkdir()
        for name in names:
            shutil.copy2(machines.folder / name, folder)
    for number in range(2):
        shutil.copy2(machines.key(f"node{number}").with_suffix(".pub"), keys)
    line = (
        f"frugalfl serve digits --tls certificates --nodes keys clients=2 clients-per-round=2 "
        f"rounds=2 recover-rounds=1 round-deadline=300 --port {port}"
    )
    try:
        server = start(one, started, line)
        server.wait_for("nodes", timeout=DEADLINE_S)
        for number in range(2):
            start(
                one, started,
                f"frugalfl node --superlink 127.0.0.1:{port} --root-certificates machines/ca.crt "
                f"--auth-supernode-private-key machines/node{number} --idle-poll 3 "
                f'--node-config "partition-id={number} num-partitions=2"',
            )  # fmt: skip
        assert server.wait(DEADLINE_S) == 0, server.said
        assert "Finished: 3 of 3 rounds" in server.said, server.said
    finally:
        for process in started:
            process.kill()


def start(one: Environment, started: list[Process], line: str) -> Process:
    """Type a line that goes on in the background."""
    one.typed.append(line)
    process = Process(["/bin/sh", "-c", f"exec {line}"], one.folder, one.environment)
    started.append(process)
    return process


def check_links(documents: Path) -> None:
    """See that the documents are there, and that a link from one leads to another."""
    read = [documents / "README.md", *documents.glob("docs/*.md")]
    assert len(read) > 20
    for document in read:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document}: {target}"


def check_metadata(wheel: Path) -> None:
    """See that PyPI's page has no link that leads nowhere."""
    from email import message_from_string
    from zipfile import ZipFile

    with ZipFile(wheel) as packed:
        name = next(one for one in packed.namelist() if one.endswith("/METADATA"))
        about = message_from_string(packed.read(name).decode())
    links = re.findall(r"\]\(([^)]+)\)", about.get_payload())
    assert len(links) > 20 and not [one for one in links if "://" not in one]
    home = dict(one.split(", ") for one in about.get_all("Project-URL"))["Repository"]
    for link in links:
        inside = re.match(rf"{re.escape(home)}/(?:blob|raw)/main/([^#]*)", link)
        assert inside is None or (ROOT / inside[1]).exists(), link


def main() -> None:
    """Install, type, measure, delete; one set of extras after the other."""
    parser = parser_of(__doc__)
    pinned = re.search(r"^torch==\S+", (ROOT / "constraints-cpu.txt").read_text(), re.M)
    assert pinned is not None
    parser.add_argument("--torch", default=pinned[0], help=f"PyTorch to install ({pinned[0]})")
    parser.add_argument("--index", help="index of PyTorch's CPU builds, beside pip's own")
    parser.add_argument("--only", nargs="+", choices=EXTRAS, default=list(EXTRAS))
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="frugalfl-installed-") as temporary:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", temporary]
        subprocess.run([*command, ROOT], check=True)
        (wheel,) = Path(temporary).glob("frugalfl-*.whl")
        check_metadata(wheel)
        for extras in options.only:
            rows.append(measure(extras, wheel, Path(temporary), options))
    finish(options, {"environments": rows})


def measure(extras: str, wheel: Path, temporary: Path, options: object) -> dict[str, object]:
    """Try one set of extras; return what it took and what was typed."""
    one = Environment(extras, temporary / "machine", options.quick)  # type: ignore[attr-defined]
    one.folder.mkdir()
    torch = "server" in extras or "sim" in extras
    pins = [options.torch] if torch else []  # type: ignore[attr-defined]
    pins += ["--extra-index-url", options.index] if options.index else []  # type: ignore[attr-defined]
    try:
        one.install(wheel, pins)
        size, packages = one.megabytes, one.packages
        print(f"[{extras}]  {size:,.0f} MB, {len(packages)} packages", flush=True)
        assert size <= LIMITS[extras], f"{size:,.0f} MB are more than {LIMITS[extras]:,}"
        assert not [name for name in packages if name.startswith("nvidia-")], "a CUDA build"
        EXTRAS[extras](one)
        print("".join(f"    {line}\n" for line in one.typed), end="", flush=True)
    finally:
        shutil.rmtree(one.folder)
    return {
        "extras": one.extras, "megabytes": size, "packages": len(packages),
        "flwr": packages.get("flwr"), "typed": one.typed,
    }  # fmt: skip


if __name__ == "__main__":
    main()
