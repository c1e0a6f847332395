"""Running Average Power Limit: counters inside x86 processors (Intel, and AMD since Linux 5.8).

Under ``/sys/class/powercap``, zones in microjoules that wrap at ``max_energy_range_uj``. Counted
are packages; ``core`` and ``uncore`` are parts of them, ``psys`` holds them, and
``intel-rapl-mmio`` shows the same package again, so none of these is added. ``dram`` is a
component of its own.
"""

from __future__ import annotations

import re
from pathlib import Path

from frugalfl.energy.sources import FoundSources, Source
from frugalfl.energy.sources.totals import Counter, children, number, word

_ZONE = re.compile(r"[a-z-]*rapl[a-z-]*(:\d+)+$")
#: Against meters at the plug, once idle is taken off (our judgement).
_UNCERTAINTY = 0.1
_BASELINE_S = 0.5


def find(root: Path) -> FoundSources:
    """Look for packages, and for the memory beside them."""
    powercap = root / "sys/class/powercap"
    packages: dict[str, Path] = {}
    memories: dict[str, Path] = {}
    # "intel-rapl-mmio:0" sorts before "intel-rapl:0"; the model-specific register comes first here.
    zones = [zone for zone in children(powercap) if _ZONE.match(zone.name)]
    for zone in sorted(zones, key=lambda zone: ("mmio" in zone.name, zone.name)):
        name = word(zone / "name")
        if zone.name.count(":") == 1 and name.startswith("package"):
            packages.setdefault(name, zone)
        elif name == "dram" and "mmio" not in zone.name:
            memories[zone.name] = zone
    if not packages:
        why = (
            "no RAPL package under /sys/class/powercap: not an x86 processor, or hidden in a "
            "virtual machine or container"
        )
        return FoundSources("rapl", (), why)
    try:
        sources = [_source("cpu", list(packages.values()))]
    except (OSError, ValueError) as error:
        return FoundSources("rapl", (), _explain(error))
    note = sources[0].source
    if memories:
        try:
            sources.append(_source("dram", list(memories.values())))
            note += " and memory"
        except (OSError, ValueError) as error:
            note += f"; without memory: {_explain(error)}"
    return FoundSources("rapl", tuple(sources), note)


def _source(component: str, zones: list[Path]) -> Source:
    counters = [_counter(zone) for zone in zones]
    name = " + ".join(zone.name for zone in zones) + " energy_uj"

    def total_j() -> float:
        return sum(counter() for counter in counters)

    return Source(component, "rapl", name, "board", _UNCERTAINTY, total_j, idle_s=_BASELINE_S)


def _counter(zone: Path) -> Counter:
    return Counter(
        lambda: number(zone / "energy_uj") * 1e-6, number(zone / "max_energy_range_uj") * 1e-6
    )


def _explain(error: OSError | ValueError) -> str:
    if not isinstance(error, PermissionError):
        return str(error)
    return (
        f"{error.filename} is readable by root alone (CVE-2020-8694); give a group the right: "
        "echo 'z /sys/devices/virtual/powercap/*/*/energy_uj 0440 root energy' | sudo tee "
        "/etc/tmpfiles.d/rapl.conf, then sudo systemd-tmpfiles --create"
    )
