import hashlib
import json
from dataclasses import replace
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalfl.errors import ProgramError
from frugalfl.program import Mask, Program, Tensor, from_bytes, to_bytes
from frugalfl.settings import Settings
from frugalfl_client.approvals import role_of

SHAPES = st.lists(st.integers(1, 9), max_size=4).map(tuple)
TENSORS = st.lists(
    st.builds(Tensor, st.text(min_size=1, max_size=20), SHAPES, st.booleans()),
    max_size=4,
    unique_by=lambda tensor: tensor.name,
).map(tuple)
MASKS = st.lists(st.builds(Mask, SHAPES, st.floats(0, 0.99)), max_size=3).map(tuple)
PROGRAMS = st.builds(
    Program, st.binary(max_size=64), st.integers(1, 512), SHAPES, SHAPES, TENSORS, TENSORS,
    st.booleans(), MASKS,
)  # fmt: skip


@st.composite
def folded(draw) -> Program:
    """A program that trains in a subspace, or one that has nothing to train."""
    program = draw(PROGRAMS)
    counts = [draw(st.integers(1, prod(one.shape))) for one in program.trained]
    return replace(program, coordinates=tuple(counts))


ONE = Program(b"model", 8, (1, 8, 8), (), (Tensor("a.weight", (3, 2), True),), (), False)


@given(PROGRAMS | folded())
def test_a_program_comes_back_as_it_was_sent(program: Program) -> None:
    assert from_bytes(to_bytes(program)) == program


@given(PROGRAMS | folded(), st.data())
def test_a_single_altered_byte_or_a_missing_end_is_refused(program: Program, data) -> None:
    sent = bytearray(to_bytes(program))
    where = data.draw(st.integers(0, len(sent) - 1))
    short = bytes(sent[:where])
    sent[where] ^= data.draw(st.integers(1, 255))
    for wrong in (bytes(sent), short):
        with pytest.raises(ProgramError):
            from_bytes(wrong)


def resealed(change) -> bytes:
    """A program whose description was changed by someone who also put the hash right."""
    sent = to_bytes(ONE)
    end = 39 + int.from_bytes(sent[35:39], "little")
    described = json.loads(sent[39:end])
    change(described)
    text = json.dumps(described).encode()
    body = len(text).to_bytes(4, "little") + text + sent[end:]
    return sent[:3] + hashlib.sha256(body).digest() + body


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(batch=0),
        lambda d: d.update(batch=True),
        lambda d: d.update(input_shape=[-1]),
        lambda d: d.update(input_shape=[1 << 27, 1 << 27]),
        lambda d: d.update(parameters={}),
        lambda d: d.update(parameters=d["parameters"] * 2),
        lambda d: d["parameters"][0].update(name=""),
        lambda d: d["parameters"][0].update(changes=1),
        lambda d: d.update(masks=[{"shape": [2], "drop": 1.0}]),
        lambda d: d.pop("state"),
        lambda d: d.update(coordinates=[0]),
        lambda d: d.update(coordinates=[7]),
        lambda d: d.update(coordinates=[2, 2]),
        lambda d: d.update(coordinates=[True]),
        lambda d: d.update(coordinates=2),
    ],
)
def test_a_description_beyond_its_bounds_is_refused_even_with_the_right_hash(change) -> None:
    assert from_bytes(resealed(lambda _: None)) == ONE
    with pytest.raises(ProgramError, match="description cannot be read"):
        from_bytes(resealed(change))


def test_a_program_without_a_subspace_is_described_as_before_there_were_any() -> None:
    digest = "1810a10cc4ddb9a171a6a0cb4e0b9a037d4b6f91b3d88342d876da24800e948f"
    assert hashlib.sha256(to_bytes(ONE)).hexdigest() == digest
    pinned = "0fd7e3ed90841625964066e1a94b43fa35d5f676222293bc6c72c48dfa40e888"
    assert role_of(ONE, Settings()) == pinned
    within = replace(ONE, coordinates=(4,))
    assert role_of(within, Settings()) not in (
        pinned,
        role_of(replace(ONE, coordinates=(5,)), Settings()),
    )
    assert to_bytes(within) != to_bytes(ONE)
    assert within.signs == ((2, 4),) and ONE.signs == ()
    assert within.train_inputs == ONE.train_inputs | {"q0": (2, 4)}


def test_another_format_says_what_to_do() -> None:
    sent = bytearray(to_bytes(ONE))
    sent[2] += 1
    with pytest.raises(ProgramError, match="same version of FrugalFL"):
        from_bytes(bytes(sent))
