"""Step sizes over the rounds."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalfl.errors import UsageError
from frugalfl.schedule import parse_schedule
from frugalfl.settings import Settings

ROUNDS = st.integers(1, 200)


@pytest.mark.parametrize("text", ["cosine", "linear"])
@given(rounds=st.integers(2, 200), first=st.floats(1e-4, 1.0), share=st.floats(0.01, 1.0))
def test_falling_schedules_lead_from_the_first_step_size_to_the_last(text, rounds, first, share):
    schedule, last = parse_schedule(text), first * share
    rates = [schedule(first, last, place, rounds) for place in range(rounds)]
    assert rates[0] == pytest.approx(first)
    assert rates[-1] == pytest.approx(last)
    assert all(b <= a * (1 + 1e-9) for a, b in pairwise(rates))


@given(rounds=ROUNDS, every=st.integers(1, 50))
def test_step_falls_by_its_factor_and_only_every_so_many_rounds(rounds, every):
    schedule = parse_schedule(f"step(0.5, {every})")
    rates = [schedule(0.08, 0.01, place, rounds) for place in range(rounds)]
    drops = [place for place in range(1, rounds) if rates[place] != rates[place - 1]]
    assert drops == list(range(every, rounds, every))
    assert all(math.isclose(rates[place], rates[place - 1] / 2) for place in drops)


def test_constant_stays():
    settings = Settings.of(rounds=10, recover_rounds=5, schedule="constant", learning_rate=0.04)
    assert {settings.learning_rate_at(number) for number in range(1, 11)} == {0.04}


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant", "step(0.1, 3)"])
def test_recovery_starts_anew_with_smaller_steps(schedule):
    settings = Settings.of(rounds=10, recover_rounds=5, schedule=schedule)
    anew = settings.learning_rate_at(11)
    assert anew == pytest.approx(
        (settings.train.learning_rate + settings.train.final_learning_rate) / 2
    )
    assert settings.learning_rate_at(15) <= anew


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin", "did you mean 'cosine'"),
        ("cosine(3)", "takes 0 arguments"),
        ("step(0.1)", "takes 2 arguments"),
        ("step(1, 30)", "above 0 and below 1"),
        ("step(0.1, 0)", "at least 1"),
    ],
)
def test_a_wrong_schedule_is_explained(text, message):
    with pytest.raises(UsageError, match=message):
        parse_schedule(text)
