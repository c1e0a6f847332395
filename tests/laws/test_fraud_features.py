"""Windows against plain loops, and what a feature may know."""

from math import log1p

import numpy as np
import pytest
from fraud.config import Config
from fraud.counters import counters, key_of
from fraud.features import CARD_DAYS, RISK_DAYS, features, names
from fraud.schema import DAY, concatenate
from fraud_tables import CONFIG, ROWS, START, random_table, transactions
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl.errors import FrameError, UsageError
from frugalfl.sums import answers

QUARTER = DAY // 4


def scaled(value):
    return (log1p(value) - 2) / 2


def slow(table, counted, config):
    """The definition, row by row; terminals are counted in the rows of `counted`."""
    found = []
    for i in range(len(table)):
        time, amount = int(table.time[i]), table.amount[i]
        row = {
            "amount": scaled(amount),
            "weekend": (time // DAY + 3) % 7 >= 5,
            "night": time % DAY < 6 * 3600,
            "hour": time % DAY / DAY - 0.5,
        }
        for days in CARD_DAYS:
            mine = [
                table.amount[j]
                for j in range(i + 1)
                if table.card[j] == table.card[i] and table.time[j] > time - days * DAY
            ]
            row[f"card_count_{days}d"] = scaled(len(mine))
            row[f"card_mean_{days}d"] = scaled(sum(mine) / len(mine))
        known = max(time - config.label_delay_days * DAY - START, 0)
        mine = [table.amount[j] for j in range(i)
                if table.card[j] == table.card[i] and table.time[j] > time - 30 * DAY]  # fmt: skip
        usual = sum(mine) / len(mine) if mine else amount
        row["card_ratio"] = log1p(amount) - log1p(usual)
        there = [
            (int(counted.time[j]) - START, counted.fraud[j])
            for j in range(len(counted))
            if counted.terminal[j] == table.terminal[i]
        ]
        for days in RISK_DAYS:
            end = known // QUARTER * QUARTER
            frauds = sum(fraud for when, fraud in there if end - days * DAY <= when < end)
            row[f"terminal_risk_{days}d"] = log1p(frauds)
        found.append([row[name] for name in names(config)])
    return np.array(found, np.float32)


@given(ROWS)
@settings(max_examples=100, deadline=None)
def test_features_are_those_of_the_plain_definition(rows):
    table = transactions(rows)
    np.testing.assert_allclose(features(table, CONFIG), slow(table, table, CONFIG), atol=1e-5)


@given(ROWS, st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_shared_features_count_terminals_in_all_branches(rows, cards):
    table = transactions(rows)
    parts = [table.take(table.card < cards), table.take(table.card >= cards)]
    parts = [part for part in parts if len(part)]
    totals = answers([counters(part, CONFIG) for part in parts])
    for part, total in zip(parts, totals, strict=True):
        expected = slow(part, table, CONFIG)
        np.testing.assert_allclose(features(part, CONFIG, total), expected, atol=1e-5)


@given(ROWS, st.integers(0, 70 * DAY))
@settings(max_examples=100, deadline=None)
def test_the_future_changes_nothing(rows, moment):
    table = transactions(rows)
    past = table.time < START + moment
    if past.any():
        assert np.array_equal(features(table, CONFIG)[past], features(table.take(past), CONFIG))


@given(ROWS, st.integers(0, 70 * DAY))
@settings(max_examples=100, deadline=None)
def test_labels_younger_than_the_delay_change_nothing(rows, moment):
    table = transactions(rows)
    young = table.time > START + moment - CONFIG.label_delay_days * DAY
    relabelled = transactions(
        [
            (time - START, card, terminal, amount, 1 - fraud if flip else fraud)
            for time, card, terminal, amount, fraud, flip in zip(
                table.time, table.card, table.terminal, table.amount, table.fraud, young,
                strict=True,
            )
        ]
    )  # fmt: skip
    before = table.time <= START + moment
    if before.any():
        assert np.array_equal(features(table, CONFIG)[before], features(relabelled, CONFIG)[before])


def test_a_known_fraud_does_count():
    one = [(5 * DAY, 1, 7, 10.0, 1), (20 * DAY, 2, 7, 10.0, 0)]
    risk = names(CONFIG).index("terminal_risk_30d")
    assert features(transactions(one), CONFIG)[1, risk] > 0.5


def test_a_terminal_of_one_branch_stays_its_own_until_totals_are_shared():
    """Terminal 7 is compromised in branch A only; branch B sees it later."""
    mine = random_table(seed=1)
    compromised = transactions([(d * DAY + 60, 900 + d, 7, 50.0, 1) for d in range(20, 50)])
    quiet = transactions([(d * DAY + 60, 900 + d, 7, 50.0, 0) for d in range(20, 50)])
    alone = features(mine, CONFIG)

    def told(other):
        totals = answers([counters(mine, CONFIG), counters(other, CONFIG)])[0]
        return features(mine, CONFIG, totals)

    clean, warned = told(quiet), told(compromised)
    at_seven = mine.terminal == 7
    risks = [names(CONFIG).index(f"terminal_risk_{days}d") for days in RISK_DAYS]
    late = at_seven & (mine.time >= START + 30 * DAY)
    assert np.all(warned[late][:, risks[-1]] > clean[late][:, risks[-1]])
    others = np.setdiff1d(np.arange(len(names(CONFIG))), risks)
    assert np.array_equal(warned[:, others], clean[:, others])
    assert np.array_equal(warned[~at_seven], alone[~at_seven])
    # What the other branch holds cannot matter where nothing was given.
    assert np.array_equal(alone, features(mine, CONFIG))
    assert not np.array_equal(alone, warned)


def test_one_branch_alone_has_the_same_features_shared_or_not():
    table = random_table()
    totals = answers([counters(table, CONFIG)])[0]
    assert np.array_equal(features(table, CONFIG), features(table, CONFIG, totals))


def test_a_table_holds_every_fraud_once_and_no_terminal_in_clear():
    table = random_table()
    found = counters(table, CONFIG)
    assert set(found["frauds"].keys.tolist()) == set(key_of(table.terminal, CONFIG).tolist())
    assert found["frauds"].counts.sum() == table.fraud.sum()
    assert not set(found["frauds"].keys.tolist()) & set(table.terminal.tolist())
    other = Config(first_day=CONFIG.first_day, last_day=CONFIG.last_day, salt="another")
    assert not np.array_equal(key_of(table.terminal, CONFIG), key_of(table.terminal, other))


def test_totals_of_another_branch_or_other_days_are_refused():
    table, other = random_table(terminals=20), random_table(terminals=10)
    with pytest.raises(UsageError, match="not of this branch's terminals and days"):
        features(table, CONFIG, counters(other, CONFIG))
    longer = Config(first_day=CONFIG.first_day)
    with pytest.raises(UsageError, match="not of this branch's terminals and days"):
        features(table.take(table.time < START + 30 * DAY), longer, counters(table, CONFIG))
    with pytest.raises(FrameError, match="periods; they must be alike"):
        answers([counters(table, CONFIG), counters(table.take(slice(0, 9)), Config())])


def test_features_of_a_file_without_cards_or_terminals():
    config = Config(columns={"time": "t", "amount": "a", "fraud": "f"})
    found = features(random_table(), config)
    assert names(config) == ("amount", "weekend", "night", "hour")
    assert found.shape == (3000, 4)
    assert counters(random_table(), config) == {}


def test_cards_of_two_branches_do_not_mix():
    one, two = random_table(seed=1), random_table(seed=2)
    two = type(two)(**{**vars(two), "card": two.card + 1000})
    both = concatenate([one, two])
    columns = [i for i, name in enumerate(names(CONFIG)) if name.startswith("card")]
    apart = features(one, CONFIG)[:, columns]
    assert np.array_equal(features(both, CONFIG)[both.card < 1000][:, columns], apart)
