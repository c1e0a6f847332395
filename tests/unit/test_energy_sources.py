"""Each source of joules on a made-up ``/sys``, or with a made-up command on PATH.

The trees and commands are fake; the code that reads them is what runs on a device.
"""

import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from frugalfl.energy import choose_meter, profile_named
from frugalfl.energy.choose import explain
from frugalfl.energy.level import BatteryLevel, battery_level
from frugalfl.energy.sources import LADDER, rapl, survey
from frugalfl.energy.sources.pmic import board_w

RAPL = "sys/class/powercap"
HWMON = "sys/class/hwmon"
SUPPLY = "sys/class/power_supply"
RANGE_UJ = 262_143_328_850
STAT = "cpu  100 0 50 1000 0 0 0 0 0 0\n"


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def zone(place, name, energy_uj, range_uj=RANGE_UJ):
    return {
        f"{RAPL}/{place}/name": name,
        f"{RAPL}/{place}/energy_uj": energy_uj,
        f"{RAPL}/{place}/max_energy_range_uj": range_uj,
    }


def found(root, method):
    (finding,) = survey(root, (method,))
    return finding


def only(root, method):
    (source,) = found(root, method).sources
    return source


@pytest.fixture(autouse=True)
def path(tmp_path, monkeypatch):
    """A PATH of one folder, empty but for what a test puts there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("FRUGALFL_ENERGY_FILE", raising=False)
    monkeypatch.delenv("ANDROID_ROOT", raising=False)
    return folder


def command(path, name, prints, code=0):
    (path / f"{name}.txt").write_text(prints)
    script = path / name
    script.write_text(
        f"#!/bin/sh\nwhile read -r line; do echo \"$line\"; done < '{path / name}.txt'\nexit {code}\n"
    )
    script.chmod(0o755)


# Processors


INTEL = {
    **zone("intel-rapl:0", "package-0", 1_000_000),
    **zone("intel-rapl:0:0", "core", 900_000),
    **zone("intel-rapl:0:1", "uncore", 50_000),
    **zone("intel-rapl:0:2", "dram", 200_000),
    **zone("intel-rapl:1", "package-1", 3_000_000),
    **zone("intel-rapl:2", "psys", 9_000_000),
    **zone("intel-rapl-mmio:0", "package-0", 1_000_000),
}


def test_rapl_counts_packages_once_and_memory_apart(tmp_path):
    write(tmp_path, INTEL)
    processor, memory = found(tmp_path, "rapl").sources
    everything = [place for place in INTEL if place.endswith("energy_uj")]
    for place in everything:
        path = tmp_path / place
        path.write_text(str(int(path.read_text()) + 5_000_000))
    assert processor.total_j() == pytest.approx(10)  # two packages, 5 J each
    assert memory.total_j() == pytest.approx(5)
    assert (processor.component, memory.component) == ("cpu", "dram")
    assert "mmio" not in processor.source


def test_rapl_reads_the_mirror_where_there_is_nothing_else(tmp_path):
    write(tmp_path, zone("intel-rapl-mmio:0", "package-0", 0))
    assert "mmio" in only(tmp_path, "rapl").source


def test_rapl_wraps(tmp_path):
    write(tmp_path, zone("intel-rapl:0", "package-0-die-0", RANGE_UJ - 2_000_000))
    source = only(tmp_path, "rapl")
    write(tmp_path, zone("intel-rapl:0", "package-0-die-0", 1_000_000))
    assert source.total_j() == pytest.approx(3)
    write(tmp_path, zone("intel-rapl:0", "package-0-die-0", 4_000_000))
    assert source.total_j() == pytest.approx(6)


def test_rapl_without_the_right_to_read_says_what_to_do():
    # Not tmp_path, which others may not enter; and root may read everything, so be someone else.
    root = Path(tempfile.mkdtemp())
    try:
        write(root, zone("intel-rapl:0", "package-0", 1))
        root.chmod(0o755)
        (root / RAPL / "intel-rapl:0/energy_uj").chmod(0o400 if os.geteuid() == 0 else 0)
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)
        try:
            finding = rapl.find(root)
        finally:
            os.seteuid(was)
    finally:
        shutil.rmtree(root)
    assert not finding.sources
    assert "intel-rapl:0/energy_uj is readable by root alone" in finding.note
    assert "/etc/tmpfiles.d/rapl.conf" in finding.note
    assert "\n" not in finding.note


def test_rapl_without_its_memory_still_has_its_processor(tmp_path):
    write(tmp_path, INTEL)
    energy = tmp_path / RAPL / "intel-rapl:0:2/energy_uj"
    energy.unlink()
    energy.mkdir()
    finding = found(tmp_path, "rapl")
    assert [source.component for source in finding.sources] == ["cpu"]
    assert "without memory" in finding.note


# Boards


def draws(source, watts):
    """Say whether a source counts so many watts, however long the looks at it take."""
    times = [time.monotonic()]
    before = source.total_j()
    times.append(time.monotonic())
    while time.monotonic() < times[1] + 0.001:
        pass
    times.append(time.monotonic())
    energy = source.total_j() - before
    times.append(time.monotonic())
    least, most = watts * (times[2] - times[1]), watts * (times[3] - times[0])
    return least * (1 - 1e-6) <= energy <= most * (1 + 1e-6)


INA226 = {
    f"{HWMON}/hwmon3/name": "ina226",
    f"{HWMON}/hwmon3/in0_input": 5,
    f"{HWMON}/hwmon3/in1_input": 5000,
    f"{HWMON}/hwmon3/curr1_input": 700,
    f"{HWMON}/hwmon3/power1_input": 3_500_000,
    f"{HWMON}/hwmon3/shunt_resistor": 10000,
    f"{HWMON}/hwmon0/name": "cpu_thermal",
    f"{HWMON}/hwmon0/in1_input": 99999,
}


def test_an_ina_sensor_is_known_by_name_not_by_number(tmp_path):
    write(tmp_path, INA226)
    source = only(tmp_path, "hwmon")
    assert draws(source, 3.5)
    assert "shunt 10000 uOhm" in source.source
    os.rename(tmp_path / HWMON / "hwmon0", tmp_path / HWMON / "hwmon7")
    os.rename(tmp_path / HWMON / "hwmon3", tmp_path / HWMON / "hwmon0")  # the next boot
    assert draws(only(tmp_path, "hwmon"), 3.5)


def test_without_a_power_file_volts_and_amperes_are_multiplied(tmp_path):
    files = dict(INA226)
    del files[f"{HWMON}/hwmon3/power1_input"]
    files[f"{HWMON}/hwmon3/curr1_input"] = -400  # a shunt soldered the other way round
    write(tmp_path, files)
    assert draws(only(tmp_path, "hwmon"), 2.0)


def jetson(labels):
    files = {
        f"{HWMON}/hwmon4/name": "ina3221",
        f"{HWMON}/hwmon4/in7_label": "sum of shunt voltages",
    }
    for channel, label in enumerate(labels, 1):
        files |= {
            f"{HWMON}/hwmon4/in{channel}_label": label,
            f"{HWMON}/hwmon4/in{channel}_input": 5000,
            f"{HWMON}/hwmon4/curr{channel}_input": 1000 * channel,
        }
    return files


@pytest.mark.parametrize(
    ("labels", "expected_w"),
    [
        (("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"), 5),  # one rail feeds the others
        (("VDD_GPU_SOC", "VDD_CPU_CV", "VDDQ"), 30),  # none does: their sum
    ],
)
def test_the_rails_of_a_jetson(tmp_path, labels, expected_w):
    write(tmp_path, jetson(labels))
    assert draws(only(tmp_path, "hwmon"), expected_w)


def test_a_channel_that_is_off_is_not_read(tmp_path):
    write(tmp_path, {**jetson(("GPU", "CPU", "SOC")), f"{HWMON}/hwmon4/in3_enable": 0})
    assert draws(only(tmp_path, "hwmon"), 15)


PMIC = """\
   3V7_WL_SW_A current(0)=0.10000000A
   3V3_SYS_A current(1)=0.20000000A
  VDD_CORE_A current(7)=1.00000000A
   3V7_WL_SW_V volt(8)=3.70000000V
   3V3_SYS_V volt(9)=3.30000000V
  VDD_CORE_V volt(15)=0.80000000V
     EXT5V_V volt(24)=5.14000000V
      BATT_V volt(25)=0.00000000V
