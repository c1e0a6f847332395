"""The energy record: sums of it, its way over the wire and into tables, its grams."""

import json
import re
import zlib
from dataclasses import replace

import pyarrow
import pytest
from energy_records import CPU, RECORD, readings, records
from flwr.app import Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl import wire
from frugalfl.energy import (
    Electricity,
    Head,
    Reading,
    formats,
    mac_reading,
    packed_records,
    parse_electricity,
    profile_named,
    radio_reading,
    spent,
    totals,
)
from frugalfl.energy.codecarbon import any_grid
from frugalfl.energy.columns import DERIVED, PLAIN, columns_of, flat
from frugalfl.energy.electricity import regions
from frugalfl.energy.level import BatteryLevel
from frugalfl.energy.parquet import read_records, table_of, write_records, write_table
from frugalfl.energy.record_json import as_dict, canonical, from_dict, from_text, to_text
from frugalfl.errors import FrameError, MissingExtraError, RunError, UsageError

BOARD = Reading("board", 9.0, 20.0, True, "hwmon", "ina219", "board", 0.02)
RADIO = Reading("radio", 0.5, None, False, "link", "wifi", "board", 0.5)


def test_measured_and_estimated_are_never_added_up():
    total = totals(
        [
            RECORD,
            replace(RECORD, readings=(replace(CPU, measured=True, energy_j=2.0), RADIO)),
            replace(RECORD, readings=(replace(CPU, energy_j=None),)),
        ]
    )
    assert total.as_summary() == {"measured": 2.0, "estimated": 6.5}
    assert total.unknown == 1


def test_a_boards_reading_holds_its_parts():
    record = replace(RECORD, readings=(CPU, BOARD, RADIO))
    assert (record.measured_j, record.estimated_j, record.idle_j) == (9.0, None, 20.0)


def test_nothing_known_is_not_zero():
    total = totals([replace(RECORD, readings=())])
    assert total.as_summary() == {"measured": None, "estimated": None}
    assert total.carbon_summary() == {"measured": None, "estimated": None}


def test_joules_of_a_correct_prediction_are_those_of_judged_records_alone():
    total = totals([RECORD, replace(RECORD, phase="evaluate", correct=20)])
    assert total.estimated_j == 12.0
    assert total.estimated_j_per_correct == pytest.approx(0.3)
    assert total.measured_j_per_correct is None


@given(st.lists(records, max_size=8), st.integers(0, 8))
def test_sums_do_not_depend_on_how_records_are_split(rows, cut):
    parts = [totals(rows[:cut]), totals(rows[cut:])]
    whole = totals(rows)
    for kind in ("measured_j", "estimated_j", "idle_j"):
        known = [getattr(part, kind) for part in parts if getattr(part, kind) is not None]
        expected = sum(known) if known else None
        assert getattr(whole, kind) == (None if expected is None else pytest.approx(expected))
    assert whole.unknown == sum(part.unknown for part in parts)


@given(st.lists(records, max_size=6))
def test_any_records_survive_the_wire(rows):
    assert packed_records.unpack(packed_records.pack(rows)) == tuple(rows)


@given(records)
def test_any_record_survives_as_text(record):
    assert from_text(to_text(record)) == record


@given(records)
def test_a_records_text_is_the_canonical_one_of_its_values(record):
    assert to_text(record) == canonical(as_dict(record))


@given(st.lists(records, max_size=6))
def test_columns_are_those_of_each_record(rows):
    flats = list(map(flat, rows))
    assert columns_of(rows) == {name: [one[name] for one in flats] for name in PLAIN | DERIVED}


