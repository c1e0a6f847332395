"""What a device's owner decides, and no server: settings named in the node's own config.

A server hands its settings to every device. Where the node config has a key of the same name, the
device keeps to that: what would go further is refused, in one line here and one at the server, and
what can simply be less is less, and said so once. The run goes on with the other devices.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from frugalfl.calls import unknown
from frugalfl.energy import totals
from frugalfl.energy.record import known_sum
from frugalfl.errors import NotAllowedError, UsageError
from frugalfl.settings import COUNTERS, Settings
from frugalfl_client.approvals import APP_HASH, APPROVED
from frugalfl_client.disk import KeepsRecords

#: What a node config may hold beside an owner's settings.
_OTHERS = (
    "partition-id", "num-partitions", "state-dir", "link", "grid", "trainer", "battery-file",
    "seed", "smallest-batch", APPROVED, APP_HASH,
)  # fmt: skip
_DAY_S = 86_400.0
#: Questions that an owner may refuse altogether: the key, and the value that does.
_REFUSES = {"counters": "own", "trees": "none", "calibration": "public"}


def _rule(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Owner:
    """An owner's settings; each is empty, or ``None``, where the owner says nothing."""

    task: str = _rule("", "the only task that this device works on")
    counters: str = _rule("", "own: this device gives no counters")
    trees: str = _rule("", "none: it answers no questions about trees")
    calibration: str = _rule("", "public: it gives no ranges of activations")
    private: str = _rule("", "blocks that never leave this device: shell patterns, commas between")
    evaluate_rows: int | None = _rule(None, "most own rows that it measures received models on")
    local_epochs: int | None = _rule(None, "most passes over its own rows in a round")
    energy_budget: float | None = _rule(None, "most joules that it uses in one run")
    energy_a_day: float | None = _rule(None, "most joules that it uses in any 24 hours")
    min_battery: int | None = _rule(None, "battery (%) below which it does not train")

    def __post_init__(self) -> None:
        self._need(self.counters in ("", *COUNTERS), "counters", "own or shared")
        self._need(self.trees in ("", "none"), "trees", "none")
        self._need(self.calibration in ("", "public"), "calibration", "public")
        self._need(self.evaluate_rows is None or self.evaluate_rows >= 0, "evaluate_rows", "from 0")
        self._need(self.local_epochs is None or self.local_epochs >= 1, "local_epochs", "from 1")
        for name in ("energy_budget", "energy_a_day"):
            value = getattr(self, name)
            self._need(value is None or 0 < value < float("inf"), name, "above 0")
        battery = self.min_battery
        self._need(battery is None or 0 <= battery < 100, "min_battery", "from 0 to below 100")

    def _need(self, holds: bool, name: str, what: str) -> None:
        if not holds:
            raise UsageError(
                f"{_key(name)} in the node config is {getattr(self, name)!r}; it must be {what}"
            )

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Owner:
        """Read a node config.

        Raises:
            UsageError: It has an unknown key (with the nearest known one), or a value that cannot
                be.
        """
        own = {_key(one.name): one for one in fields(cls)}
        values = {}
        for key, value in config.items():
            if key in own:
                values[own[key].name] = _typed(key, value, str(own[key].type))
            elif key not in _OTHERS:
                raise unknown("node-config key", key, [*own, *_OTHERS])
        return cls(**values)

    def settled(self, settings: Settings) -> tuple[Settings, list[str]]:
        """Return a run's settings as this device keeps to them, and what it keeps back.

        Raises:
            NotAllowedError: They go further than the owner allows.
        """
        if self.task and settings.run.task != self.task:
            raise _refusal("task", settings.run.task, self.task)
        if self.counters == "own" and settings.train.shares_counters:
            raise _refusal("counters", settings.train.counters, self.counters)
        if self.trees and settings.train.trees:
            raise _refusal("trees", settings.train.trees, self.trees)
        # The same patterns, so that one with a slip of the pen keeps the device out, not in.
        if not _patterns(self.private) <= _patterns(settings.wire.private):
            raise _refusal("private", settings.wire.private, self.private)
        kept = []
        if self.evaluate_rows is not None and settings.rounds.evaluate_rows > self.evaluate_rows:
            kept.append(_less("evaluate-rows", settings.rounds.evaluate_rows, self.evaluate_rows))
            settings = settings.changed(evaluate_rows=self.evaluate_rows)
        if self.local_epochs is not None and settings.train.epochs > self.local_epochs:
            kept.append(_less("local-epochs", settings.train.epochs, self.local_epochs))
            settings = settings.changed(local_epochs=self.local_epochs)
        if self.min_battery is not None:
            settings = settings.changed(
                min_battery=max(settings.energy.min_battery, self.min_battery)
            )  # nothing to say: the device declines when it comes to that
        return settings, kept

    def check_question(self, about: str) -> None:
        """Refuse a question that the owner does not want answered, whatever the settings say.

        Args:
            about: Setting that the question is about; empty: training, which is what a node is for.

        Raises:
            NotAllowedError: So it is.
        """
        if about and getattr(self, about) == _REFUSES[about]:
            raise _refusal(about, "asked about", _REFUSES[about])

    def check_energy(self, ledger: KeepsRecords, run: str) -> None:
        """Refuse work once the device has used what its owner gives.

        Raises:
            NotAllowedError: It has.
            RunError: The ledger cannot be read.
        """
        if self.energy_budget is None and self.energy_a_day is None:
            return
        records, since_s = ledger.records(), time.time() - _DAY_S
        limits = {
            "energy-budget": (self.energy_budget, [r for r in records if r.run == run]),
            "energy-a-day": (self.energy_a_day, [r for r in records if r.start_unix_s > since_s]),
        }
        for key, (limit_j, counted) in limits.items():
            sums = totals(counted)
            used_j = known_sum([sums.measured_j, sums.estimated_j]) or 0.0
            if limit_j is not None and used_j >= limit_j:
                raise NotAllowedError(
                    f"this device's owner allows {key} = {limit_j:g} J, and it has used "
                    f"{used_j:.4g} J: it takes no part"
                )

    def epochs(self, asked: int) -> tuple[int, list[str]]:
        """Return the epochs to train of those that a request asks for, and what is kept back.

        Args:
            asked: Of the request; 0: as the settings say, which were looked at before.
        """
        if self.local_epochs is None or asked <= self.local_epochs:
            return asked, []
        return self.local_epochs, [_less("local-epochs", asked, self.local_epochs)]


