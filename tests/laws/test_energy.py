"""Laws of windows: joules add up, none is negative, none is given away twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl.energy import profile_named
from frugalfl.energy.accounts import EstimateAccount, MeterAccount
from frugalfl.energy.host import ProcessorShare
from frugalfl.energy.meter import Meter
from frugalfl.energy.models import radio_reading
from frugalfl.energy.profiles import links
from frugalfl.energy.sources import Source
from frugalfl.energy.sources.totals import Counter, Integral

RANGE_J = 1000.0
SECONDS = st.floats(0, 100)
#: What happens in one stretch: wall time, our processor time, others', and the watts that show.
STRETCH = st.tuples(SECONDS, SECONDS, SECONDS, st.floats(0, 9))
KNOWN_IDLE_W = st.none() | st.floats(0, 20)


class World:
    """A made-up host with a wrapping counter, a power sensor and a profile on it."""

    def __init__(self, idle_w):
        self.now = self.cpu = self.busy = self.joules = self.watts = 0.0
        counter = Counter(lambda: self.joules % RANGE_J, RANGE_J)
        power = Integral(lambda: self.watts, clock=lambda: self.now)
        sources = [
            Source("cpu", "rapl", "package", "board", 0.1, counter),
            Source("board", "hwmon", "ina", "board", 0.1, power),
        ]
        accounts = [MeterAccount(source, idle_w) for source in sources]
        accounts.append(EstimateAccount(profile_named("raspberry-pi-3b"), here=True))
        self.meter = Meter(accounts, busy=lambda: self.busy, clock=lambda: self.now,
                           cpu_clock=lambda: self.cpu)  # fmt: skip

    def run(self, wall_s, ours_s, others_s, watts):
        self.now += wall_s
        self.cpu += ours_s
        self.busy += ours_s + others_s
        self.joules += wall_s * watts
        self.watts = watts


def joules(window):
    return [(reading.energy_j, reading.idle_j or 0.0) for reading in window.readings]


@settings(deadline=None, max_examples=50)
@given(st.lists(STRETCH, min_size=1, max_size=8), KNOWN_IDLE_W)
def test_windows_add_up_to_the_window_around_them(stretches, idle_w):
    world = World(idle_w)
    inner = []
    with world.meter.window("round") as outer:
        for stretch in stretches:
            with world.meter.window("part") as window:
                world.run(*stretch)
            inner.append(window)
    world.meter.close()
    parts = zip(*map(joules, inner), strict=True)
    for (energy, idle), part in zip(joules(outer), parts, strict=True):
        assert energy == pytest.approx(sum(e for e, _ in part), rel=1e-9, abs=1e-6)
        assert idle == pytest.approx(sum(i for _, i in part), rel=1e-9, abs=1e-6)
    assert outer.cpu_s == pytest.approx(sum(window.cpu_s for window in inner))


@settings(deadline=None, max_examples=50)
@given(st.lists(STRETCH, min_size=1, max_size=8), KNOWN_IDLE_W)
def test_no_joule_is_negative_and_none_is_made_up(stretches, idle_w):
    world = World(idle_w)
    with world.meter.window("round") as window:
        for stretch in stretches:
            world.run(*stretch)
            world.meter.sample()
    world.meter.close()
    assert all(energy >= 0 and idle >= 0 for energy, idle in joules(window))
    package = window.readings[0]
    assert package.energy_j <= world.joules + 1e-6


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(1e-3, 10), st.floats(0, 10), st.floats(0, 10)), max_size=20))
def test_shares_are_shares(stretches):
    """Also where /proc/stat, which counts in hundredths, lags behind our own clock."""
    now = busy = 0.0
    shown = [0.0]
    share = ProcessorShare(lambda: shown[0])
    share.since(now, 0, 0)
    for wall_s, ours_s, others_s in stretches:
        now += wall_s
        busy += ours_s + others_s
        shown[0] = int(busy * 100) / 100
        ours = share.since(now, wall_s, ours_s)
        assert 0 <= ours <= 1
        if wall_s > 1 and ours_s + others_s > 1:
            assert ours == pytest.approx(ours_s / (ours_s + others_s), abs=0.03)


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(sorted(links())), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 99),
    st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 99),
)  # fmt: skip
def test_radio_joules_add_up(link, up, down, contacts, more_up, more_down, more_contacts):
    one = radio_reading(link, up, down, contacts).energy_j
    other = radio_reading(link, more_up, more_down, more_contacts).energy_j
    both = radio_reading(link, up + more_up, down + more_down, contacts + more_contacts).energy_j
    assert both == pytest.approx(one + other)
    assert min(one, other) >= 0
