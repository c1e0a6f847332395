import math
import time

import pytest

from frugalfl.energy import CpuTimeMeter, profile_named
from frugalfl.errors import UsageError


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        math.sqrt(2)


def joules(window):
    return sum(reading.energy_j for reading in window.readings)


def test_joules_follow_processor_time_not_waiting_time():
    meter = CpuTimeMeter(profile_named("generic"))
    with meter.window("train") as working:
        burn(0.05)
    with meter.window("wait") as waiting:
        time.sleep(0.05)
    assert joules(working) >= 4.0 * 0.05
    assert joules(waiting) < joules(working) / 5
    assert waiting.wall_s >= 0.05


def test_idle_joules_are_kept_apart_and_unknown_where_unknown():
    with CpuTimeMeter(profile_named("raspberry-pi-4b")).window("train") as window:
        burn(0.01)
    assert window.readings[0].idle_j == pytest.approx(2.286 * window.wall_s)
    with CpuTimeMeter(profile_named("generic")).window("train") as window:
        pass
    assert window.readings[0].idle_j is None


def test_a_window_is_filled_even_when_the_work_fails():
    meter = CpuTimeMeter(profile_named("generic"))
    with pytest.raises(ValueError), meter.window("train") as window:
        burn(0.01)
        raise ValueError
    assert joules(window) > 0


def test_every_estimate_says_so():
    with CpuTimeMeter(profile_named("generic")).window("train") as window:
        pass
    assert [reading.measured for reading in window.readings] == [False]


def test_unknown_profile():
    with pytest.raises(UsageError, match="did you mean 'raspberry-pi-4b'"):
        profile_named("raspberry-pi-4")