def check_node_config(config: Mapping[str, Any]) -> None:
    """Check a node config before anything is connected.

    Raises:
        UsageError: As :meth:`Owner.of`.
    """
    Owner.of(config)


def _refusal(key: str, asked: object, allowed: object) -> NotAllowedError:
    return NotAllowedError(
        f"the server wants {key} = {asked!r:.80}, and this device's owner allows {key} = "
        f"{allowed!r:.80} only: it takes no part"
    )


def _less(key: str, asked: int, allowed: int) -> str:
    return (
        f"the server wants {key} = {asked}, and this device's owner allows {allowed} at most: it "
        f"does {allowed}"
    )


def _key(name: str) -> str:
    return name.replace("_", "-")


def _typed(key: str, value: Any, kind: str) -> Any:
    """Return a value of a node config as the kind that its key takes."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "str" and isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)  # private=8 is as good as private='8'
    if kind.startswith("float") and number:
        return float(value)
    if kind.startswith("int") and number and value == int(value):
        return int(value)
    what = {"s": "a text", "i": "a whole number", "f": "a number"}[kind[0]]
    raise UsageError(f"{key} in the node config takes {what}, not {value!r}")


def _patterns(text: str) -> set[str]:
    return {pattern.strip() for pattern in text.split(",") if pattern.strip()}


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass
class Voice:
    """Where a device's lines for its owner go.

    Attributes:
        kept: Takes what is done by less than a server wants.
        refused: Takes what is refused.
    """

    kept: Callable[[str], None] = _print
    refused: Callable[[str], None] = _print


#: Of this process; a node with a log of its own sets it.
VOICE = Voice()


@contextmanager
def quiet_devices() -> Iterator[None]:
    """Let simulated devices tell the server only: both speak to the same person."""
    kept, refused = VOICE.kept, VOICE.refused
    VOICE.kept = VOICE.refused = lambda _: None
    try:
        yield
    finally:
        VOICE.kept, VOICE.refused = kept, refused
