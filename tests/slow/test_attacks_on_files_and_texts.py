"""All attacks on files and texts, with the real commands and a real node."""

import pytest
from attacking import files, texts

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("subject", [files, texts], ids=lambda one: one.__name__.rpartition(".")[2])
def test_every_attack_is_refused(subject, tmp_path):
    outcomes = list(subject.attacks(tmp_path, True))
    bad = [one for one in outcomes if not one.refused or one.run_went_on is False]
    assert len(outcomes) > 15
    assert not bad
