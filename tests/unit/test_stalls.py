"""When a measure has stalled, and what follows: smaller steps, or the end of training."""

from dataclasses import replace

import pytest
from flwr.app import Message
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import given
from hypothesis import strategies as st

from frugalfl import wire
from frugalfl.errors import FrameError, UsageError
from frugalfl.kinds import Scoring, kind_named
from frugalfl.kinds.kind import CLASSIFICATION
from frugalfl.metrics import Measure
from frugalfl.settings import Settings
from frugalfl_server.rounds.stalls import stalls_in, step_size_after
from frugalfl_server.rounds.stopping import check_stop, why_over
from frugalfl_server.run.records import RoundRecord

ACCURACY = Scoring(CLASSIFICATION, {})
ERROR = Scoring(kind_named("regression"), {})
ROUND = RoundRecord("frugalfl", "train", 1, 0.9, 0.1, 2, 2, 0, 0, None, 10.0, 1.0)


def accuracies(*values):
    return [replace(ROUND, accuracy=value) for value in values]


def errors(*values):
    return [replace(ROUND, accuracy=None, metrics={ERROR.headline: value}) for value in values]


@pytest.mark.parametrize(
    ("values", "stalls"),
    [
        ([], 0),
        ([0.5, 0.5], 0),
        ([0.5, 0.5, 0.5], 1),
        ([0.5, 0.4, 0.49, 0.49, 0.49], 2),
        ([0.5, 0.4, 0.6, 0.5, 0.61], 0),
        ([0.5, None, 0.4, None, None, 0.6], 0),
        ([None, None, None], 0),
    ],
)
def test_a_measure_stalls_after_so_many_known_rounds_without_a_better_one(values, stalls):
    assert stalls_in(accuracies(*values), ACCURACY, 2) == stalls
    # Of an error less is better: the same curve, upside down.
    flipped = [None if value is None else 1 - value for value in values]
    assert stalls_in(errors(*flipped), ERROR, 2) == stalls


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(1, 6))
def test_what_has_stalled_stays_so_and_a_measure_that_improves_never_does(values, patience):
    counts = [
        stalls_in(accuracies(*values[:end]), ACCURACY, patience) for end in range(len(values) + 1)
    ]
    assert counts == sorted(counts)
    assert counts[-1] * patience < max(len(values), 1)
    assert stalls_in(accuracies(*sorted(set(values))), ACCURACY, patience) == 0


def test_plateau_divides_the_step_size_down_to_the_last_one_and_anew_in_recovery():
    settings = Settings.of(
        {"schedule": "plateau(0.5, 2)", "learning-rate": 0.08, "final-learning-rate": 0.01,
         "rounds": 20}
    )  # fmt: skip

    def rates(number):
        flat = accuracies(*[0.5] * 12)
        return [step_size_after(flat[:n], ACCURACY, settings, number) for n in range(13)]

    assert rates(5) == [0.08] * 3 + [0.04] * 2 + [0.02] * 2 + [0.01] * 6
    assert rates(21)[0] == pytest.approx(0.045)
    assert step_size_after(accuracies(0.5), ACCURACY, Settings(), 2) == 0.0


def test_training_ends_by_patience_and_says_which_measure_it_waited_for():
    settings = Settings.of({"stop-patience": 3})
    assert why_over(settings, accuracies(0.5, 0.4, 0.4), ACCURACY) == ""
    assert "no better accuracy in 3 rounds, which is stop-patience" in why_over(
        settings, accuracies(0.5, 0.4, 0.4, 0.5), ACCURACY
    )
    assert why_over(settings, errors(0.5, 0.4, 0.3, 0.2), ERROR) == ""
    assert why_over(settings, errors(0.5, 0.6, 0.5, 0.5), ERROR)
    assert why_over(Settings(), accuracies(*[0.5] * 99), ACCURACY) == ""


@pytest.mark.parametrize(
    "config", [{"stop-patience": 2}, {"schedule": "plateau(0.5, 2)"}, {"stop-score": 0.5}]
)
def test_what_goes_by_a_measure_that_clients_cannot_tell_is_refused_by_name(config):
    own = Scoring(CLASSIFICATION, {"gain": Measure(lambda *_: 0.0)})
    settings = Settings.of(config)
    check_stop(settings, own)
    check_stop(settings, ACCURACY, clients_measure=True)
    with pytest.raises(UsageError, match=f"{next(iter(config))}.* goes by gain.*leave one"):
        check_stop(settings, own, clients_measure=True)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"schedule": "plateau(0.5)"}, "takes 2 arguments"),
        ({"schedule": "plateau(1.5, 3)"}, "above 0 and below 1"),
        ({"schedule": "plateau(0.5, 0)"}, "at least 1"),
        ({"schedule": "plato(0.5, 2)"}, "did you mean 'plateau'"),
        ({"stop-patience": -1}, "stop-patience is -1; it must be 0 or more"),
    ],
)
def test_what_cannot_be_is_explained(config, message):
    with pytest.raises(UsageError, match=message):
        Settings.of(config)


def asked(**changes):
    request = wire.TrainRequest("run", 3, -1, 2, (0,), b"", "raw", learning_rate=0.02)
    content = wire.pack_request(replace(request, **changes))
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1  # no message without one
    return Message(content, dst_node_id=1, message_type="train")


def test_a_step_size_travels_only_if_the_server_alone_knows_it_and_is_checked_by_the_device():
    assert wire.unpack_request(asked()).learning_rate == 0.02
    plain = asked(learning_rate=0.0)
    assert wire.LEARNING_RATE not in plain.content.config_records["config"]
    assert wire.unpack_request(plain).learning_rate == 0.0
    for wrong in (-0.1, float("nan"), float("inf"), "fast"):
        message = asked()
        message.content.config_records["config"][wire.LEARNING_RATE] = wrong
        with pytest.raises(FrameError):
            wire.unpack_request(message)
