"""Partial refresh through real rounds: plans by client, clients that are wrong, disks that fail."""

import re
import sqlite3

import numpy as np
import pytest
from flwr.app import Array

from frugalfl.blocks import Layout
from frugalfl.codec import Limits, decode_frame, encode_frame, parse_codec
from frugalfl.errors import UsageError
from frugalfl.plans import PlanContext, parse_plan
from frugalfl.settings import Settings
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_client.store import Store
from frugalfl_server.rounds.downlink import Downlink

from .rounds import Rounds, digits

CLIENTS = 4
LIMITS = Limits()


def small(**changes):
    return Settings.of(
        clients=CLIENTS, clients_per_round=CLIENTS, local_epochs=1, prune=0.0, **changes
    )


def listening(heard, link=lambda number: ""):
    """A client app that declares a link, and notes (client, blocks in its frame, gradient rows)."""

    def app(message, context):
        number = int(context.node_config["partition-id"])
        if link(number):
            context.node_config["link"] = link(number)
        reply = client_app(message, context)
        frame = decode_frame(bytes(reply.content["arrays"]["frames"].data), LIMITS)
        heard.append((number, tuple(frame.blocks)))
        return reply

    return app


def test_clients_on_a_slow_link_exchange_less(tmp_path):
    heard = []
    settings = small(refresh="by-link(full, lora, last(1))")
    with digits():
        run = Rounds(settings, tmp_path, client=listening(heard, lambda n: "lora" * (n % 2)))
        for _ in range(3):
            run.next()
    known = [(number, blocks) for number, blocks in heard[CLIENTS:]]
    assert {blocks for _, blocks in heard[:CLIENTS]} == {(0, 1, 2, 3)}  # not heard of yet
    assert {blocks for number, blocks in known if number % 2} == {(3,)}
    assert {blocks for number, blocks in known if number % 2 == 0} == {(0, 1, 2, 3)}
    assert run.updates == [CLIENTS] * 3
    assert run.warnings == []


def test_a_block_moves_as_far_as_its_own_clients_say(tmp_path):
    """Clients that leave a block out do not drag its mean back."""
    moved = {}
    for name, plan in {"some": "by-link(full, lora, last(1))", "all": "full"}.items():
        with digits():
            settings = small(refresh=plan, uplink="raw")
            run = Rounds(
                settings, tmp_path / name, client=listening([], lambda n: "lora" * (n > 0))
            )
            run.next()
            before = run.model
            run.next()
            moved[name] = float(np.linalg.norm(run.model["6.weight"] - before["6.weight"]))
    assert moved["some"] > 0.7 * moved["all"]  # one client of four; diluted it would be a quarter


@pytest.mark.parametrize(
    "plan", ["cyclic", "random(40%)", "largest-change(30%)", "frozen(6)", "alternate(full, cyclic)"]
)
def test_only_planned_blocks_move_and_travel(plan, tmp_path):
    heard = []
    with digits():
        # Without loss nothing rounds to zero, and nothing fades in the server's own model.
        settings = small(refresh=plan, uplink="zstd", downlink="zstd")
        run = Rounds(settings, tmp_path, client=listening(heard))
        for number in range(4):
            before = run.model
            run.next()
            (blocks,) = {blocks for _, blocks in heard[number * CLIENTS :]}
            moved = {n for n in before if not np.array_equal(before[n], run.model[n])}
            assert moved == set(run.downlink.layout.names(blocks))
    if plan != "largest-change(30%)":
        context = [PlanContext(n, run.downlink.layout, 0) for n in range(1, 5)]
        planned = [parse_plan(plan).choose(known) for known in context]
        assert [blocks for _, blocks in heard[::CLIENTS]] == planned


def test_an_unusable_plan_stops_the_run_before_the_first_round(tmp_path):
    with digits(), pytest.raises(UsageError, match="no block matches 'encoder"):
        Rounds(small(refresh="alternate(full, frozen(encoder.*))"), tmp_path)


def in_round(wanted, change_request=None, change_reply=None):
    """A client app that lets client 0 receive or answer something else in one round."""

    def app(message, context):
        config = message.content["config"]
        chosen = context.node_config["partition-id"] == 0 and config["round"] == wanted
        if chosen and change_request:
            change_request(message)
        reply = client_app(message, context)
        if chosen and change_reply:
            change_reply(message, reply)
        return reply

    return app


def names_no_block(message):
    message.content["config"]["blocks"] = []


def names_an_unknown_block(message):
    message.content["config"]["blocks"] = [0, 99]


def set_frame(content, data):
    content["arrays"]["frames"] = Array(
        dtype="uint8", shape=(len(data),), stype="frugalfl.frames.v1", data=data
    )


def frame_to(version, blocks=None):
    layout = Layout.of({"w": np.ones(3, np.float32)})
    frame, _ = encode_frame(
        parse_codec("raw"), layout, {"w": np.ones(3, np.float32)}, base=version, version=version + 1
    )
    return frame


def leads_from_another_version(message):
    set_frame(message.content, frame_to(70))


def is_cut_short(message):
    set_frame(message.content, bytes(message.content["arrays"]["frames"].data)[:-3])


def leads_elsewhere(message):
    message.content["config"]["version"] += 5


def answers_for_another_version(message, reply):
    set_frame(reply.content, frame_to(70))


def answers_other_blocks(message, reply):
    version = message.content["config"]["version"]
    tensors = {f"{n}.w": np.ones(3, np.float32) for n in range(2)}
    frame, _ = encode_frame(
        parse_codec("raw"), Layout.of(tensors), tensors, base=version, version=version
    )
    set_frame(reply.content, frame)


