"""Which clients a sticky sampler asks."""

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl.errors import UsageError
from frugalfl.sampling import Sticky, parse_sampling
from frugalfl.settings import Settings
from frugalfl_server.cohort.sticky_sampling import Sampler, sampler_of


def cohorts(sampler, here, rounds):
    """Ask for rounds in which everybody contributes."""
    chosen = []
    for _ in range(rounds):
        sampler.begin(here)
        chosen.append(sampler.cohort(here))
        for node in chosen[-1]:
            sampler.note_reply(node)
    return chosen


@st.composite
def federations(draw):
    """Numbers of all clients, of a round, of the group, and of newcomers a round."""
    clients = draw(st.integers(1, 40))
    a_round = draw(st.integers(1, clients))
    group = draw(st.integers(a_round, clients))
    return clients, a_round, group, draw(st.floats(0.1, a_round))


@settings(deadline=None, max_examples=50)
@given(federations(), st.integers(0, 1000))
def test_every_round_is_full_and_everybody_is_heard_in_time(federation, seed):
    clients, a_round, group, fresh = federation
    within = math.ceil(group / a_round) + math.ceil((clients - group) / fresh) + 1
    sampler = Sampler(Sticky(group, fresh), a_round, seed)
    chosen = cohorts(sampler, range(100, 100 + clients), within)
    assert all(len(set(cohort)) == len(cohort) == a_round for cohort in chosen)
    assert set().union(*chosen) == set(range(100, 100 + clients))


def test_a_round_knows_most_of_the_clients_of_the_last_ones():
    chosen = cohorts(Sampler(Sticky(10, 0.5), 10, 0), range(40), 20)
    strangers = [len({*now} - {*before}) for before, now in pairwise(chosen)]
    assert max(strangers) == 1
    assert sum(strangers) == 9  # every second round, from the third on


@pytest.mark.parametrize("sampling", [Sticky(10, 0.5), Sticky(20, 1), Sticky(12, 2.5)])
def test_in_the_long_run_all_are_heard_equally_often(sampling):
    heard = Counter(
        node for cohort in cohorts(Sampler(sampling, 10, 0), range(40), 800) for node in cohort
    )
    assert min(heard.values()) > 0.85 * 200
    assert max(heard.values()) < 1.15 * 200


def test_the_seed_decides_and_the_order_of_connecting_does_not():
    once, again, other = (
        cohorts(Sampler(Sticky(6, 0.5), 4, seed), nodes, 30)
        for seed, nodes in ((1, range(20)), (1, range(19, -1, -1)), (2, range(20)))
    )
    assert once == again
    assert once != other


def test_those_who_vanish_are_replaced_within_the_round_and_in_the_group():
    sampler = Sampler(Sticky(4, 0.1), 4, 0)
    (gone, *stay), *_ = cohorts(sampler, range(10), 1)
    sampler.begin(range(10))
    assert gone in sampler.cohort(range(10))
    here = set(range(10)) - {gone}
    cohort = sampler.cohort(here)
    assert {*stay} < {*cohort}
    assert len(cohort) == 4
    for node in cohort:
        sampler.note_reply(node)
    assert {*cohorts(sampler, here, 1)[0]} == {*cohort}


def test_a_round_waits_for_clients_that_connect_later():
    sampler = Sampler(Sticky(4, 1), 3, 0)
    sampler.begin([])
    assert sampler.cohort([]) == []
    assert sampler.cohort([7]) == [7]
    assert sorted(sampler.cohort([9, 8, 7])) == [7, 8, 9]


def test_a_client_that_fails_gives_its_place_to_another():
    sampler = Sampler(Sticky(3, 0.1), 3, 0)
    sampler.begin(range(9))
    failing, *others = sampler.cohort(range(9))
    for node in others:
        sampler.note_reply(node)
    sampler.begin(range(9))
    assert {*others} < {*sampler.cohort(range(9))} - {failing}


def test_texts():
    assert parse_sampling("uniform", 10) is None
    assert sampler_of(Settings()) is None
    assert parse_sampling("sticky(12, 0.5)", 10) == Sticky(12, 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stiky(10, 1)", "did you mean 'sticky'"),
        ("sticky(12)", "takes 2 arguments"),
        ("uniform(3)", "takes 0 arguments"),
        ("sticky(9, 1)", "smaller than the 10 clients a round"),
        ("sticky(half, 1)", "whole number"),
        ("sticky(12, 0)", "above 0"),
        ("sticky(12, 11)", "at most the 10 clients"),
        ("sticky(12, some)", "outsiders"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(text, message):
    with pytest.raises(UsageError, match=message):
        Settings.of(sampling=text)
