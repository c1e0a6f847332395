"""Windows: what they count, whose it is, and what they say when nothing is known."""

import math
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import pytest

from frugalfl.energy import (
    choose_meter,
    countable_readings,
    mac_reading,
    profile_named,
    radio_reading,
)
from frugalfl.energy.accounts import EstimateAccount, MeterAccount
from frugalfl.energy.meter import Meter
from frugalfl.energy.sources import Source
from frugalfl.energy.sources.totals import Integral


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        math.sqrt(2)


def generic():
    return Meter([EstimateAccount(profile_named("generic"), here=True)])


@dataclass
class Host:
    """A made-up host: its clocks, and a meter on it."""

    now: float = 0.0
    cpu: float = 0.0
    busy: float = 0.0
    joules: float = 0.0
    watts: float = 10.0
    broken: bool = False
    meter: Meter = field(init=False)

    def __post_init__(self):
        source = Source("cpu", "rapl", "package", "board", 0.1, self.total_j, idle_s=0.5)
        self.meter = Meter([MeterAccount(source)], busy=lambda: self.busy, clock=lambda: self.now,
                           cpu_clock=lambda: self.cpu, rest=self.run)  # fmt: skip

    def total_j(self):
        if self.broken:
            raise OSError("the sensor is gone")
        return self.joules

    def run(self, wall_s, ours_s=0.0, others_s=0.0, busy_w=0.0):
        """Let time pass, with processor time of ours and of others, each at ``busy_w``."""
        self.now += wall_s
        self.cpu += ours_s
        self.busy += ours_s + others_s
        self.joules += wall_s * self.watts + (ours_s + others_s) * busy_w


def test_joules_follow_processor_time_not_waiting_time():
    meter = generic()
    with meter.window("train") as working:
        burn(0.05)
    with meter.window("wait") as waiting:
        time.sleep(0.05)
    assert working.readings[0].energy_j >= 4.0 * 0.05
    assert waiting.readings[0].energy_j < working.readings[0].energy_j / 5
    assert waiting.wall_s >= 0.05


def test_a_window_is_filled_even_when_the_work_fails():
    meter = generic()
    with pytest.raises(ValueError), meter.window("round") as outer, meter.window("train") as inner:
        burn(0.01)
        raise ValueError
    assert 0 < inner.readings[0].energy_j <= outer.readings[0].energy_j


def test_what_stands_apart_is_in_no_window_around_it():
    host = Host()
    with host.meter.window("encode") as outer:
        host.run(1.0, ours_s=0.5, busy_w=4.0)
        with host.meter.window("compile", apart=True) as inner:
            host.run(4.0, ours_s=3.0, busy_w=4.0)
            with host.meter.window("setup", apart=True) as innermost:
                host.run(2.0, ours_s=2.0, busy_w=4.0)
        with host.meter.window("beside") as beside:
            host.run(0.5, ours_s=0.25, busy_w=4.0)
        host.run(0.5, ours_s=0.25, busy_w=4.0)
    with host.meter.window("after") as after:
        host.run(1.0, ours_s=1.0, busy_w=4.0)
    spent = [
        (one.wall_s, one.cpu_s, one.readings[0].energy_j)
        for one in (innermost, inner, beside, outer, after)
    ]
    assert spent == [
        (2.0, 2.0, 8.0), (4.0, 3.0, 12.0), (0.5, 0.25, 1.0), (2.0, 1.0, 4.0), (1.0, 1.0, 4.0),
    ]  # fmt: skip


def test_every_estimate_says_so():
    meter = choose_meter(profile_named("raspberry-pi-zero-w"))
    with meter.window("train") as window:
        pass
    (reading,) = window.readings
    assert reading.measured is False
    assert "PowerJoular" in reading.source


def test_idle_joules_are_apart_and_unknown_where_unknown():
    with generic().window("train") as window:
        pass
    assert window.readings[0].idle_j is None
    pi = Meter([EstimateAccount(profile_named("raspberry-pi-4b"), here=True)])
    with pi.window("train") as window:
        burn(0.01)
    assert window.readings[0].idle_j == pytest.approx(2.286 * window.wall_s, rel=0.05)


def test_a_client_that_wears_a_slower_board_takes_longer_on_it():
    clock = iter(range(1000))
    profile = profile_named("raspberry-pi-zero-w")
    meter = Meter([EstimateAccount(profile, here=False)], cpu_clock=lambda: float(next(clock)),
                  clock=time.monotonic)  # fmt: skip
    with meter.window("train") as window:
        pass
    (reading,) = window.readings
    assert window.cpu_s == 1
    assert reading.energy_j == pytest.approx(profile.slowdown * 0.473)
    assert reading.uncertainty_rel == 1
    assert "worn" in reading.source


def test_a_package_meter_is_shared_by_processor_time_above_idle():
    host = Host()
    with host.meter.window("train") as window:
        host.run(10, ours_s=4, others_s=12, busy_w=5)
    (reading,) = window.readings
    assert reading.energy_j == pytest.approx(4 * 5)
    assert reading.idle_j == pytest.approx(100)  # measured at rest, before the window: 10 W
    assert reading.measured is True


def test_on_a_host_that_is_never_at_rest_idle_is_unknown_and_shared_too():
    host = Host()
    quiet, host.meter._rest = host.run, lambda seconds: quiet(seconds, others_s=2 * seconds)
    with host.meter.window("train") as window:
        host.run(10, ours_s=4, others_s=12, busy_w=5)
    (reading,) = window.readings
    assert reading.energy_j == pytest.approx((100 + 80) / 4)
    assert reading.idle_j is None