@given(st.lists(records, max_size=6))
@settings(deadline=None, max_examples=30)
def test_any_records_survive_as_parquet(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("tables") / "energy.parquet"
    write_records(path, rows)
    assert read_records(path) == rows


@pytest.mark.parametrize(
    "change",
    [
        {"readings": [1]}, {"readings": [None]}, {"readings": [[1]]}, {"readings": [[None]]},
        {"readings": [[{"component": "cpu"}]]}, {"round": [-1]}, {"run": None}, {"cpu_s": ["x"]},
        {"readings": [[{**vars(CPU), "more": 1}]]}, {"readings": [[vars(CPU)] * 17]},
    ],
)  # fmt: skip
def test_a_table_of_something_else_is_refused_in_one_line(tmp_path, change):
    table = table_of([RECORD])
    columns = {name: table.column(name) for name in table.column_names} | change
    path = tmp_path / "energy.parquet"
    write_table(pyarrow.table({n: one for n, one in columns.items() if one is not None}), path)
    with pytest.raises(RunError, match="put a sound copy in its place"):
        read_records(path)


@given(st.binary(max_size=300) | st.builds(lambda t: zlib.compress(t.encode()), st.text()))
def test_rubbish_in_place_of_records_is_refused_in_one_line(data):
    if data:
        with pytest.raises(ValueError):
            packed_records.unpack(data)


@given(st.lists(records, min_size=1, max_size=3), st.data())
def test_damaged_bundles_are_refused_or_read_as_valid_records(rows, data):
    packed = bytearray(packed_records.pack(rows))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError):  # deflate's own checksum, if nothing before
        packed_records.unpack(bytes(packed))


def test_a_bundle_that_would_fill_the_memory_is_refused():
    bomb = zlib.compressobj(9, zdict=packed_records._DICTIONARY)
    with pytest.raises(ValueError, match="longer than"):
        packed_records.unpack(bomb.compress(b" " * 50_000_000) + bomb.flush())


@pytest.mark.parametrize(
    "change",
    [
        {"cpu_s": -1.0}, {"cpu_s": "1"}, {"cpu_s": True}, {"wall_s": 1e300}, {"round": 1.5},
        {"round": -1}, {"client": 7}, {"run": "r" * 301}, {"readings": [{}] * 17},
        {"readings": {}}, {"samples": None}, {"correct": -1}, {"grid": 475}, {"more": 1},
    ],
)  # fmt: skip
def test_values_that_no_device_sends_are_refused(change):
    values = json.loads(to_text(RECORD)) | change
    with pytest.raises(ValueError) as error:
        from_dict(values)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"energy_j": -1.0},
        {"energy_j": [1.0]},
        {"component": "soul"},
        {"measured": 1},
        {"scope": ""},
    ],
)
def test_readings_that_no_device_sends_are_refused(change):
    values = json.loads(to_text(RECORD))
    values["readings"][0] |= change
    with pytest.raises(ValueError):
        from_dict(values)


def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        from_text(to_text(RECORD).replace('"cpu_s":1.5', '"cpu_s":NaN'))


def reply(content):
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 1
    return Message(content, reply_to=Message(RecordDict(), 1, "train"))


SENT = wire.TrainReply(
    3, b"frame", 31, 0.5, (RECORD,), Head(6, b"h" * 32), link="wifi",
    battery=BatteryLevel(61.5, charging=True),
)  # fmt: skip


def test_a_reply_comes_over_as_it_was_sent():
    assert wire.unpack_reply(reply(wire.pack_reply(SENT))) == SENT


@pytest.mark.parametrize("name", ["num-examples", "train-loss", "held-version"])
def test_a_list_in_place_of_a_number_is_a_frame_error(name):
    content = wire.pack_reply(SENT)
    metrics = content["metrics"]
    assert isinstance(metrics, MetricRecord)
    metrics[name] = [1, 2]
    with pytest.raises(FrameError, match=name):
        wire.unpack_reply(reply(content))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("records", "text"), ("records", b"rubbish"), ("number", -1), ("hash", b"short"),
        ("link", 7), ("battery", 101.0), ("battery", "full"), ("charging", 1),
    ],
)  # fmt: skip
def test_rubbish_in_the_ledgers_place_is_a_frame_error(name, value):
    content = wire.pack_reply(SENT)
    content["ledger"][name] = value
    with pytest.raises(FrameError):
        wire.unpack_reply(reply(content))


