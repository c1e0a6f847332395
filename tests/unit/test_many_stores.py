"""Stores of many devices in one file do what a device's own store does."""

import random

import numpy as np
import pytest

from frugalfl_client.held import Held
from frugalfl_client.store import KEPT_PROGRAM_BYTES, Store
from frugalfl_sim.engine.many_stores import FILE, ManyStores

#: Lengths (B) by the first letter of the digest, which names the same program on all devices.
PROGRAMS = {"x": 10, "y": KEPT_PROGRAM_BYTES // 2, "z": KEPT_PROGRAM_BYTES // 2 + 1}


def model(number):
    return {"a": np.full((2, 3), number, np.float32), "b": np.arange(4, dtype=np.float32)}


def held(number, rng):
    """Return a state, with or without what is a device's own."""
    own = rng.choice([{}, model(number + 0.5)])
    return Held(
        number, model(number), rng.choice([{}, model(-1.0)]), rng.choice([(), (3, 7)]),
        own, rng.choice([{}, model(0.25)]), rng.choice([(), (b"bins", b"", b"tree")]),
        number, rng.randrange(2),
    )  # fmt: skip


def plain(one):
    """Return a state as what can be compared."""
    return {
        name: {key: (part.shape, part.tobytes()) for key, part in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in vars(one).items()
    }


@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_calls_gives_what_a_devices_own_store_gives(tmp_path, seed):
    rng, many = random.Random(seed), ManyStores(tmp_path / FILE)
    pairs = [(Store(tmp_path / f"{n}.sqlite"), many.of(n)) for n in range(3)]
    for step in range(1, 50):
        own, shared = rng.choice(pairs)
        run, again = rng.choice(["one", "two"]), rng.choice([-1, -1, step - 1])
        resumed = rng.choice([(), (), (max(step - 2, 1),)])
        assert plain(shared.load(run, resumed, again)) == plain(own.load(run, resumed, again))
        if rng.random() < 0.7:
            state = held(step, rng)
            own.save(run, state)
            shared.save(run, state)
        digest = rng.choice([*PROGRAMS]) * 64
        if rng.random() < 0.3:
            data = digest[:1].encode() * PROGRAMS[digest[0]]
            for store in (own, shared):
                store.keep_program(digest, data)
                store.keep_trial(digest, "torch")
        assert shared.program(digest) == own.program(digest)
        assert shared.programs() == own.programs()
        assert shared.trial(digest) == own.trial(digest)
        assert sorted(shared.runs()) == sorted(own.runs())
        if rng.random() < 0.3:
            many.flush()
        if rng.random() < 0.1:  # another process
            many.close()
            many = ManyStores(tmp_path / FILE)
            pairs = [(own, many.of(n)) for n, (own, _) in enumerate(pairs)]


def test_a_model_that_many_hold_is_there_once(tmp_path):
    many = ManyStores(tmp_path / FILE)
    for number in range(50):
        many.of(number).save("run", Held(3, model(3.0), round=1))
    many.flush()
    assert len(many.rows("SELECT id FROM models")) == 1
    first, *others = [many.of(number).load("run") for number in range(50)]
    assert all(one.model is first.model for one in others)
    with pytest.raises(ValueError, match="read-only"):
        first.model["a"][0, 0] = 1.0


def test_models_that_nobody_holds_leave_the_disk(tmp_path):
    many = ManyStores(tmp_path / FILE)
    for round_ in range(200):
        many.of(round_ % 2).save("run", Held(round_, model(float(round_)), round=round_))
        many.flush()
    assert len(many.rows("SELECT id FROM models")) < 100


def test_what_was_not_put_on_the_disk_is_not_there_after_a_crash(tmp_path):
    many = ManyStores(tmp_path / FILE)
    many.of(1).save("run", Held(1, model(1.0), round=1))
    many.flush()
    many.of(1).save("run", Held(2, model(2.0), round=2))
    many.of(2).save("run", Held(2, model(2.0), round=2))
    other = ManyStores(tmp_path / FILE)
    assert other.of(1).load("run").version == 1
    assert other.of(2).load("run").version == -1
