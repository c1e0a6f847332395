"""Sizes as people type them, and the microcontrollers that a model may be exported for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl.sizes import parse_size
from frugalfl.targets import target_named, targets
from frugalfl_server.export import DeviceBudget


@given(
    st.integers(1, 10**9),
    st.sampled_from([("", 1), ("B", 1), ("kB", 1000), ("KiB", 1024), ("MiB", 1 << 20)]),
)
def test_a_whole_number_of_any_unit_is_exact(number, unit):
    name, factor = unit
    assert parse_size(f"{number}{name}", "flash") == number * factor
    assert parse_size(f" {number} {name} ", "flash") == number * factor


def test_fractions_of_a_unit():
    assert parse_size("1.5MiB", "ram") == 3 << 19
    assert parse_size("0.1 kB", "ram") == 100


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("64K", "write 64KiB .* or 64kB"),
        ("64 kb", "'kb' is not a unit"),
        ("-5", "takes a size such as 64KiB"),
        ("lots", "takes a size such as 64KiB"),
        ("nan", "takes a size"),
        ("1e6", "takes a size"),
        ("", "takes a size"),
        ("٣KiB", "takes a size"),
        ("0", "at least 1 byte"),
        ("0.4B", "at least 1 byte"),
    ],
)
def test_what_is_no_size_is_explained(text, says):
    with pytest.raises(UsageError, match=f"^flash .*{says}"):
        parse_size(text, "flash")


def test_every_target_has_room_for_its_runtime_and_says_where_its_figures_are_from():
    assert {"cortex-m0", "cortex-m4", "cortex-m55", "esp32-s3", "rp2040"} <= targets().keys()
    for name, target in targets().items():
        assert target.name == name
        assert target.runtime_bytes < target.flash_bytes
        assert target.ram_bytes >= 16 << 10
        assert target.source and target.board


def test_an_unknown_target_names_the_nearest():
    with pytest.raises(UsageError, match="unknown target 'cortex_m4'; did you mean 'cortex-m4'"):
        target_named("cortex_m4")


def test_a_budget_is_the_boards_own_where_nothing_else_is_given():
    board = targets()["rp2040"]
    own = DeviceBudget.of("rp2040")
    assert (own.flash_bytes, own.ram_bytes) == (board.flash_bytes, board.ram_bytes)
    assert own.runtime_bytes == board.runtime_bytes > 0
    tighter = DeviceBudget.of("rp2040", flash="100kB", macs=5)
    assert (tighter.flash_bytes, tighter.ram_bytes, tighter.macs) == (100_000, board.ram_bytes, 5)
    assert DeviceBudget.of(flash="100kB").runtime_bytes == 0
    assert not DeviceBudget.of().limited


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"target": "cortex-m5"}, "unknown target"),
        ({"flash": "64K"}, "not a unit"),
        ({"ram": "-1"}, "ram takes a size"),
        ({"flash": -1}, "flash takes a size"),
        ({"flash": True}, "takes a text"),
        ({"macs": -1}, "macs is -1; it must be 0 or more"),
        ({"rounds": 0}, "only with start-from"),
        ({"flash": "9KiB", "private": "0", "prune": 0.0}, "cannot be pruned"),
    ],
)
def test_a_wrong_budget_in_the_settings_is_explained(config, says):
    with pytest.raises(UsageError, match=says):
        Settings.of(config)


def test_a_budget_in_the_settings_may_be_a_bare_number():
    assert Settings.of({"flash": 65536}).export.flash == "65536"
    assert Settings.of({"rounds": 0, "start-from": "runs/latest"}).rounds.count == 0