@pytest.mark.parametrize(
    ("request_change", "reply_change", "says", "lost"),
    [
        (names_no_block, None, "names no block to train", 1),
        (names_an_unknown_block, None, r"names block 99, the model here has 4 \(0 to 3\)", 1),
        (leads_from_another_version, None, "leads on from version 70, version 1 is held", 2),
        (leads_elsewhere, None, "lead to version 2, the request is for version 7", 2),
        (is_cut_short, None, "ends 3 B too early", 2),
        (None, answers_for_another_version, "its update is to version 70, this round trains", 1),
        (None, answers_other_blocks, r"has blocks \[0, 1\], it was asked for \[3\]", 1),
    ],
)  # fmt: skip
def test_one_client_that_is_wrong_costs_its_contribution_and_one_line(
    request_change, reply_change, says, lost, tmp_path
):
    with digits():
        client = in_round(3, request_change, reply_change)
        run = Rounds(small(refresh="last(1)"), tmp_path, client=client)
        for _ in range(5):
            run.next()
    # Where the device could not apply the frames, it asks for a whole model in the next round.
    expected = [4, 4, 3, 4 if lost == 1 else 3, 4]
    assert run.updates == expected
    assert len(run.warnings) == 1
    assert re.search(says, run.warnings[0]), run.warnings
    assert "\n" not in run.warnings[0]


def damage_bits(path):
    data = bytearray(path.read_bytes())
    for place in range(200, len(data), 997):
        data[place] ^= 0x10
    path.write_bytes(data)


def damage_length(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_rows(path):
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM tensors WHERE name = '6.weight'")
    database.close()


@pytest.mark.parametrize("damage", [damage_bits, damage_length, damage_rows])
def test_a_damaged_disk_is_noticed_and_refilled(damage, tmp_path):
    with digits():
        run = Rounds(small(refresh="alternate(full, cyclic)"), tmp_path)
        run.next()
        run.next()
        path = tmp_path / "client-2" / "store.sqlite"
        settle(path)
        damage(path)
        for _ in range(3):
            run.next()
        stores = [
            Store(tmp_path / f"client-{n}" / "store.sqlite").load("run") for n in range(CLIENTS)
        ]
    assert run.updates == [4, 4, 3, 4, 4]
    assert len(run.warnings) == 1
    assert "the device's store was damaged" in run.warnings[0]
    for held in stores:
        assert held.version == stores[0].version
        for name, tensor in run.downlink.view.items():
            np.testing.assert_array_equal(held.model[name], tensor)


def settle(path):
    """End the device's process, as far as its disk can see: SQLite's journal is folded in."""
    forget_devices()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def test_runs_that_share_devices_are_each_as_if_alone(tmp_path):
    kinds = {
        "a": small(seed=1, uplink="feedback | topk(2%) | sign | golomb", private="8"),
        "b": small(
            seed=2, uplink="feedback | topk(5%) | sign | golomb", private="8", refresh="cyclic"
        ),
        "c": small(seed=2, refresh="random(50%)"),
    }
    with digits():
        together = {name: Rounds(s, tmp_path / "shared", run=name) for name, s in kinds.items()}
        for _ in range(4):
            for run in together.values():
                run.next()
        for name, settings in kinds.items():
            alone = Rounds(settings, tmp_path / name, run=name)
            for _ in range(4):
                alone.next()
            assert together[name].updates == alone.updates == [CLIENTS] * 4
            for tensor in alone.model:
                np.testing.assert_array_equal(together[name].model[tensor], alone.model[tensor])
            for number in range(CLIENTS):
                of = f"client-{number}/store.sqlite"
                shared, own = (
                    Store(tmp_path / "shared" / of).load(name),
                    Store(tmp_path / name / of).load(name),
                )
                for part in ("model", "residual", "private"):
                    one, other = getattr(shared, part), getattr(own, part)
                    assert list(one) == list(other)
                    assert all(np.array_equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("missed", [1, 5, 50])
@pytest.mark.parametrize("plan", ["full", "cyclic", "alternate(full, last(2))"])
@pytest.mark.parametrize(
    "codec", ["topk(2%) | sign | golomb", "stochastic(2 sigma) | range", "zstd"]
)
def test_a_client_that_missed_rounds_ends_with_the_same_blocks(missed, plan, codec, tmp_path):
    rng = np.random.default_rng(missed)
    shapes = {"a.weight": (40, 30), "a.bias": (40,), "b.weight": (10, 40), "c.weight": (5, 10)}
    model = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    layout, chosen = Layout.of(model), parse_plan(plan)
    downlink = Downlink(model, codec)
    stores = [Store(tmp_path / f"{node}.sqlite") for node in range(2)]

    def deliver(node):
        held = stores[node].load("run")
        base, frames = downlink.bundles_for([node])[node]
        assert base in (-1, held.version)
        held.apply(frames, layout)
        stores[node].save("run", held)
        downlink.confirm(node, held.version)

    deliver(0)
    deliver(1)
    for number in range(1, missed + 3):
        for name in layout.names(chosen.choose(PlanContext(number, layout))):
            step = rng.normal(scale=0.01, size=model[name].shape)
            model = model | {name: model[name] + step.astype(np.float32)}
        downlink.advance(model)
        deliver(0)
        if number > missed:  # at first it follows, then it misses so many rounds, then it is back
            deliver(1)
    always, seldom = (store.load("run") for store in stores)
    assert always.version == seldom.version == downlink.version
    for name in shapes:
        np.testing.assert_array_equal(always.model[name], seldom.model[name])
        np.testing.assert_array_equal(always.model[name], downlink.view[name])