"""


def test_the_raspberry_pi_5_shows_its_rails(tmp_path, path):
    command(path, "vcgencmd", PMIC)
    expected_w = 1.1451 * (0.37 + 0.66 + 0.8) + 0.5879
    assert board_w(PMIC) == pytest.approx(expected_w)
    assert draws(only(tmp_path, "pmic"), expected_w)


@pytest.mark.parametrize(
    ("prints", "code", "advice"),
    [
        ("Can't open device file: /dev/vcio", 1, "group video"),
        ('error=1 error_msg="Command not registered"', 0, "only the Raspberry Pi 5"),
    ],
)
def test_a_pi_that_shows_nothing_says_why(tmp_path, path, prints, code, advice):
    command(path, "vcgencmd", prints + "\n", code)
    finding = found(tmp_path, "pmic")
    assert not finding.sources
    assert advice in finding.note


# Batteries


def battery(**files):
    base = {"type": "Battery", "status": "Discharging", "voltage_now": 4_000_000}
    return {f"{SUPPLY}/BAT0/{name}": text for name, text in (base | files).items()}


@pytest.mark.parametrize("current_ua", [-500_000, 500_000])
def test_a_discharging_battery_whatever_its_sign(tmp_path, current_ua):
    write(tmp_path, battery(current_now=current_ua))
    assert draws(only(tmp_path, "battery"), 2.0)


def test_a_batterys_own_power_figure_comes_first(tmp_path):
    write(tmp_path, battery(power_now=7_000_000, current_now=1))
    assert draws(only(tmp_path, "battery"), 7.0)


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging", "Unknown"])
def test_a_battery_on_a_charger_is_no_meter(tmp_path, status):
    write(tmp_path, battery(status=status, current_now=500_000))
    finding = found(tmp_path, "battery")
    assert not finding.sources
    assert status in finding.note


def test_the_battery_of_a_mouse_is_not_the_machines(tmp_path):
    write(tmp_path, battery(scope="Device", current_now=500_000))
    assert not found(tmp_path, "battery").sources


def test_a_charger_plugged_in_during_the_work_leaves_joules_unknown(tmp_path):
    write(tmp_path, {**battery(current_now=500_000), "proc/stat": STAT})
    meter = choose_meter(profile_named("generic"), tmp_path)
    with meter.window("train") as window:
        write(tmp_path, battery(status="Charging", current_now=500_000))
    (reading,) = window.readings
    assert (reading.energy_j, reading.idle_j) == (None, None)
    assert "'Charging'" in reading.source
    write(tmp_path, battery(current_now=500_000))
    with meter.window("train"):  # from here it counts again
        pass
    with meter.window("train") as window:
        pass
    assert window.readings[0].energy_j is not None
    meter.close()


@pytest.mark.parametrize(
    ("text", "expected_w"),
    [
        ('{"status": "DISCHARGING", "current": -300000, "voltage": 4000}', 1.2),
        ('{"status": "DISCHARGING", "current": 300000}', 0.3 * 3.85),
    ],
)
def test_termux(tmp_path, path, text, expected_w):
    command(path, "termux-battery-status", text + "\n")
    source = only(tmp_path, "termux")
    assert draws(source, expected_w)
    assert ("at 3.85 V" in source.source) == ("voltage" not in text)


def test_termux_asks_the_system_for_a_voltage(tmp_path, path):
    command(path, "termux-battery-status", '{"status": "DISCHARGING", "current": 300000}\n')
    write(tmp_path, {f"{SUPPLY}/battery/voltage_now": 4_200_000})
    assert draws(only(tmp_path, "termux"), 0.3 * 4.2)


@pytest.mark.parametrize(
    "text",
    [
        '{"status": "CHARGING", "current": 1}',
        "[]",
        "{",
        "null",
        '{"status": "FULL"}',
        "",
        "[" * 99999,
    ],
)
def test_termux_that_says_nothing_of_use(tmp_path, path, text):
    command(path, "termux-battery-status", text + "\n")
    finding = found(tmp_path, "termux")
    assert not finding.sources
    assert finding.note


# Files and GPUs


@pytest.mark.parametrize(
    ("before", "after", "joules", "scope"),
    [
        ("100 J", "112.5 J", 12.5, "wall"),
        ("5000 mJ board", "7000 mJ board", 2, "board"),
        ("1 Wh container", "1.5 Wh container", 1800, "container"),
    ],
)
def test_a_counter_in_a_file(tmp_path, monkeypatch, before, after, joules, scope):
    monkeypatch.setenv("FRUGALFL_ENERGY_FILE", "/meter.txt")
    write(tmp_path, {"meter.txt": before})
    source = only(tmp_path, "file")
    write(tmp_path, {"meter.txt": after})
    assert source.total_j() == pytest.approx(joules)
    assert (source.component, source.scope) == ("board", scope)
    with pytest.raises(ValueError, match="fell"):
        write(tmp_path, {"meter.txt": before})  # the meter was reset
        source.total_j()


def test_watts_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("FRUGALFL_ENERGY_FILE", "/meter.txt")
    write(tmp_path, {"meter.txt": "6500 mW"})
    assert draws(only(tmp_path, "file"), 6.5)


@pytest.mark.parametrize(
    "text", ["", "5", "J 5", "5 kg", "nan J", "-5 J", "5 J moon", "5 J wall now"]
)
def test_a_file_that_is_no_meter(tmp_path, monkeypatch, text):
    monkeypatch.setenv("FRUGALFL_ENERGY_FILE", "/meter.txt")
    write(tmp_path, {"meter.txt": text})
    finding = found(tmp_path, "file")
    assert not finding.sources
    assert "NUMBER UNIT" in finding.note


class NvmlError(Exception):
    pass


@pytest.fixture
def nvml(monkeypatch):
    """The calls of pynvml that are used, over a counter and a list of processes of our own."""
    fake = SimpleNamespace(millijoules=5000, pids=(), NVMLError=NvmlError)
    fake.nvmlInit = lambda: None
    fake.nvmlDeviceGetCount = lambda: 1
    fake.nvmlDeviceGetHandleByIndex = lambda number: number
    fake.nvmlDeviceGetTotalEnergyConsumption = lambda device: fake.millijoules
    fake.nvmlDeviceGetComputeRunningProcesses = lambda device: [
        SimpleNamespace(pid=pid) for pid in fake.pids
    ]
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


@pytest.mark.parametrize(("others", "expected_j"), [((), 8.0), ((1,), 4.0), ((1, 2, 3), 2.0)])
def test_a_gpu_is_shared_among_those_who_compute_on_it(tmp_path, nvml, others, expected_j):
    source = only(tmp_path, "nvml")
    nvml.millijoules += 8000
    nvml.pids = (os.getpid(), *others)
    assert source.total_j() * source.share() == pytest.approx(expected_j)


def test_a_gpu_that_others_use_gives_us_no_reading(tmp_path, nvml):
    write(tmp_path, {"proc/stat": STAT})
    nvml.pids = (1,)
    meter = choose_meter(profile_named("generic"), tmp_path)
    with meter.window("train") as window:
        nvml.millijoules += 8000
    assert [reading.component for reading in window.readings] == ["cpu"]
    meter.close()


def test_a_gpu_without_its_driver_is_explained(tmp_path, nvml):
    def no_driver():
        raise NvmlError("Driver Not Loaded")

    nvml.nvmlInit = no_driver
    assert "Driver Not Loaded" in found(tmp_path, "nvml").note


# All of them


def test_the_best_source_comes_first(tmp_path, path, monkeypatch):
    write(
        tmp_path,
        {"proc/stat": STAT, **INTEL, **INA226, **battery(current_now=1), "meter.txt": "1 J"},
    )
    command(path, "vcgencmd", PMIC)
    command(path, "termux-battery-status", '{"status": "DISCHARGING", "current": 1}\n')
    monkeypatch.setenv("FRUGALFL_ENERGY_FILE", "/meter.txt")
    order = [finding.method for finding in survey(tmp_path) if finding.sources]
    assert order == list(LADDER)
    _, used = explain(profile_named("generic"), tmp_path)
    assert "measured by file" in used
    monkeypatch.delenv("FRUGALFL_ENERGY_FILE")
    assert "measured by hwmon" in explain(profile_named("generic"), tmp_path)[1]


def test_a_bare_machine_misses_everything_and_says_so(tmp_path):
    findings, used = explain(profile_named("generic"), tmp_path)
    assert not any(finding.sources for finding in findings)
    assert all(finding.note and "\n" not in finding.note for finding in findings)
    assert "estimated" in used


def test_a_board_is_recognised(tmp_path):
    write(tmp_path, {"proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0"})
    assert "raspberry-pi-4b" in explain(profile_named("generic"), tmp_path)[1]
    meter = choose_meter(profile_named("generic"), tmp_path)
    with meter.window("train") as window:
        pass
    assert window.readings[0].source.startswith("raspberry-pi-4b:")


@pytest.mark.parametrize(
    "garbage", [b"", b"\xff\xfe\x00", b"abc\n", b"-1", b"nan", b"1e400", b"0x10", b"9" * 5000]
)
def test_garbage_in_any_file_is_no_crash_and_no_negative_joule(tmp_path, garbage):
    files = {
        "proc/stat": STAT,
        **INTEL,
        **INA226,
        **jetson(("A", "B", "C")),
        **battery(current_now=5),
    }
    write(tmp_path, files)
    good = [source for finding in survey(tmp_path) for source in finding.sources]
    assert len(good) == 4
    for place in random.Random(len(garbage)).sample(sorted(files), 12):
        (tmp_path / place).write_bytes(garbage)
        bad = [source for finding in survey(tmp_path) for source in finding.sources]
        for source in good + bad:
            try:
                assert source.total_j() >= 0
            except (OSError, ValueError) as error:
                assert str(error)
        write(tmp_path, {place: files[place]})


# How full a battery is


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (battery(capacity=37), BatteryLevel(37.0, charging=False)),
        (battery(capacity=37, status="Charging"), BatteryLevel(37.0, charging=True)),
        (battery(capacity=100, status="Full"), BatteryLevel(100.0, charging=True)),
        (
            {**battery(capacity=20), f"{SUPPLY}/BAT1/type": "Battery",
             f"{SUPPLY}/BAT1/status": "Unknown", f"{SUPPLY}/BAT1/capacity": 80},
            BatteryLevel(50.0, charging=False),
        ),
        (battery(capacity=37, scope="Device"), None),
        (battery(), None),
        (battery(capacity="soon"), None),
        (battery(capacity=-1), None),
        (battery(capacity=4000), None),
        ({}, None),
    ],
)  # fmt: skip
def test_how_full_a_battery_is(tmp_path, files, expected):
    write(tmp_path, files)
    assert battery_level(tmp_path) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"percentage": 61, "status": "DISCHARGING"}', BatteryLevel(61.0, charging=False)),
        ('{"percentage": 61, "status": "CHARGING"}', BatteryLevel(61.0, charging=True)),
        ('{"percentage": null, "status": "CHARGING"}', None),
        ('{"status": "CHARGING"}', None),
        ("[]", None),
        ("", None),
    ],
)
def test_how_full_a_phones_battery_is(tmp_path, path, text, expected):
    command(path, "termux-battery-status", text + "\n")
    assert battery_level(tmp_path) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("57 %", BatteryLevel(57.0, charging=False)),
        ("57.5% charging\n", BatteryLevel(57.5, charging=True)),
        ("57", None),
        ("157 %", None),
        ("nan %", None),
        ("", None),
    ],
)
def test_a_file_speaks_for_a_battery_that_the_system_does_not_know(tmp_path, text, expected):
    write(tmp_path, battery(capacity=3))
    (tmp_path / "level").write_text(text)
    assert battery_level(tmp_path, str(tmp_path / "level")) == expected
    assert battery_level(tmp_path, str(tmp_path / "missing")) is None
