"""The data file of profiles and radios, and fleets made of them."""

import tomllib
import zipfile
from pathlib import Path

import pytest

import frugalfl.energy
from frugalfl.energy.device_mix import parse_device_mix
from frugalfl.energy.profiles import links, profile_named, profiles
from frugalfl.errors import UsageError
from frugalfl.settings import Settings

FILE = Path(frugalfl.energy.__file__).with_name("profiles.toml")
OTHER = {"about", "board", "architecture", "cores", "uncertainty_rel", "source"}


def test_every_number_names_a_source_that_is_there():
    data = tomllib.loads(FILE.read_text())
    for name, row in (data["profiles"] | data["links"]).items():
        figures = set(row) - OTHER
        assert figures and figures == set(row["source"]), name
        assert set(row["source"].values()) <= set(data["sources"]), name
    used = {
        key for row in (data["profiles"] | data["links"]).values() for key in row["source"].values()
    }
    assert used == set(data["sources"])


def test_every_profile_can_be_estimated_from():
    for profile in profiles().values():
        assert (profile.busy_w_per_core is None) != (profile.nj_per_mac is None)
        assert (profile.busy_w_per_core or profile.nj_per_mac) > 0
        assert 0 < profile.uncertainty_rel <= 1
        assert profile.slowdown > 0


def test_a_published_fit_is_what_it_was():
    profile = profile_named("raspberry-pi-4b")
    assert (profile.idle_w, profile.busy_w_per_core) == pytest.approx((2.286, 4.534 / 4))


def test_unknown_profile():
    with pytest.raises(UsageError, match="did you mean 'raspberry-pi-4b'"):
        profile_named("raspberry-pi-4")


def test_a_fleet_goes_by_the_numbers_of_its_clients():
    fleet = parse_device_mix("raspberry-pi-zero-w on lte * 2, phone, cortex-m4 on lora")
    kinds = [fleet.of(number) for number in range(6)]
    assert [kind.profile for kind in kinds] == [
        "raspberry-pi-zero-w", "raspberry-pi-zero-w", "phone", "cortex-m4",
        "raspberry-pi-zero-w", "raspberry-pi-zero-w",
    ]  # fmt: skip
    assert [kind.link for kind in kinds[:4]] == ["lte", "lte", "", "lora"]


def test_one_name_is_a_fleet_of_one_kind():
    assert {parse_device_mix("generic").of(number).profile for number in range(9)} == {"generic"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("toaster", "unknown device profile 'toaster'"),
        ("phone * 0", "cannot read device"),
        ("phone x 3", "cannot read device"),
        ("phone, ", "cannot read device ''"),
        ("phone on pigeon", "no figures for link 'pigeon'"),
    ],
)
def test_a_fleet_that_cannot_be(text, message):
    with pytest.raises(UsageError, match=message):
        Settings.of(device=text)


def test_the_document_names_every_profile_and_link():
    text = (Path(__file__).parents[2] / "docs" / "energy.md").read_text()
    for name in [*profiles(), *links()]:
        assert f"| `{name}` |" in text


def test_the_energy_part_takes_little_of_a_wheel(tmp_path):
    files = [path for path in FILE.parent.rglob("*") if path.suffix in (".py", ".toml", ".csv")]
    with zipfile.ZipFile(tmp_path / "part.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for path in files:
            wheel.write(path)
    assert (tmp_path / "part.whl").stat().st_size < 100_000
