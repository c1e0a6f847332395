"""What pilot.toml may say."""

from datetime import date
from pathlib import Path

import pytest
from fraud.config import Config, config_from, day_number, day_of, load_config

from frugalfl.errors import UsageError

PILOT = Path(__file__).parents[2] / "simulations" / "fraud" / "pilot.toml"


def written(folder, text):
    path = folder / "pilot.toml"
    path.write_text(text)
    return path


def test_the_config_that_comes_with_the_pilot():
    config = load_config(PILOT)
    assert (config.first_day, config.last_day) == (date(2018, 4, 1), date(2018, 9, 30))
    assert config.keep_negatives == 0.1


def test_an_empty_file_is_all_defaults(tmp_path):
    assert load_config(written(tmp_path, "")) == Config()


def test_another_banks_mapping(tmp_path):
    text = """
        extra = ["age"]
        keep-negatives = 1
        [columns]
        time = "WHEN"
        amount = "EUR"
        fraud = "FRAUD"
    """
    config = load_config(written(tmp_path, text))
    assert config.columns["amount"] == "EUR" and config.extra == ("age",)
    assert not config.has_card and not config.has_terminal
    assert config.keep_negatives == 1.0


def test_the_ulb_layout_can_be_changed_in_part():
    config = config_from({"layout": "ulb", "keep-negatives": 0.5})
    assert config.columns["fraud"] == "Class" and len(config.extra) == 28
    assert config.keep_negatives == 0.5 and config.label_delay_days == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keep-negative = 0.1", "unknown key 'keep-negative'; did you mean 'keep-negatives'?"),
        ("[columns]\nterminals = 'T'", "unknown column .*'terminals'; did you mean 'terminal'?"),
        ("[columns]\ntime = 'T'\namount = 'A'", "does not say which column is the fraud; add it"),
        ("columns = ['time']", "columns is .*; it must be a table such as time = "),
        ("test-days = '24'", "test-days is '24'; it must be a whole number"),
        ("test-days = true", "test-days is True; it must be a whole number"),
        ("test-days = 0", "test-days is 0; it must be 1 or more"),
        ("first-day = '2018-04-01'", "first-day is .*; it must be a date such as 2018-04-01"),
        ("first-day = 2018-04-01T10:00:00", "first-day is .*; it must be a date such as"),
        ("first-day = 2018-04-02\nlast-day = 2018-04-01", "it must be the first day or later"),
        ("keep-negatives = 0", "keep-negatives is 0.0; it must be above 0 and at most 1"),
        ("smallest-amount = nan", "smallest-amount is nan; it must be 0 or more"),
        ("files = 'all.parquet'", "files is 'all.parquet'; it must be with {client} in it"),
        ("time-format = 'hours'", "time-format is 'hours'; it must be auto"),
        ("extra = 'age'", "extra is 'age'; it must be a list of column names"),
        ("layout = 'own bank'", "layout is 'own bank'; it must be 'own' or 'ulb'"),
        ("salt = " + "'" + "x" * 65 + "'", "it must be at most 64 bytes long"),
        ("test-days 24", "pilot.toml is not TOML"),
    ],
)
def test_mistakes_are_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(UsageError, match=message) as error:
        load_config(written(tmp_path, text))
    assert "pilot.toml" in str(error.value) and "\n" not in str(error.value)


def test_no_config_at_all(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*pilot.toml: No such file"):
        load_config(tmp_path / "pilot.toml")


def test_days_are_counted_from_1970():
    assert day_number(date(1970, 1, 2)) == 1
    assert day_of(day_number(date(2018, 4, 1))) == date(2018, 4, 1)
