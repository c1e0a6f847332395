"""What a bank writes in ``pilot.toml``: where its files are, what their columns mean, how to train.

Every key has a default, so an empty file is a valid one; all branches must have the same file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from frugalfl.calls import unknown
from frugalfl.errors import UsageError

#: Our columns that a mapping may name; the first three it must have.
COLUMNS = ("time", "amount", "fraud", "id", "card", "terminal")
TIMES = ("auto", "seconds", "milliseconds")
_EPOCH = date(1970, 1, 1)

_OWN = {name: name for name in COLUMNS}
_ULB = {"time": "Time", "amount": "Amount", "fraud": "Class"}
_ULB_EXTRA = tuple(f"V{number}" for number in range(1, 29))


def _key(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Config:
    """The pilot's settings; the ``help`` of each is in its field's metadata.

    Raises:
        UsageError: A value that is out of range.
    """

    files: str = _key("branch-{client}.parquet", "a branch's file; {client} is its number from 0")
    columns: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType(_OWN),
        metadata={
            "help": "the file's name of time, amount, fraud and, where it has them, id, card, "
            "terminal"
        },
    )
    extra: tuple[str, ...] = _key((), "further numeric columns to learn from")
    time_format: str = _key(
        "auto", "auto, seconds, milliseconds (both since 1970 UTC), or such as %d/%m/%Y %H:%M"
    )
    salt: str = _key("frugalfl", "key of all hashes: the same on every branch, secret to others")
    first_day: date | None = field(
        default=None, metadata={"help": "first day of the data; shared counters need it"}
    )
    last_day: date | None = field(
        default=None, metadata={"help": "last day of the data; needed for shared counters"}
    )
    label_delay_days: int = _key(7, "how long until it is known whether a transaction was fraud")
    train_days: int = _key(60, "training takes so many days, which end one label delay before test")
    test_days: int = _key(24, "the last days of the data, to test on")
    keep_negatives: float = _key(0.1, "share of genuine transactions to train on")
    smallest_amount: float = _key(0.0, "training leaves smaller amounts out; scoring never does")

    def __post_init__(self) -> None:
        self._need("{client}" in self.files, "files", "with {client} in it")
        for name in self.columns:
            if name not in COLUMNS:
                raise unknown("column in [columns]", name, COLUMNS)
        for name in COLUMNS[:3]:
            if name not in self.columns:
                raise UsageError(f"[columns] does not say which column is the {name}; add it")
        self._need(
            self.time_format in TIMES or "%" in self.time_format, "time_format",
            f"{', '.join(TIMES)}, or a format such as %d/%m/%Y %H:%M",
        )  # fmt: skip
        self._need(len(self.salt.encode()) <= 64, "salt", "at most 64 bytes long")
        for name in ("train_days", "test_days"):
            self._need(getattr(self, name) >= 1, name, "1 or more")
        self._need(self.label_delay_days >= 0, "label_delay_days", "0 or more")
        self._need(0 < self.keep_negatives <= 1, "keep_negatives", "above 0 and at most 1")
        self._need(self.smallest_amount >= 0, "smallest_amount", "0 or more")
        if self.first_day and self.last_day:
            self._need(self.first_day <= self.last_day, "last_day", "the first day or later")

    def _need(self, fine: bool, name: str, what: str) -> None:
        if not fine:
            raise UsageError(
                f"{name.replace('_', '-')} is {getattr(self, name)!r}; it must be {what}"
            )

    @property
    def has_card(self) -> bool:
        """Whether files say which card."""
        return "card" in self.columns

    @property
    def has_terminal(self) -> bool:
        """Whether files say which terminal."""
        return "terminal" in self.columns


#: How the public credit-card file of ULB is laid out: two days, no card, no terminal.
ULB = Config(
    files="creditcard-{client}.csv", columns=MappingProxyType(_ULB), extra=_ULB_EXTRA,
    time_format="seconds", label_delay_days=0, train_days=1, test_days=1,
)  # fmt: skip


def load_config(path: Path) -> Config:
    """Read a ``pilot.toml``.

    ``layout = "ulb"`` begins with `ULB` instead of the defaults.

    Raises:
        UsageError: No such file, not TOML, an unknown key (the nearest known one is in the
            message), or a value of a wrong type or out of range.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; write one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    try:
        return config_from(given)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def config_from(given: Mapping[str, Any]) -> Config:
    """Make a config of the keys and values of a TOML file; see `load_config`."""
    given = dict(given)
    layout = given.pop("layout", "own")
    if layout not in ("own", "ulb"):
        raise UsageError(f"layout is {layout!r}; it must be 'own' or 'ulb'")
    base = ULB if layout == "ulb" else Config()
    known = {each.name.replace("_", "-"): each.name for each in fields(Config)}
    values = {each.name: getattr(base, each.name) for each in fields(Config)}
    for key, value in given.items():
        if key not in known:
            raise unknown("key", key, [*known, "layout"])
        values[known[key]] = _typed(key, value, values[known[key]])
    return Config(**values)


def _typed(key: str, value: Any, default: Any) -> Any:
    """Return a TOML value as the field has it; the default says of which type it is."""
    if key == "columns":
        if isinstance(value, dict) and all(isinstance(name, str) for name in value.values()):
            return MappingProxyType(value)
        raise UsageError(f"columns is {value!r}; it must be a table such as time = 'TX_TIME'")
    if key == "extra":
        if isinstance(value, list) and all(isinstance(name, str) for name in value):
            return tuple(value)
        raise UsageError(f"extra is {value!r}; it must be a list of column names")
    wanted: type = date if key in ("first-day", "last-day") else type(default)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        such = {date: "a date such as 2018-04-01", bool: "true or false", int: "a whole number",
                float: "a number", str: "a text in quotes"}[wanted]  # fmt: skip
        raise UsageError(f"{key} is {value!r}; it must be {such}")
    return value


def day_number(day: date) -> int:
    """Return the days from 1970-01-01 to a day."""
    return (day - _EPOCH).days


def day_of(number: int) -> date:
    """Return the day that is so many days after 1970-01-01."""
    return _EPOCH + timedelta(days=number)
