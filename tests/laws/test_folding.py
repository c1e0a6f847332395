"""Folding a Flower message loses nothing, and nothing hostile comes out of unfolding."""

import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from frugalfl.errors import FrameError
from frugalfl.fold_message import FOLDED, MOST_BYTES, fold, unfold

NAMES = st.text(st.characters(exclude_characters="/", exclude_categories=("Cs",)), max_size=8)
KEYS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
FLOATS = st.floats(allow_nan=False)
INTS = st.integers(-(2**63), 2**63 - 1)
ARRAYS = st.builds(
    Array,
    dtype=st.sampled_from(["uint8", "float32"]),
    shape=st.lists(st.integers(0, 2**40), max_size=4).map(tuple),
    stype=st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    data=st.binary(max_size=50),
)
RECORDS = st.one_of(
    st.dictionaries(KEYS, ARRAYS, max_size=3).map(ArrayRecord),
    st.dictionaries(KEYS, INTS | FLOATS | st.lists(FLOATS, max_size=3), max_size=3).map(
        MetricRecord
    ),
    st.dictionaries(
        KEYS, INTS | FLOATS | st.binary(max_size=9) | st.booleans() | KEYS, max_size=3
    ).map(ConfigRecord),
)
CONTENTS = st.dictionaries(NAMES, RECORDS, max_size=4).map(RecordDict)


def described(content):
    return {
        name: (
            type(record),
            {
                key: (value.dtype, tuple(value.shape), value.stype, bytes(value.data))
                if isinstance(value, Array)
                else (type(value), value)
                for key, value in record.items()
            },
        )
        for name, record in content.items()
    }


@given(CONTENTS)
def test_unfolding_gives_back_what_was_folded(content):
    sent = ConfigRecord.inflate(fold(content)[FOLDED].deflate()) if content else ConfigRecord()
    folded = fold(content)
    assert list(folded) == [FOLDED]
    assert described(unfold(RecordDict({FOLDED: sent}))) == described(content)
    assert described(unfold(content)) == described(content)


def test_a_large_message_is_left_as_it_is():
    array = Array(dtype="uint8", shape=(MOST_BYTES + 1,), stype="x", data=bytes(MOST_BYTES + 1))
    content = RecordDict({"arrays": ArrayRecord({"frames": array})})
    assert fold(content) is content


VALUES = INTS | FLOATS | KEYS | st.binary(max_size=9) | st.booleans()


@given(
    st.dictionaries(
        st.sampled_from("damec").flatmap(lambda mark: KEYS.map(lambda key: f"{mark}/x/{key}"))
        | KEYS,
        VALUES,
        max_size=6,
    )
)
def test_what_is_no_folded_message_is_refused(folded):
    try:
        unfold(RecordDict({FOLDED: ConfigRecord(folded)}))
    except FrameError as error:
        assert "\n" not in str(error)


def test_more_than_one_record_is_refused():
    with pytest.raises(FrameError, match="more than its one record"):
        unfold(RecordDict({FOLDED: ConfigRecord({}), "x": ConfigRecord({})}))
