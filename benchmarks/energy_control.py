"""What each option that controls energy does: joules to 95 % accuracy, joules in all, accuracy.

    python benchmarks/energy_control.py [--quick] [--json FILE]

The settings of simulations/digits, 40 rounds without pruning, three seeds, and two fleets: 40
Raspberry Pi 4 on Wi-Fi; and 10 Pi Zero on LTE, 20 Pi 4 on Wi-Fi and 10 phones on LTE. Joules are
estimated, as for every worn profile: processor time times a busy core's power, and the radio's
contacts and bytes; they are those of all clients together, also of the ones that were lost.
"to 95 %" is up to the round in which the mean accuracy of three rounds reached it, mean over the
seeds that did ("of" says how many); accuracy is that of the last three rounds. "skipped": how often
a client was there and could not be asked; "lost": how often it was asked and did not answer.

"batteries" gives every device one of 100 J, full at first, that loses the joules of its rounds and
is charged in 5 rounds of every 20, each device at its own time. A device whose battery runs empty
is lost in that round, and in later ones until it is charged.
--quick: one seed, few rounds; its figures show that it runs, no more.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from common import arguments, finish
from flwr.app import Context, Error, Message
from flwr.common.constant import ErrorCode

from frugalfl import wire
from frugalfl.energy import totals
from frugalfl.energy.level import BatteryLevel
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.train import train
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.apps import importable, quiet_flower, read_settings
from frugalfl_sim.engine.grid import InProcessGrid

DIGITS = Path(__file__).parents[1] / "simulations" / "digits"
SEEDS = (0, 1, 2)
ROUNDS = 40
TARGET = 0.95
MIXED = "raspberry-pi-zero-w on lte * 10, raspberry-pi-4b on wifi * 20, phone on lte * 10"
UNIFORM = "raspberry-pi-4b on wifi"
#: Fleet, name of the row, settings.
ROWS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (UNIFORM, "nothing", {}),
    (UNIFORM, "energy-budget=1", {"energy_budget": 1.0}),
    (UNIFORM, "stop-joules=30", {"stop_joules": 30.0}),
    (UNIFORM, "stop-accuracy=0.95", {"stop_accuracy": 0.95}),
    (MIXED, "nothing", {}),
    (MIXED, "energy-budget=150", {"energy_budget": 150.0}),
    (MIXED, "refresh=by-energy(full, 5 J, last(1))", {"refresh": "by-energy(full, 5 J, last(1))"}),
    (MIXED, "batteries", {}),
    (MIXED, "batteries, min-battery=60", {"min_battery": 60}),
    (MIXED, "stop-joules=3500", {"stop_joules": 3500.0}),
    (MIXED, "stop-accuracy=0.95", {"stop_accuracy": 0.95}),
    (MIXED, "schedule=linear", {"schedule": "linear"}),
    (MIXED, "schedule=constant", {"schedule": "constant"}),
    (MIXED, "schedule=step(0.5, 15)", {"schedule": "step(0.5, 15)"}),
)  # fmt: skip
BATTERY_J = 100.0
_DAY, _CHARGING = 20, 5


class Fleet:
    """A ClientApp that keeps an account of its devices' joules, and of their batteries."""

    def __init__(self, folder: Path | None) -> None:
        self.joules: dict[int, float] = {}
        self.lost = 0
        self._folder = folder
        self._left: dict[int, float] = {}
        self._charged: dict[int, int] = {}

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer as the device does, unless its battery is empty."""
        number, turn = int(context.node_config["partition-id"]), int(message.metadata.group_id)
        if self._folder is not None:
            self._gauge(number, turn, context)
            if self._left[number] <= 0:
                return self._dead(message)
        reply = client_app(message, context)
        told = wire.unpack_reply(reply)
        used_j = totals(told.records).estimated_j or 0.0
        self.joules[turn] = self.joules.get(turn, 0.0) + used_j
        if self._folder is not None and not self._on_charger(number, turn):
            self._left[number] -= used_j
            if self._left[number] <= 0:
                return self._dead(message)
        if told.battery is None:
            return reply
        # The device's own look came before its joules were known; a gauge would show them.
        battery = BatteryLevel(self._percent(number), told.battery.charging)
        return Message(wire.pack_reply(replace(told, battery=battery)), reply_to=message)

    def _percent(self, number: int) -> float:
        return max(0.0, 100 * self._left[number] / BATTERY_J)

    def _dead(self, message: Message) -> Message:
        self.lost += 1
        return Message(Error(ErrorCode.NODE_UNAVAILABLE, "its battery is empty"), reply_to=message)

    def _on_charger(self, number: int, turn: int) -> bool:
        return (turn + number) % _DAY < _CHARGING

    def _gauge(self, number: int, turn: int, context: Context) -> None:
        """Charge what was on a charger since the last question, and write the device's file."""
        assert self._folder is not None
        since = range(self._charged.get(number, 1), turn + 1)
        if any(self._on_charger(number, one) for one in since) or number not in self._left:
            self._left[number] = BATTERY_J
        self._charged[number] = turn
        file = self._folder / f"battery-{number}"
        charging = " charging" if self._on_charger(number, turn) else ""
        file.write_text(f"{self._percent(number):.1f} %{charging}\n")
        context.node_config["battery-file"] = str(file)


