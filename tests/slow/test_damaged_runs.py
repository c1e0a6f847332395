"""Every file of a run, damaged in every way, for every verb that reads it: one line, or the same.

FRUGALFL_SEED=3 python -m pytest -m slow tests/slow/test_damaged_runs.py -s
"""

import os

import pytest
from attacking.damage import VERBS, damaged, runs

SEED = int(os.environ.get("FRUGALFL_SEED", "15"))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return runs(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("verb", VERBS)
def test_damage_is_one_line(both, tmp_path, verb):
    finished, stopped = both
    found = damaged(tmp_path, verb, stopped if "resume" in verb else finished, False, SEED)
    print(found.line)
    assert found.refused, found.line
