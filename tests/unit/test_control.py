"""Whom a round may ask, by joules and batteries, without any training."""

from dataclasses import replace

import pytest
from energy_records import RECORD
from hypothesis import given
from hypothesis import strategies as st

from frugalfl import wire
from frugalfl.energy import Reading
from frugalfl.energy.level import BatteryLevel
from frugalfl.kinds import Scoring
from frugalfl.kinds.kind import CLASSIFICATION
from frugalfl.settings import Settings
from frugalfl_server.cohort.energy_limits import REST_ROUNDS, EnergyLimits
from frugalfl_server.rounds.stopping import why_over
from frugalfl_server.run.records import RoundRecord

EPOCHS = 5
SCORING = Scoring(CLASSIFICATION, {})


def record(phase, energy_j, measured=False):
    reading = Reading("cpu", energy_j, None, measured, "m", "s", "process", None)
    return replace(RECORD, phase=phase, readings=(reading,))


def reply(train_j=None, upload_j=None, battery=None, frame=b"x"):
    records = [record("train", train_j)] if frame else []
    return wire.TrainReply(
        0, frame, records=(*records, record("upload", upload_j)), battery=battery
    )


def control(**settings):
    return EnergyLimits(
        Settings.of(clients=4, clients_per_round=2, local_epochs=EPOCHS, **settings)
    )


@given(
    budget=st.floats(0.1, 1000),
    epoch_j=st.floats(0.001, 50),
    rest_j=st.floats(0, 50),
    rounds=st.integers(1, 60),
)
def test_a_client_whose_rounds_cost_the_same_stays_within_its_budget(
    budget, epoch_j, rest_j, rounds
):
    held, spent, asked = control(energy_budget=budget), 0.0, []
    for _ in range(rounds):
        held.begin([1])
        if not held.may_train(1):
            break
        epochs = held.epochs_of(1) or EPOCHS
        assert 1 <= epochs <= EPOCHS
        asked.append(epochs)
        spent += epochs * epoch_j + rest_j
        held.note_reply(1, reply(epochs * epoch_j, rest_j))
    first = EPOCHS * epoch_j + rest_j  # nobody knows yet what a round costs
    assert spent <= max(budget, first) * (1 + 1e-9)
    # Epochs only ever become fewer, and a client stops only where not even one fits.
    assert asked == sorted(asked, reverse=True)
    if len(asked) < rounds:
        assert spent + epoch_j + rest_j > budget * (1 - 1e-9)


def test_measured_and_estimated_joules_both_count():
    held = control(energy_budget=10.0)
    held.charge(1, [record("calibrate", 6.0, measured=True), record("calibrate", 5.0)])
    assert not held.may_train(1)
    assert not held.may_answer(1)


def test_a_device_that_does_not_know_its_joules_is_not_held_to_any():
    held = control(energy_budget=0.001)
    for _ in range(3):
        held.begin([1])
        assert held.may_train(1)
        assert held.epochs_of(1) == 0
        held.note_reply(1, reply())


def test_what_is_kept_back_is_there_afterwards():
    held = control(energy_budget=30.0)
    held.keep_back(0.5)
    held.begin([1])
    held.note_reply(1, reply(10.0, 0.0))
    assert held.epochs_of(1) == 2  # 5 J of the first half, 2 J an epoch
    held.keep_back(0)
    assert held.epochs_of(1) == 0


def test_a_low_battery_rests_and_is_asked_again():
    held = control(min_battery=20)
    held.begin([1, 2])
    held.note_reply(1, reply(1.0, battery=BatteryLevel(10.0, charging=False)))
    held.note_reply(2, reply(1.0, battery=BatteryLevel(10.0, charging=True)))
    allowed = []
    for _ in range(REST_ROUNDS + 1):
        held.begin([1, 2])
        allowed.append(held.may_train(1))
        assert held.may_train(2)
    assert allowed == [False] * REST_ROUNDS + [True]


def test_where_all_rest_they_are_asked_once_before_their_time():
    held = control(min_battery=20)
    empty = reply(battery=BatteryLevel(10.0, charging=False), frame=b"")
    held.begin([1])
    held.note_reply(1, empty)
    held.begin([1])
    assert held.may_train(1)
    held.note_reply(1, empty)
    held.begin([1])
    assert not held.may_train(1)
    assert "1 below min-battery 20 %" in held.why_left_out([1])


ROUND = RoundRecord("frugalfl", "train", 1, 0.9, 0.1, 2, 2, 0, 0, None, 10.0, 1.0)


@pytest.mark.parametrize(
    ("settings", "accuracies", "over"),
    [
        ({"stop_accuracy": 0.95}, [0.99, 0.99], False),
        ({"stop_accuracy": 0.95}, [0.2, 0.99, 0.99], False),
        ({"stop_accuracy": 0.95}, [0.2, 0.94, 0.95, 0.97], True),
        ({"stop_joules": 35.0}, [0.1] * 3, False),
        ({"stop_joules": 35.0}, [0.1] * 4, True),
        ({}, [1.0] * 9, False),
    ],
)
def test_when_training_is_over(settings, accuracies, over):
    rounds = [replace(ROUND, accuracy=accuracy) for accuracy in accuracies]
    assert bool(why_over(Settings.of(**settings), rounds, SCORING)) is over


def test_measured_joules_count_towards_the_stop_too():
    rounds = [replace(ROUND, energy_measured_j=30.0)]
    assert "40 J" in why_over(Settings.of(stop_joules=35.0), rounds, SCORING)
