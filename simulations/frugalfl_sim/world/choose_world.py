"""The setting ``fleet``: the world that it names, for a run's task and settings."""

from __future__ import annotations

import random

from frugalfl.calls import unknown
from frugalfl.energy.device_mix import parse_device_mix
from frugalfl.energy.profiles import profile_named
from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl.task import Task
from frugalfl_server.export.macs import count_macs, count_parameters
from frugalfl_sim.world.device import SimulatedDevice
from frugalfl_sim.world.fleet_plan import FleetPlan
from frugalfl_sim.world.fleets import FLEETS
from frugalfl_sim.world.work import Work
from frugalfl_sim.world.world import World

#: The setting ``device`` where nobody has set one.
_UNSET = "generic"


def plan_named(name: str) -> FleetPlan:
    """Return a ready fleet.

    Raises:
        UsageError: There is none of that name; the message has the nearest one.
    """
    if name not in FLEETS:
        raise unknown("fleet", name, FLEETS)
    return FLEETS[name]


def check_fleet(settings: Settings) -> None:
    """Refuse a fleet that is not known, or of which never enough devices are there at once.

    Raises:
        UsageError: So it is.
    """
    name = settings.simulation.fleet
    if not name:
        return
    plan_named(name)
    if settings.train.trees:
        raise UsageError(
            f"fleet is {name}, and how long trees take is not known: a fleet counts the "
            "multiplications of a network; leave fleet empty"
        )
    wanted = settings.rounds.clients_per_round
    most = World(devices_of(settings), Work(0, 1), wanted).most_there
    if most < wanted:
        raise UsageError(
            f"fleet is {name}, of whose {settings.simulation.clients} clients at most {most} are "
            f"there at once, and a round asks {wanted}: set more clients, or fewer "
            "clients-per-round"
        )


def with_devices(settings: Settings) -> Settings:
    """Return settings with a fleet's own devices, if there is a fleet and no other are set."""
    name = settings.simulation.fleet
    if not name or settings.energy.device != _UNSET:
        return settings
    return settings.changed(device=plan_named(name).devices)


def fleet_text(settings: Settings) -> str:
    """Return in one line what fleet is simulated."""
    name, clients = settings.simulation.fleet, settings.simulation.clients
    return f"{name} ({clients} simulated devices: {plan_named(name).about})"


def devices_of(settings: Settings) -> list[SimulatedDevice]:
    """Return the fleet's devices: the same for the same seed, however many clients there are."""
    plan = plan_named(settings.simulation.fleet)
    mix = parse_device_mix(with_devices(settings).energy.device)
    return [
        plan.draw(
            random.Random(f"{settings.run.seed} device {number}"),  # noqa: S311 (no secret)
            profile_named(mix.of(number).profile),
        )
        for number in range(settings.simulation.clients)
    ]


def world_of(task: Task, settings: Settings) -> World | None:
    """Return the world of a run; ``None``: it has no fleet.

    Args:
        task: Its model's multiplications are counted.
        settings: Of the run.

    Raises:
        TaskError: The model cannot be built.
    """
    if not settings.simulation.fleet:
        return None
    return World(
        devices_of(settings),
        Work(_macs_of(task, settings), settings.train.epochs),
        settings.rounds.clients_per_round,
        seed=settings.run.seed,
        begins_h=plan_named(settings.simulation.fleet).begins_h,
    )


def _macs_of(task: Task, settings: Settings) -> int:
    """Return the multiply-accumulates of one row, or one for a parameter if none are seen."""
    import torch

    with torch.random.fork_rng(devices=[]):  # the run draws what it would draw without a fleet
        module = task.new_model()
        rows = task.rows_of(0, settings.simulation.clients).x[:1]
        return count_macs(module, torch.from_numpy(rows)) or count_parameters(module)
