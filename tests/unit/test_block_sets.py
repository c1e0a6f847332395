"""The sets of blocks that training programs are approved for are those that rounds ask for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl.blocks import Layout
from frugalfl.errors import ExportError
from frugalfl.plans import PlanContext, parse_plan
from frugalfl_server.serve.block_sets import block_sets

MODEL = {
    f"{number}.weight": np.zeros((size, 3), np.float32) for number, size in enumerate((9, 2, 5, 1))
}
LAYOUT = Layout.of(MODEL)
ROUNDS = 12
PLANS = [
    "full", "last(2)", "frozen(0)", "cyclic", "cyclic(3)", "random(40%)", "largest-change(50%)",
    "alternate(full, cyclic, last(1))", "by-link(full, lora, last(1), lte, cyclic)",
    "by-energy(alternate(full, last(2)), 5 J, random(20%), 9 J, largest-change(20%))",
]  # fmt: skip


@pytest.mark.parametrize("text", PLANS)
@settings(max_examples=40)
@given(data=st.data())
def test_no_client_is_asked_for_other_blocks(text, data):
    plan = parse_plan(text)
    context = PlanContext(
        data.draw(st.integers(1, ROUNDS)), LAYOUT, 7,
        data.draw(st.dictionaries(st.integers(0, 3), st.floats(0, 1e9))),
        data.draw(st.sampled_from(["", "lora", "lte", "wifi"])),
        data.draw(st.none() | st.floats(0, 20)),
    )  # fmt: skip
    assert plan.choose(context) in block_sets(plan, LAYOUT, 7, ROUNDS)


def test_plans_name_no_more_than_they_choose():
    assert block_sets(parse_plan("alternate(full, last(2))"), LAYOUT, 0, ROUNDS) == {
        (0, 1, 2, 3), (2, 3)
    }  # fmt: skip


def test_orders_of_many_blocks_are_not_tried():
    large = Layout.of({f"{number}.weight": np.zeros((1, 1), np.float32) for number in range(8)})
    with pytest.raises(ExportError, match="40,320 orders, too many"):
        block_sets(parse_plan("largest-change(30%)"), large, 0, ROUNDS)
