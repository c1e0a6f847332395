"""Which rows are in which batch: never few ones alone, and not for the server to know."""

from __future__ import annotations

import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalfl.errors import RunError
from frugalfl_client.chance import Chance
from frugalfl_client.training.batches import batches


@given(st.integers(1, 99), st.integers(1, 32), st.integers(1, 32), st.integers(0, 5))
def test_no_batch_has_fewer_rows_than_the_smallest(rows, size, least, seed) -> None:
    least = min(least, size, rows)
    whole = list(batches(rows, size, np.random.default_rng(seed), least))
    plain = list(batches(rows, size, np.random.default_rng(seed)))
    assert all(least <= len(batch) <= size for batch in whole)
    assert all(len(set(batch.tolist())) == len(batch) for batch in whole)
    assert set(np.concatenate(whole).tolist()) == set(range(rows))
    for one, other in zip(whole, plain, strict=True):
        assert np.array_equal(one[: len(other)], other)
        assert len(one) == max(len(other), least)


def test_a_device_draws_from_a_secret_that_stays_on_its_disk(tmp_path) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    first, other = (Chance(folder, 3, None).of_round(0, 1) for folder in folders)
    assert first != other
    assert Chance(folders[0], 3, None).of_round(0, 1) == first  # after a restart too
    again = Chance(folders[0], 3, None)
    assert len({first, again.of_round(0, 2), again.of_round(1, 1)}) == 3
    assert first != Chance(tmp_path, 3, 0).of_round(0, 1) == (0, 3, 1)
    kept = folders[0] / "secret"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and len(kept.read_bytes()) == 32
    assert [path.name for path in folders[0].iterdir()] == ["secret"]


def test_a_secret_that_is_damaged_or_somebody_elses_is_not_used(tmp_path) -> None:
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(RunError, match="5 B in place of 32; delete it"):
        Chance(tmp_path, 0, None).of_round(0, 1)
    (tmp_path / "secret").unlink()
    (tmp_path / "aside").write_bytes(bytes(32))
    (tmp_path / "secret").symlink_to(tmp_path / "aside")
    with pytest.raises(RunError, match="cannot keep this device's secret"):
        Chance(tmp_path, 0, None).of_round(0, 1)


def test_the_kept_secret_decides_the_orders(tmp_path) -> None:
    seed = Chance(tmp_path, 0, None).of_round(0, 1)
    orders = [np.concatenate(list(batches(50, 8, np.random.default_rng(s)))) for s in
              (seed, (0, 0, 1), seed)]  # fmt: skip
    assert np.array_equal(orders[0], orders[2]) and not np.array_equal(orders[0], orders[1])
