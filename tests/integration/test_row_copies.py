"""Altered programs at a real client: rows come out if nothing checks, and none if it does."""

from __future__ import annotations

import re

import pytest
from attacking.programs import Client, attacks
from attacking.row_copies import honest_program


def test_every_program_that_copies_rows_is_refused_and_the_client_goes_on(tmp_path) -> None:
    outcomes = list(attacks(tmp_path, quick=True))
    assert len(outcomes) >= 20
    for one in outcomes:
        assert one.refused and one.line and "\n" not in one.line, one
        assert one.run_went_on is not False, one
        assert "only sums over a batch" in one.line or one.line.startswith("batch-size is 1"), one
        unchecked = re.search(r"\((\d+) if unchecked\)", one.attack)
        assert unchecked is None or int(unchecked[1]) >= 1, one  # else it is no attack


@pytest.mark.parametrize(("least", "said"), [(17, "batch-size is 16"), (16, ""), (4, "")])
def test_an_owner_may_ask_for_larger_batches(tmp_path, least: int, said: str) -> None:
    client = Client(tmp_path, **{"smallest-batch": least})
    line = client.refusal_of(honest_program())
    assert line.startswith(said) and bool(line) == bool(said)


def test_a_device_of_few_rows_takes_no_part(tmp_path) -> None:
    client = Client(tmp_path, **{"smallest-batch": 32})
    line = client.refusal_of(honest_program(batch=64), batch_size=64)
    assert line == "this device has 31 rows, and its smallest-batch is 32; it takes no part"