def test_six_phases_and_the_ledgers_head_take_less_than_400_bytes():
    phases = ("download", "decode", "evaluate", "train", "encode", "upload")
    rows = tuple(
        replace(
            RECORD, run="20261121-085850-digits", phase=phase, start_unix_s=1793267883.123 + place,
            wall_s=0.0123457 * place, cpu_s=0.0119871 * place,
            readings=(replace(CPU, energy_j=0.0479484 * place, source="generic 4 W per busy core"),),
            software="frugalfl 0.1.0, torch 2.13.0, CPython 3.11.7",
        )
        for place, phase in enumerate(phases)
    )  # fmt: skip
    content = wire.pack_reply(replace(SENT, records=rows))
    assert len(content["ledger"].deflate()) < 400


def test_grams_are_those_of_the_grid():
    record = replace(
        RECORD, grid=parse_electricity("360 g/kWh"), readings=(replace(CPU, energy_j=1e4),)
    )
    assert record.estimated_g == pytest.approx(1.0)
    assert record.measured_g is None


def test_the_table_of_countries_is_plausible_and_says_where_each_figure_is_from():
    assert parse_electricity("es") == Electricity(
        "ES", 174.0, 2023, "Our World in Data, via CodeCarbon 3.3.2"
    )
    assert parse_electricity("") is None
    assert len(regions()) > 200
    for grid in regions().values():
        assert 5 <= grid.g_per_kwh <= 1000
        assert 2018 <= grid.year <= 2026


@pytest.mark.parametrize("text", ["Atlantis", "-1 g/kWh", "nan g/kWh", "g/kWh", "9e9 g/kWh"])
def test_a_place_that_is_not_known(text):
    with pytest.raises(UsageError, match="grid"):
        parse_electricity(text)


def test_codecarbons_regions_are_optional():
    try:
        texas = any_grid("codecarbon:us/texas")
    except MissingExtraError as error:
        assert "frugalfl[carbon]" in str(error)
    else:
        assert 100 < texas.g_per_kwh < 800
    assert any_grid("ES") == parse_electricity("ES")


@given(st.lists(records, min_size=1, max_size=5))
def test_prometheus_lines_are_lines_of_its_format(rows):
    line = re.compile(r'[a-z_]+_total\{([a-z]+="(\\[\\"n]|[^\\"\n])*",?)+\} [0-9.e+-]+')
    for text in formats.to_prometheus(rows).removesuffix("\n").split("\n"):
        assert text.startswith("# ") or line.fullmatch(text), text


@given(st.lists(readings, max_size=4).map(tuple))
def test_csv_and_tables_have_the_same_sums(chosen):
    record = replace(RECORD, readings=chosen)
    header, row = formats.to_csv([record], None).splitlines()[:2]
    cell = dict(zip(header.split(","), row.split(","), strict=False))["cpu_s"]
    assert float(cell) == record.cpu_s


def test_a_table_that_is_no_energy_table(tmp_path):
    path = tmp_path / "energy.parquet"
    path.write_bytes(b"PAR1 rubbish")
    with pytest.raises(RunError, match=r"energy\.parquet"):
        read_records(path)


def test_joules_of_the_radio_alone_are_not_those_of_a_device():
    """A microcontroller that trains: nobody counted its work, and its link takes nothing."""
    work = replace(
        RECORD, phase="train", wall_s=1.0, readings=(mac_reading(profile_named("cortex-m4"), None),)
    )
    sent = replace(
        RECORD,
        phase="upload",
        wall_s=None,
        cpu_s=None,
        readings=(radio_reading("loopback", 9, 0, 1),),
    )
    both = spent([sent, work, sent])
    assert (both.measured_j, both.estimated_j, both.measured_g, both.estimated_g) == (None,) * 4
    assert (both.records, both.unknown) == (3, 1)
    assert spent([sent]).estimated_j == 0  # of the transfer, that is known
    known = replace(work, readings=(mac_reading(profile_named("cortex-m4"), 10**9),))
    assert spent([sent, work, known]).estimated_j == pytest.approx(0.64)
