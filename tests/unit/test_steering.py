"""The server chooses the uplink's rate: by the number of clients, by what was usual, by a budget."""

import numpy as np
import pytest

from frugalfl.codec import Steering as Report
from frugalfl.codec import parse_codec
from frugalfl_server.rounds.byte_budget import Budget
from frugalfl_server.rounds.rate_control import RateControl

AUTO = "stochastic(auto) | range"


def noise_of(text):
    return float(parse_codec(text).calls[0].arguments[0].name.split()[0])


def test_more_clients_bear_coarser_steps_but_not_in_proportion():
    three, ten = (noise_of(RateControl(AUTO).codec_for(n)) for n in (3, 10))
    assert three < ten < three * 10 / 3


def test_a_codec_with_a_step_of_its_own_is_left_alone():
    steering = RateControl("stochastic(24 sigma) | range")
    assert steering.codec_for(3) == "stochastic(24 sigma) | range"
    model = {"w": np.ones(4, np.float32)}
    steering.note(Report(1.0, None), 1.0, {"w": 4.0})
    np.testing.assert_array_equal(steering.settle(model)["w"], model["w"])


def test_updates_that_grow_do_not_get_longer_steps_at_once():
    steering = RateControl(AUTO)
    for _ in range(10):
        steering.codec_for(2)
        for base in (0.01, 0.02, 0.03):
            steering.note(Report(base, base), 1.0, {"w": 1.0})
        steering.settle({"w": np.ones(4, np.float32)})
    steering.codec_for(2)
    steering.note(Report(5.0, 5.0), 1.0, {"w": 1.0})  # one round in which everything explodes
    steering.settle({"w": np.ones(4, np.float32)})
    update = {"w": np.float32([10, 0, 0, 0])}
    payload, _ = parse_codec(steering.codec_for(2)).encode(update, seed=1)
    step = parse_codec("stochastic | range", reading=True).steering(memoryview(payload)).step
    assert step == pytest.approx(noise_of(steering.codec_for(2)) * 0.02, rel=1e-3)


def test_settling_takes_back_the_length_that_rounding_adds():
    """A tensor that gets nothing but rounding noise keeps its length, on average over rounds."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=4000).astype(np.float32)
    settled, left_alone = {"w": start.copy()}, {"w": start.copy()}
    steering = RateControl(AUTO)
    tiny = rng.laplace(size=4000).astype(np.float32) * np.float32(1e-3)
    for round_number in range(60):
        codec = parse_codec(steering.codec_for(4))
        mean = np.zeros(4000, np.float32)
        for client in range(4):
            noisy = tiny * rng.choice(np.float32([-1, 1]), 4000)  # no direction in common
            payload, _ = codec.encode({"w": noisy}, seed=round_number * 10 + client)
            got = codec.decode(memoryview(payload), [(4000,)], round_number * 10 + client)[0]
            report = codec.steering(memoryview(payload))
            steering.note(report, 7.0, {"w": float(np.abs(got).sum())})
            mean += got / 4
        settled = steering.settle({"w": settled["w"] + mean})
        left_alone = {"w": left_alone["w"] + mean}
    own = 60 * 4000 * 2e-6 / 4  # what the updates themselves add, without any rounding
    grown = (left_alone["w"] ** 2).sum() - (start**2).sum() - own
    assert grown > 0
    assert abs((settled["w"] ** 2).sum() - (start**2).sum() - own) < grown / 3


def test_a_budget_makes_the_next_round_coarser_and_lets_it_return():
    budget = Budget(240, coarsest=4.0)
    assert "440 B a client, the budget is 240 B" in budget.spent("uploads", 440)
    assert budget.factor == 2.0
    assert budget.spent("uploads", 140) is None
    assert budget.factor == 1.0


def test_a_budget_that_cannot_be_met_says_so():
    budget = Budget(50, coarsest=2.0)
    assert "coarser would endanger training" in budget.spent("uploads", 1000)
    assert budget.factor == 2.0


def test_without_a_budget_nothing_is_said():
    assert Budget(0, coarsest=2.0).spent("uploads", 10**6) is None


def test_a_codec_that_treats_tensors_apart_is_left_alone():
    text = "large(1024, stochastic(24 sigma) | range, zstd)"
    assert RateControl(text).codec_for(3) == text
