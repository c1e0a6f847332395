"""What metering costs, and whether it counts what CodeCarbon counts.

    python benchmarks/energy_meter.py --codecarbon /path/to/python

prints the cost of importing, of a sample and of a window, and the size of the package; then
FrugalFL and CodeCarbon side by side on the same work in the same process, both at 4 W a busy core,
while other processes load the machine four times over. Make the interpreter for it with

    python -m venv codecarbon && codecarbon/bin/pip install codecarbon==3.3.2

All times are processor time, the best of several: this may run on a busy machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from common import finish, parser_of

import frugalfl.energy
from frugalfl.energy import choose_meter, profile_named
from frugalfl.energy.accounts import MeterAccount
from frugalfl.energy.host import busy_s
from frugalfl.energy.meter import Meter
from frugalfl.energy.sources import survey

PACKAGE = Path(frugalfl.energy.__file__).parent
#: CodeCarbon's figure for a processor that it does not know, and our generic profile's (W).
CORE_W = 4.0
#: Runs in CodeCarbon's interpreter, where FrugalFL's energy part has to do without numpy.
PEER = Path(__file__).with_name("schemes") / "codecarbon_peer.py"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--codecarbon", metavar="PYTHON", default=sys.executable if find_spec("codecarbon") else "",
        help="an interpreter that has codecarbon",
    )  # fmt: skip
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    figures |= importing(5 if options.quick else 20)
    figures |= sampling(2_000 if options.quick else 20_000)
    figures["package_bytes"] = sum(
        path.stat().st_size for path in PACKAGE.rglob("*") if path.suffix in (".py", ".toml")
    )
    print(f"package            {figures['package_bytes']:,} B in {PACKAGE.name}/, sources and data")
    if options.codecarbon:
        figures |= beside_codecarbon(options.codecarbon, 2.0 if options.quick else 8.0)
    else:
        print("\ncodecarbon is not installed here; see --help for how to compare with it")
    finish(options, figures)


#: What is imported: the package alone, with what a meter needs,
#: and with all the rest, SQLite for the ledger above all.
IMPORTS = {
    "package": "import frugalfl.energy",
    "meter": "from frugalfl.energy import choose_meter, profile_named",
    "everything": "from frugalfl.energy import *",
    "standard_library": "import contextlib, dataclasses, os, pathlib, threading, weakref",
}


def importing(times: int) -> dict[str, Any]:
    """Import in fresh interpreters: processor time (ms), and what is not the standard library."""
    program = (
        "import sys, time; before = set(sys.modules); began = time.process_time()\n"
        "{}; print((time.process_time() - began) * 1e3)\n"
        "tops = {{name.partition('.')[0] for name in set(sys.modules) - before}}\n"
        "print(*sorted(tops - set(sys.stdlib_module_names) - {{'frugalfl'}}))"
    )
    figures: dict[str, Any] = {}
    foreign = set()
    for key, statement in IMPORTS.items():
        command = [sys.executable, "-c", program.format(statement)]
        answers = [
            subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
            for _ in range(times)
        ]
        figures[f"import_{key}_ms"] = min(float(answer[0]) for answer in answers)
        foreign |= set(answers[0][1].split())
    figures["import_third_party"] = sorted(foreign)
    print(
        f"import             {figures['import_package_ms']:.1f} ms of processor time; with what a "
        f"meter needs {figures['import_meter_ms']:.1f} ms, of it "
        f"{figures['import_standard_library_ms']:.1f} ms the standard library's own modules; "
        f"ledger and all {figures['import_everything_ms']:.1f} ms; third-party modules: "
        f"{', '.join(figures['import_third_party']) or 'none'}"
    )
    return figures


def sampling(times: int) -> dict[str, Any]:
    """Cost of a sample and of a window (us of processor time); a sample a second, as a share."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        metered = [MeterAccount(source) for finding in _fake(root) for source in finding.sources]
        for name, meter in (
            ("process", choose_meter(profile_named("raspberry-pi-4b"))),
            ("sysfs", Meter(metered, busy=lambda: busy_s(Path("/")))),
        ):
            with meter.window("all"):
                sample_us = _best_us(meter.sample, times)
            window_us = _best_us(lambda meter=meter: _empty(meter), times)  # type: ignore[misc]
            meter.close()
            figures |= {f"{name}_sample_us": sample_us, f"{name}_window_us": window_us}
            share = f"{sample_us / 1e4:.4f} % of a core at 1 Hz"
            print(f"{name:18} {sample_us:.1f} us a sample ({share}), {window_us:.1f} us a window")
    return figures


def _fake(root: Path) -> list[Any]:
    """Lay out a made-up machine of two packages with memory and a board sensor."""
    for place, name in (("0", "package-0"), ("1", "package-1"), ("0:2", "dram")):
        zone = root / f"sys/class/powercap/intel-rapl:{place}"
        zone.mkdir(parents=True)
        for file, text in (("name", name), ("energy_uj", 1), ("max_energy_range_uj", 10**12)):
            (zone / file).write_text(f"{text}\n")
    sensor = root / "sys/class/hwmon/hwmon0"
    sensor.mkdir(parents=True)
    (sensor / "name").write_text("ina226\n")
    (sensor / "power1_input").write_text("3500000\n")
    return list(survey(root, ("rapl", "hwmon")))


def _empty(meter: Meter) -> None:
    with meter.window("train"):
        pass


def _best_us(work: Callable[[], None], times: int) -> float:
    costs = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(times // 5):
            work()
        costs.append((time.process_time() - began) / (times // 5))
    return min(costs) * 1e6


def beside_codecarbon(python: str, cpu_s: float) -> dict[str, Any]:
    """Run the same work under both, with four busy processes a core beside it."""
    count = 4 * (os.cpu_count() or 1)
    print(f"\n{cpu_s:g} processor seconds of work at {CORE_W} W, beside {count} busy processes")
    answers: dict[str, Any] = {}
    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        for mode in ("process", "machine"):
            answer = answers[mode] = _peer(python, mode, cpu_s)
            answer["ratio"] = answer["codecarbon_cpu_j"] / answer["frugalfl_j"]
            print(
                f"codecarbon {answer['version']}, {mode} mode: "
                f"{answer['codecarbon_cpu_j']:.2f} J cpu, {answer['codecarbon_ram_j']:.2f} J ram; "
                f"frugalfl {answer['frugalfl_j']:.2f} J; cpu {answer['ratio']:.3f} to 1",
                flush=True,
            )
    finally:
        for process in load:
            process.kill()
            process.wait()
    return {"codecarbon": answers}


def _peer(python: str, mode: str, cpu_s: float) -> dict[str, Any]:
    path = os.pathsep.join([str(PACKAGE.parents[1]), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [python, PEER, mode, str(cpu_s), str(CORE_W)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    if result.returncode:
        sys.exit(f"{python} {PEER.name} failed: {result.stderr.strip()[-500:]}")
    answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return answer


if __name__ == "__main__":
    main()
