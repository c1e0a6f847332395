"""The setting ``trees``: what it takes, and what it says to what it does not take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl.trees import Growth
from frugalfl.trees.unused import _UNUSED
from frugalfl.trees.ways import WAYS, Way, parse_way

ways = st.builds(
    Way,
    st.sampled_from(WAYS),
    st.integers(1, 10_000),
    st.builds(
        Growth,
        learning_rate=st.floats(1e-4, 1),
        leaves=st.integers(2, 256),
        min_rows_in_leaf=st.integers(1, 1_000_000),
        l2=st.floats(0, 1e6),
    ),
    st.integers(2, 255),
)


@given(ways)
def test_what_a_server_writes_is_what_a_client_reads(way):
    assert parse_way(str(way)) == way


def test_options_follow_the_number():
    assert parse_way("bagging(20, rate 0.05, leaves 15, rows 3, l2 0, bins 32)") == Way(
        "bagging", 20, Growth(learning_rate=0.05, leaves=15, min_rows_in_leaf=3, l2=0.0), 32
    )
    assert parse_way("histogram(7)") == Way("histogram", 7)
    assert parse_way("") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("baging(20)", "unknown way of growing trees 'baging'; did you mean 'bagging'?"),
        ("forest(20)", "known: bagging, cyclic, histogram, refit"),
        ("bagging", "takes a number of trees, such as bagging(20)"),
        ("bagging()", "cannot read 'bagging()'"),
        ("bagging(0)", "whole number of at least 1, not '0'"),
        ("bagging(many)", "whole number of at least 1, not 'many'"),
        ("bagging(10001)", "10001 trees are too many; at most 10,000"),
        ("bagging(20, leafs 15)", "unknown option of trees 'leafs'; did you mean 'leaves'?"),
        ("bagging(20, leaves)", "leaves takes a number from 2 to 256, not ''"),
        ("bagging(20, leaves 1)", "leaves takes a number from 2 to 256, not '1'"),
        ("bagging(20, leaves 2.5)", "leaves takes a number from 2 to 256, not '2.5'"),
        ("bagging(20, rate 2)", "rate takes a number from 0.0001 to 1, not '2'"),
        ("bagging(20, l2 nan)", "l2"),
        ("bagging(20, bins 300)", "bins takes a number from 2 to 255, not '300'"),
        ("bagging(20, rate 0.1, rate 0.2)", "rate is there twice"),
        ("bagging(20) | zstd", "left over"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_write(text, says):
    with pytest.raises(UsageError) as error:
        Settings.of(trees=text)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "others", [{"private": "last(1)"}, {"asynchronous": "buffered(3)", "clients_per_round": 4}]
)
def test_trees_do_not_go_with_private_blocks_or_buffered_rounds(others):
    with pytest.raises(UsageError, match=r"trees have no private blocks and need whole rounds"):
        Settings.of(trees="bagging(20)", **others)


@pytest.mark.parametrize(
    ("others", "named"),
    [
        ({"strategy": "fedadam(0.01)"}, "strategy = fedadam(0.01)"),
        (
            {"prune": 0.25, "sampling": "sticky(20, 0.5)"},
            "prune = 0.25, sampling = sticky(20, 0.5)",
        ),
        ({"refresh": "last(1)"}, "refresh = last(1)"),
        ({"stop_joules": 9.0}, "stop-joules = 9.0"),
        ({"stop_patience": 3}, "stop-patience = 3"),
        ({"ram": "16KiB"}, "ram = 16KiB"),
        ({"export": False}, "export = False"),
        ({"optimizer": "adam"}, "optimizer = adam"),
        ({"clip_norm": 1.0, "weight_decay": 0.1}, "weight-decay = 0.1, clip-norm = 1.0"),
        ({"schedule": "plateau(0.5, 5)"}, "schedule = plateau(0.5, 5)"),
    ],
)
def test_what_trees_would_ignore_is_refused_by_name(others, named):
    config = Settings.of(**others).as_config()
    with pytest.raises(UsageError) as error:
        Settings.of(config | {"trees": "bagging(20)"})
    assert str(error.value) == (
        f"trees have no use for {named}: leave that out, or leave trees empty for a network"
    )


@pytest.mark.parametrize(
    ("key", "default"),
    [("prune", 0.5), ("recover-rounds", 40), ("optimizer", "sgd"), ("schedule", "cosine")],
)
def test_a_default_that_somebody_wrote_is_refused_too(key, default):
    assert Settings().as_config()[key] == default
    with pytest.raises(UsageError, match=f"trees have no use for {key} = {default}: leave that"):
        Settings.of({"trees": "bagging(20)", key: default})


def test_settings_of_a_network_without_promises_may_stand_beside_trees():
    config = Settings.of(prune=0.0, recover_rounds=0, local_epochs=3, uplink="raw").as_config()
    assert Settings.of(config | {"trees": "bagging(20)"}).train.trees


def test_every_default_goes_with_trees():
    """And each setting that is refused is one, with the default that it is said to have."""
    default = Settings().as_config()
    assert {key: default[key] for key in _UNUSED} == {key: idle[0] for key, idle in _UNUSED.items()}
    assert Settings.of(default | {"trees": "histogram(5)"}).train.trees


def test_counters_are_own_or_shared():
    with pytest.raises(UsageError, match=r"counters.*own or shared") as error:
        Settings.of(counters="shard")
    assert "\n" not in str(error.value)
    assert not Settings().train.shares_counters
