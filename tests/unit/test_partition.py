"""Splits of a data set over clients: every row is one client's, and the same seed splits alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalfl.errors import TaskError
from frugalfl_sim.partition import by_key, dirichlet, iid, shards, uneven

LABELS = np.random.default_rng(0).integers(0, 10, 400)
SPLITS = {
    "iid": lambda labels, clients, seed: iid(len(labels), clients, seed),
    "dirichlet": lambda labels, clients, seed: dirichlet(labels, clients, 0.5, seed),
    "shards": lambda labels, clients, seed: shards(labels, clients, 2, seed),
    "uneven": lambda labels, clients, seed: uneven(len(labels), clients, 0.3, seed),
}


@pytest.mark.parametrize("name", SPLITS)
@given(rows=st.integers(1, 300), clients=st.integers(1, 40), seed=st.integers(0, 99))
def test_every_row_is_one_clients_and_the_same_seed_splits_alike(name, rows, clients, seed):
    labels = np.random.default_rng(seed).integers(0, 5, rows)
    if rows < 4 * clients:
        with pytest.raises(TaskError, match=f"{rows} rows are too few for {clients} clients"):
            SPLITS[name](labels, clients, seed)
        return
    parts = SPLITS[name](labels, clients, seed)
    assert len(parts) == clients and min(map(len, parts)) >= 4
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(rows))
    assert all(np.array_equal(part, np.sort(part)) for part in parts)
    again = SPLITS[name](labels, clients, seed)
    assert all(np.array_equal(one, other) for one, other in zip(parts, again, strict=True))


@pytest.mark.parametrize("name", SPLITS)
def test_another_seed_splits_otherwise(name):
    one, other = (SPLITS[name](LABELS, 10, seed) for seed in (1, 2))
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_clients_of_shards_have_few_classes_and_those_of_iid_all():
    few = [len(np.unique(LABELS[part])) for part in shards(LABELS, 20, 2, seed=3)]
    every = [len(np.unique(LABELS[part])) for part in iid(400, 4, seed=3)]
    assert max(few) <= 4 and min(every) == 10


def test_sizes_of_iid_differ_by_one_row_and_those_of_uneven_by_many():
    alike = [len(part) for part in iid(403, 10, seed=0)]
    apart = [len(part) for part in uneven(403, 10, 0.2, seed=0)]
    assert max(alike) - min(alike) == 1
    assert max(apart) > 5 * min(apart)


@given(keys=st.lists(st.integers(0, 12), min_size=1, max_size=200), clients=st.integers(1, 14))
def test_no_key_is_split(keys, clients):
    different = len(set(keys))
    if clients > different:
        with pytest.raises(TaskError, match=f"{different} different keys cannot name {clients}"):
            by_key(np.array(keys), clients, least=1)
        return
    parts = by_key(np.array(keys), clients, least=1)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(keys)))
    held = [set(np.array(keys)[part]) for part in parts]
    assert sum(map(len, held)) == different


def test_keys_may_be_names_and_clients_need_rows():
    names = np.array(["ana"] * 8 + ["bo"] * 5 + ["chen"] * 4)
    assert [len(part) for part in by_key(names, 2)] == [8, 9]
    with pytest.raises(TaskError, match="would have 4 rows, and needs 5"):
        by_key(names, 3, least=5)


@pytest.mark.parametrize("alpha", [0, -1, float("nan"), float("inf")])
def test_a_concentration_that_cannot_be_is_refused(alpha):
    for split in (lambda: dirichlet(LABELS, 5, alpha, 0), lambda: uneven(400, 5, alpha, 0)):
        with pytest.raises(TaskError, match="alpha is .*above 0"):
            split()


@pytest.mark.parametrize("each", [0, -1])
def test_a_client_takes_at_least_one_shard(each):
    with pytest.raises(TaskError, match=f"each is {each}"):
        shards(LABELS, 5, each, 0)
