"""The core writes and reads the same Golomb-Rice bytes as Python, and refuses the same ones."""

import numpy as np
from both_ways import both, needs_core
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from frugalfl.codec.buffer import Reader
from frugalfl.codec.entropy.rice import decode_places, encode_places
from frugalfl.codec.golomb import Golomb
from frugalfl.codec.links import Draws

pytestmark = needs_core

SIGNS = hnp.arrays(np.int32, st.integers(0, 3000), elements=st.sampled_from([0, 0, 0, 0, 1, -1]))
FEW = st.builds(
    lambda size, places: signs_at(size, [place % size for place in places]),
    st.integers(1, 300_000),
    st.lists(st.integers(0, 300_000), max_size=30),
)


def signs_at(size, places):
    symbols = np.zeros(size, np.int32)
    symbols[places] = [1 - 2 * (place % 2) for place in places]
    return symbols


def read(data, size):
    found = Golomb().decode_sparse(memoryview(data), [(size,)], Draws(0))
    return found.places.tolist(), found.values.astype(int).tolist()


@given(st.lists(st.one_of(SIGNS, FEW), min_size=1, max_size=4))
def test_the_same_bytes(tensors):
    one, other = both(lambda: Golomb().encode(tensors, Draws(0)))
    assert one == other
    size = sum(tensor.size for tensor in tensors)
    by_core, by_python = both(lambda: read(one, size))
    assert by_core == by_python
    assert by_core[0] == np.flatnonzero(np.concatenate(tensors)).tolist()


@given(hnp.arrays(np.int32, st.integers(1, 50), elements=st.integers(-2, 2)))
def test_other_symbols_are_refused_alike(symbols):
    one, other = both(lambda: Golomb().encode([symbols], Draws(0)))
    assert one == other


def test_more_nonzeros_than_there_is_room_for_at_first():
    symbols = np.where(np.arange(20_000) % 3 == 0, 1, -1).astype(np.int32)
    one, other = both(lambda: Golomb().encode([symbols[:5], symbols[5:]], Draws(0)))
    assert one == other


@given(FEW, st.data())
def test_damaged_bytes_are_refused_in_the_same_words(symbols, data):
    good = bytearray(Golomb().encode([symbols], Draws(0)))
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    end = data.draw(st.integers(-3, 3))
    damaged = bytes(good[:end] if end < 0 else good + bytes(end))
    one, other = both(lambda: read(damaged, symbols.size))
    assert one == other


@given(st.binary(max_size=60), st.integers(0, 2000))
@example(b"\x01\x00\x7f", 8)
def test_any_bytes_are_read_or_refused_alike(data, size):
    one, other = both(lambda: read(data, size))
    assert one == other


@given(st.sets(st.integers(0, 2**32 - 1), max_size=200))
@example(set())
@example({0})
@example({2**32 - 1})
def test_places_alone_are_the_same(places):
    rising = np.array(sorted(places), np.int64)
    one, other = both(lambda: encode_places(rising))
    assert one == other
    found, again = both(lambda: decode_places(Reader(one), rising.size, 2**32).tolist())
    assert found == again == rising.tolist()