def run(fleet: str, name: str, changes: dict[str, Any], seed: int, quick: bool) -> dict[str, Any]:
    """Run one federation; return its figures under names with units."""
    settings = read_settings(DIGITS).changed(
        device=fleet, seed=seed, rounds=6 if quick else ROUNDS, prune=0.0,
        evaluate_rows=0, **changes,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as runs, importable(DIGITS), quiet_flower():
        task = load_task(settings.run.task)
        run = RunDirectory.create(Path(runs), task.name, settings, DIGITS)
        client = Fleet(Path(runs) if name.startswith("batteries") else None)
        grid = InProcessGrid(
            client, settings.simulation.clients, settings.as_config(), run.path / "devices"
        )
        train(Federation(grid, settings, task, run, quiet=True))
        forget_devices()
    accuracy = [record.accuracy for record in run.rounds]
    spent = list(accumulate(client.joules.get(record.round, 0.0) for record in run.rounds))
    smooth = [statistics.fmean(accuracy[max(0, n - 2) : n + 1]) for n in range(len(accuracy))]
    there = next((n for n, mean in enumerate(smooth) if n > 1 and mean >= TARGET), None)
    return {
        "rounds": len(accuracy),
        "energy_to_target_estimated_j": None if there is None else spent[there],
        "energy_estimated_j": spent[-1],
        "accuracy": smooth[-1],
        "skipped": sum(record.skipped for record in run.rounds),
        "lost": client.lost,
    }


def mean_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the means over the seeds that have a figure; and how many reached the target."""
    means: dict[str, Any] = {}
    for name in rows[0]:
        known = [row[name] for row in rows if row[name] is not None]
        means[name] = statistics.fmean(known) if known else None
    reached = [row for row in rows if row["energy_to_target_estimated_j"] is not None]
    return means | {"reached": len(reached)}


def line(name: str, mean: dict[str, Any]) -> str:
    """Return one row of the table."""
    to_target = mean["energy_to_target_estimated_j"]
    shown = f"{'-':>8}" if to_target is None else f"{to_target:>8.1f}"
    return (
        f"{name:40} {mean['rounds']:>6.1f} {shown} {mean['reached']:>3}"
        f" {mean['energy_estimated_j']:>8.1f} {mean['accuracy']:>8.4f}"
        f" {mean['skipped']:>8.1f} {mean['lost']:>6.1f}"
    )


def main() -> None:
    """Run every row and print it."""
    options = arguments(__doc__)
    torch.set_num_threads(1)
    seeds = SEEDS[:1] if options.quick else SEEDS
    figures: dict[str, dict[str, Any]] = {}
    for fleet, name, changes in ROWS:
        if fleet not in figures:
            print(
                f"\n{fleet}\n{'':40} {'rounds':>6} {'to 95 %':>8} {'of':>3} {'J in all':>8}"
                f" {'accuracy':>8} {'skipped':>8} {'lost':>6}"
            )
        mean = mean_of([run(fleet, name, changes, seed, options.quick) for seed in seeds])
        print(line(name, mean), flush=True)
        figures.setdefault(fleet, {})[name] = mean
    finish(options, {"seeds": len(seeds), "fleets": figures})


if __name__ == "__main__":
    sys.exit(main())
