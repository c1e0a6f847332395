"""Nets from papers: int8 is as good as float, or the run is refused before its first round."""

import pytest
from foreign_nets import NETS, through_a_federation

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("net", NETS)
def test_a_net_from_a_paper_becomes_int8_within_a_point(net, tmp_path):
    outcome = through_a_federation(net, (), tmp_path)
    assert outcome.holds, outcome
    assert outcome.accuracy is None or outcome.accuracy > 0.4, outcome  # it has learnt something
