"""A branch's own cleaning, splitting and thinning out."""

from dataclasses import replace
from datetime import date
from math import exp, log

import numpy as np
import pytest
from fraud.config import Config
from fraud.features import features
from fraud.prepare import clean, correction, need_both_classes, prepare, split_of
from fraud.schema import DAY, concatenate
from fraud_tables import CONFIG, LAST, START, random_table, transactions

from frugalfl.errors import TaskError


@pytest.fixture(scope="module")
def table():
    return random_table(rows=6000)


@pytest.fixture(scope="module")
def prepared(table):
    return prepare(table, CONFIG)


def test_the_label_delay_lies_between_training_and_test(table, prepared):
    parts = split_of(table, CONFIG)
    assert parts.test_stop == START + 70 * DAY
    assert parts.test_start == parts.test_stop - 10 * DAY
    assert parts.train_stop == parts.test_start - 7 * DAY
    assert parts.train_start == parts.train_stop - 20 * DAY
    assert prepared.test_time.min() >= parts.test_start
    assert len(prepared.test_y) == (table.time >= parts.test_start).sum()


def test_every_fraud_and_a_share_of_the_rest_is_trained_on(table, prepared):
    parts = split_of(table, CONFIG)
    training = (table.time >= parts.train_start) & (table.time < parts.train_stop)
    frauds = table.fraud[training].sum()
    genuine = training.sum() - frauds
    assert prepared.train.y.sum() == frauds
    kept = len(prepared.train) - frauds
    assert abs(kept - 0.5 * genuine) < 5 * np.sqrt(genuine * 0.25)
    everything = prepare(table, replace(CONFIG, keep_negatives=1.0))
    assert len(everything.train) == training.sum()
    assert f"{kept:,} of {genuine:,} genuine rows kept for training" in prepared.notes


def test_the_same_rows_are_kept_wherever_and_whenever(table, prepared):
    again = prepare(table, CONFIG)
    assert np.array_equal(again.train.x, prepared.train.x)
    other = prepare(table, replace(CONFIG, salt="another"))
    assert not np.array_equal(other.train.y, prepared.train.y)


def test_corrected_odds_are_those_of_all_rows():
    """100 frauds among 10,000; with a tenth of the rest, odds are ten times too high."""
    learnt = log(100 / 990)
    assert exp(learnt + correction(0.1)) == pytest.approx(100 / 9900)
    assert correction(1.0) == 0


def test_small_amounts_are_left_out_of_training_and_of_nothing_else(table, prepared):
    config = replace(CONFIG, smallest_amount=100.0, keep_negatives=1.0)
    small = prepare(table, config)
    everything = prepare(table, replace(CONFIG, keep_negatives=1.0))
    assert np.array_equal(small.test_x, prepared.test_x)
    assert small.test_amount.min() < 100
    large = np.expm1(everything.train.x[:, 0] * 2 + 2) >= 99.999
    # Windows still see the small ones: the features of the rows that stay are the same.
    assert np.array_equal(small.train.x, everything.train.x[large])
    assert "below 100 left out" in small.notes[0] and "frauds among them" in small.notes[0]


def test_repeated_rows_are_dropped_and_equal_payments_are_not(table):
    one = table.take(slice(0, 100))
    twice, notes = clean(concatenate([table, one]), CONFIG)
    assert len(twice) == len(table) and notes == ("100 repeated rows dropped",)
    assert np.array_equal(features(twice, CONFIG), features(table, CONFIG))
    # The same card at the same terminal, second and price, but two transactions.
    payments = transactions([(DAY, 1, 1, 9.99, 0), (DAY, 1, 1, 9.99, 0)])
    assert len(clean(payments, CONFIG)[0]) == 2


def test_an_id_that_comes_twice_is_kept_and_said_so(table):
    ids = table.id.copy()
    ids[10] = ids[20]
    kept, notes = clean(replace(table, id=ids), CONFIG)
    assert len(kept) == len(table)
    assert notes == ("1 rows have the id of another, different row: kept",)


def test_rows_outside_of_the_days_are_dropped_and_said_so(table):
    early = replace(CONFIG, first_day=date(2018, 4, 11))
    kept, notes = clean(table, early)
    assert kept.time.min() >= START + 10 * DAY
    assert notes[0].endswith(f"rows outside of 2018-04-11 to {LAST} dropped")
    with pytest.raises(TaskError, match="no transaction is within 2030-01-01 to 2030-12-31"):
        clean(table, Config(first_day=date(2030, 1, 1), last_day=date(2030, 12, 31)))


def test_a_branch_with_one_class_takes_part_and_says_so(table):
    honest = prepare(replace(table, fraud=np.zeros_like(table.fraud)), CONFIG)
    assert len(honest.train) > 0 and honest.train.y.sum() == 0
    assert "no fraud in the training days: this branch gives genuine rows only" in honest.notes
    crooked = prepare(replace(table, fraud=np.ones_like(table.fraud)), CONFIG)
    assert "no genuine row in the training days: this branch gives frauds only" in crooked.notes
    need_both_classes([honest.train, crooked.train])
    with pytest.raises(TaskError, match=r"no fraud among .* training rows of 2 branches"):
        need_both_classes([honest.train, honest.train])
    with pytest.raises(TaskError, match=r"nothing but fraud among"):
        need_both_classes([crooked.train])


def test_too_little_data(table):
    with pytest.raises(TaskError, match="70 days of data are too few for 65 to test and 7"):
        prepare(table, replace(CONFIG, test_days=65))
    with pytest.raises(TaskError, match="no transactions in the test days 2018-05-31 to"):
        prepare(table.take(table.time < START + 55 * DAY), CONFIG)
    with pytest.raises(TaskError, match="no transactions in the training days 2018-05-04 to"):
        prepare(table.take(table.time > START + 62 * DAY), CONFIG)
