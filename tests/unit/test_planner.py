"""What the server remembers for its plan, and averages of clients with different blocks."""

import numpy as np
import pytest
from flwr.app import ArrayRecord
from hypothesis import given
from hypothesis import strategies as st

from frugalfl import wire
from frugalfl.blocks import Layout
from frugalfl.energy import EnergyRecord, Reading
from frugalfl.errors import UsageError
from frugalfl.plans import parse_plan
from frugalfl_server.cohort.refresh_planner import Planner
from frugalfl_server.rounds.block_means import complete

START = {
    name: np.zeros(size, np.float32) for name, size in {"a.w": 10, "b.w": 10, "c.w": 20}.items()
}
LAYOUT = Layout.of(START)


def reply(link="", joules=()):
    records = tuple(
        EnergyRecord(
            "run",
            "1",
            1,
            phase,
            "generic",
            0.0,
            1.0,
            1.0,
            (Reading("cpu", energy, None, False, "m", "s", "process", None),),
        )
        for phase, energy in zip(("download", "train", "encode"), joules, strict=False)
    )
    return wire.TrainReply(0, link=link, records=records)


def test_a_client_is_planned_for_once_it_has_answered():
    planner = Planner(parse_plan("by-link(full, lora, last(1))"), LAYOUT)
    planner.begin(1, {}, START)
    assert planner.blocks_of(7) == planner.blocks_of(8) == (0, 1, 2)
    planner.note_reply(7, reply(link="lora"))
    planner.begin(2, START, START)
    assert planner.blocks_of(7) == (2,)
    assert planner.blocks_of(8) == (0, 1, 2)


def test_joules_are_those_of_the_whole_last_round():
    planner = Planner(parse_plan("by-energy(full, 5 J, last(1))"), LAYOUT)
    planner.begin(1, {}, START)
    planner.note_reply(7, reply(joules=(1.0, 3.0, 1.5)))
    assert planner.blocks_of(7) == (2,)
    planner.note_reply(7, reply())  # nothing new is known
    assert planner.blocks_of(7) == (2,)
    planner.note_reply(7, reply(joules=(1.0, None, 1.5)))
    assert planner.blocks_of(7) == (0, 1, 2)


def test_the_largest_change_is_against_the_weights_and_grows_while_a_block_waits():
    planner = Planner(parse_plan("largest-change(25%)"), LAYOUT)
    # Against its own weights b moves the most; in all, and in absolute terms, c does.
    steps = {"a.w": 0.01, "b.w": 0.02, "c.w": 0.15}
    before = {"a.w": START["a.w"] + 1, "b.w": START["b.w"] + 1, "c.w": START["c.w"] + 10}
    planner.begin(1, {}, before)
    chosen = []
    for number in range(2, 40):
        trained = range(3) if number == 2 else chosen[-1]
        now = {n: t + steps[n] * (i in trained) for i, (n, t) in enumerate(before.items())}
        now = {n: t.astype(np.float32) for n, t in now.items()}
        planner.begin(number, before, now)
        chosen.append(planner.blocks_of(1))
        before = now
    assert chosen[0] == (1,)
    times = [sum(block in blocks for blocks in chosen) for block in range(3)]
    assert min(times) >= 3  # every block comes again
    assert times[1] > times[2] > times[0]


def test_a_plan_that_does_not_fit_is_refused_before_the_first_round():
    with pytest.raises(UsageError, match="more than the model's 3"):
        Planner(parse_plan("alternate(full, last(4))"), LAYOUT)


def flowers_mean(updates):
    """Average as Flower's FedAvg does, with its own code."""
    from flwr.app import Message, RecordDict
    from flwr.serverapp.strategy import FedAvg
    from flwr.supercore.task_identity import TaskIdentity

    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 1
    messages = [
        Message(wire.pack_average(update, rows, 0.0), reply_to=Message(RecordDict(), 1, "train"))
        for update, rows in updates
    ]
    arrays, _ = FedAvg().aggregate_train(1, messages)
    assert isinstance(arrays, ArrayRecord)
    return {name: array.numpy() for name, array in arrays.items()}


clients = st.lists(
    st.tuples(st.sets(st.sampled_from(["a.w", "b.w", "c.w"]), min_size=1), st.integers(1, 99)),
    min_size=1,
    max_size=6,
)


@given(clients, st.integers(0, 2**32 - 1))
def test_a_blocks_mean_is_over_the_clients_that_trained_it(chosen, seed):
    rng = np.random.default_rng(seed)
    updates = [
        ({n: rng.normal(size=START[n].shape).astype(np.float32) for n in names}, rows)
        for names, rows in chosen
    ]
    completed = complete(updates)
    mean = flowers_mean([(step, rows) for step, (_, rows) in zip(completed, updates, strict=True)])
    for name in {name for update, _ in updates for name in update}:
        mine = [(update[name], rows) for update, rows in updates if name in update]
        expected = np.average([s for s, _ in mine], axis=0, weights=[rows for _, rows in mine])
        np.testing.assert_allclose(mean[name], expected, rtol=1e-4, atol=1e-6)
    for step, (update, _) in zip(completed, updates, strict=True):
        assert all(step[name] is update[name] for name in update)  # what came is left as it is