def test_a_source_that_cannot_be_read_gives_no_joules_and_the_reason():
    host = Host()
    with host.meter.window("train") as window:
        host.run(1, ours_s=1)
        host.broken = True
    (reading,) = window.readings
    assert reading.energy_j is None
    assert "the sensor is gone" in reading.source
    assert countable_readings(window.readings) == ()
    host.broken = False
    with host.meter.window("train"):
        host.run(1, ours_s=1, busy_w=5)
    with host.meter.window("train") as window:
        host.run(1, ours_s=1, busy_w=5)
    assert window.readings[0].energy_j == pytest.approx(5)


def test_a_missing_sample_is_never_bridged():
    now, power = [0.0], [2.0]

    def read():
        if power[0] is None:
            raise OSError("no answer")
        return power[0]

    total = Integral(read, clock=lambda: now[0])
    now[0] = 1.0
    assert total() == pytest.approx(2)
    power[0] = None
    with pytest.raises(OSError):
        total()
    now[0], power[0] = 3601.0, 2.0  # an hour of sleep
    with pytest.raises(ValueError, match="missing"):
        total()
    now[0] = 3602.0
    assert total() == pytest.approx(4)


def test_background_samples_follow_a_power_that_changes():
    host = Host()
    power = [10.0]
    source = Source("board", "hwmon", "ina226", "board", 0.05,
                    Integral(lambda: power[0], clock=lambda: host.now))  # fmt: skip
    meter = Meter([MeterAccount(source)], busy=lambda: host.busy, clock=lambda: host.now,
                  cpu_clock=lambda: host.cpu)  # fmt: skip
    with meter.window("train") as window:
        for second in range(10):
            power[0] = 30.0 if second < 5 else 10.0
            host.run(1, ours_s=1)
            meter.sample()
        power[0] = 10.0
    meter.close()
    assert window.readings[0].energy_j == pytest.approx(5 * 30 + 5 * 10, rel=0.1)


def test_a_closed_meter_stops_sampling():
    before = set(threading.enumerate())
    host = Host()
    with host.meter.window("train"):
        host.run(1)
    (sampler,) = set(threading.enumerate()) - before
    host.meter.close()
    sampler.join(10)
    assert not sampler.is_alive()


def test_windows_of_two_threads_share_what_both_used():
    meter = generic()
    barrier = threading.Barrier(2)
    windows = []

    def work():
        barrier.wait()
        with meter.window("train") as window:
            barrier.wait()
            burn(0.02)
            barrier.wait()
        windows.append(window)

    before = time.process_time()
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used = time.process_time() - before
    assert sum(window.cpu_s for window in windows) <= used
    assert sum(window.readings[0].energy_j for window in windows) <= 4.0 * used


CLIENT = """
import sys, time
from pathlib import Path
from frugalfl.energy import host
from frugalfl.energy.accounts import MeterAccount
from frugalfl.energy.meter import Meter
from frugalfl.energy.sources import Source
# A made-up package meter that counts 10 J for each second of real processor time of this real host.
root = Path("/")
first = host.busy_s(root)
source = Source("cpu", "rapl", "package", "board", 0.1, lambda: 10 * (host.busy_s(root) - first))
meter = Meter([MeterAccount(source)], busy=lambda: host.busy_s(root))
began, total = time.process_time(), 0.0
for _ in range(5):
    with meter.window("train") as window:
        end = time.process_time() + 0.06
        while time.process_time() < end:
            pass
    total += window.readings[0].energy_j
print(total, time.process_time() - began)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/stat")
def test_clients_on_a_busy_host_get_their_part_and_together_no_more_than_it_used():
    from pathlib import Path

    from frugalfl.energy.host import busy_s

    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        before = busy_s(Path("/"))
        clients = [
            subprocess.Popen([sys.executable, "-c", CLIENT], stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        answers = [client.communicate(timeout=60)[0].split() for client in clients]
        host_j = 10 * (busy_s(Path("/")) - before)
    finally:
        for process in load:
            process.kill()
            process.wait()
    joules, seconds = zip(*(map(float, answer) for answer in answers), strict=True)
    assert sum(joules) <= host_j
    # /proc/stat counts in hundredths of a second, and lags.
    assert sum(joules) == pytest.approx(10 * sum(seconds), rel=0.25)


def test_a_microcontroller_is_counted_in_multiply_accumulates():
    profile = profile_named("cortex-m4")
    meter = choose_meter(profile)
    with meter.window("predict") as window:
        window.macs = 1_000_000
    (reading,) = window.readings
    assert reading.energy_j == pytest.approx(0.64e-3)
    assert reading == mac_reading(profile, 1_000_000)
    with meter.window("predict") as window:
        pass
    assert window.readings[0].energy_j is None
    assert "not counted" in window.readings[0].source


def test_on_lte_the_contacts_outweigh_the_bytes():
    reading = radio_reading("lte", 300, 1200, contacts=2)
    assert reading.energy_j == pytest.approx(2 * 12.6, rel=0.01)
    assert radio_reading("lte", 10**6, 0, 0).energy_j == pytest.approx(5.2)
    assert reading.component == "radio"
    assert reading.measured is False


@pytest.mark.parametrize(
    ("link", "why"), [("", "does not name"), ("pigeon", "no figures for link 'pigeon'")]
)
def test_a_link_without_figures_is_unknown_not_free(link, why):
    reading = radio_reading(link, 300, 300, 1)
    assert reading.energy_j is None
    assert why in reading.source


def test_loopback_has_no_radio_and_says_so():
    reading = radio_reading("loopback", 10**6, 10**6, 5)
    assert reading.energy_j == 0
    assert "no radio" in reading.source
