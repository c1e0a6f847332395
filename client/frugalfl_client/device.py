"""One device: its number, its rows, its disk, its meter and its trainer."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flwr.app import Context

from frugalfl import wire
from frugalfl.energy import Meter, choose_meter, parse_electricity, profile_named
from frugalfl.energy.host import is_this_machine
from frugalfl.energy.level import BatteryLevel, battery_level
from frugalfl.errors import MissingExtraError, UsageError
from frugalfl.settings import TRAINERS, Settings
from frugalfl.task import Task, load_task
from frugalfl_client.approvals import Approvals
from frugalfl_client.chance import Chance
from frugalfl_client.disk import Disk, own_disk
from frugalfl_client.kept_totals import totals_of
from frugalfl_client.owner import VOICE, Owner
from frugalfl_client.rows import OwnRows
from frugalfl_client.training.batches import SMALLEST_BATCH

if TYPE_CHECKING:
    from frugalfl_client.programs import Programs
    from frugalfl_client.training.pytorch import TorchTrainer
    from frugalfl_client.training.trainer import Trainer
    from frugalfl_client.trees.state import Holding

_ROOT = Path("/")


class Device:
    """What stays the same from round to round on one device."""

    def __init__(
        self, number: int, of: int, folder: Path, settings: Settings, link: str = "",
        grid: str = "", battery_file: str = "", trainer: str = "auto", seed: int | None = None,
        smallest_batch: int = SMALLEST_BATCH, disk: Disk | None = None,
    ) -> None:  # fmt: skip
        self.number = number
        self._chance = Chance(folder, number, seed)
        self._battery_file = battery_file
        self.settings = settings
        worn = settings.energy.device_mix.of(number)
        self.link = link or worn.link
        self.profile = worn.profile
        self.grid = parse_electricity(grid)
        self.trainer_name = _name_of_trainer(trainer)
        #: Whether it would try a training program: a simulated one repeats what it did before.
        self.tries = trainer == "auto" and seed is None and _may_try(settings)
        disk = disk or own_disk(folder)
        self.store, self.ledger, self._notice = disk
        self.meter = _meter(worn.profile)
        self.of = of
        self.folder = folder
        self.task = _task(settings.run.task)
        self.rows = OwnRows(self.task, number, of, settings, smallest_batch)
        self._run = ""
        self.approvals = Approvals.of({}, folder)
        self.owner = Owner()
        self._kept_back: set[str] = set()
        #: What it made of the trees in its store, so that it need not be made again.
        self.trees: Holding | None = None
        if not settings.train.shares_counters:
            self.rows.load()

    def prepare(self, run: str) -> None:
        """Make its rows, where these depend on the sums of all clients' counters in a run.

        Raises:
            RunError: The sums are not here.
            TaskError: The task has no rows for this device.
        """
        if not self.settings.train.shares_counters or self._run == run:
            return
        self.rows.load(totals_of(self.folder, run))
        self._run = run

    @property
    def name(self) -> str:
        """Which client it is, for messages."""
        return f"client {self.number} of {self.of}"

    def battery(self) -> BatteryLevel | None:
        """Return how full its battery is, where the settings care; ``None``: not known.

        A device that is only simulated does not speak for the battery of the machine it is on.
        """
        here = self._battery_file or is_this_machine(profile_named(self.profile), _ROOT)
        if not self.settings.energy.min_battery or not here:
            return None
        return battery_level(_ROOT, self._battery_file)

    def check_allowed(self, run: str, about: str = "") -> None:
        """Refuse a question that its owner does not want answered, or has no joules for.

        Args:
            run: Name of the run.
            about: Setting that the question is about; empty: training.

        Raises:
            NotAllowedError: So it is.
            RunError: The ledger cannot be read.
        """
        self.owner.check_question(about)
        self.owner.check_energy(self.ledger, run)

    def keep_back(self, lines: list[str]) -> None:
        """Say here and to the server, once, what is done by less than the server wants."""
        for line in lines:
            if line not in self._kept_back:
                self._kept_back.add(line)
                VOICE.kept(line)
                self._notice = "; ".join(filter(None, (self._notice, line)))

    def take_notice(self) -> str:
        """Return, once, what went wrong with the ledger, and what is kept back."""
        notice, self._notice = self._notice, ""
        return notice

    def drawn(self, number: int) -> tuple[int, ...]:
        """Return what order, dropout and samples of a round are drawn from.

        Raises:
            RunError: The disk does not keep the secret that is part of it.
        """
        return self._chance.of_round(self.settings.run.seed, number)

    def trainer(self, program: str = "", program_file: bytes = b"") -> Trainer | None:
        """Return the trainer; ``None``: it needs a training program that is not here.

        Args:
            program: Digest of the training program to run; PyTorch needs none.
            program_file: That program, if it came along.

        Raises:
            ProgramError: The program is damaged, cannot run here, or may not.
            MissingExtraError: What trains is not installed.
        """
        if self.trainer_name == wire.TORCH:
            return _torch_trainer(self.settings)
        return self.program_trainer(program, program_file)

    def program_trainer(self, program: str, program_file: bytes) -> Trainer | None:
        """Return what runs a training program; arguments and errors as of :meth:`trainer`."""
        return _programs().trainer(program, program_file, self.store, self.settings, self.approvals)

    def settle_on(self, trainer: str, why: str) -> None:
        """Train with this from now on, and say so here and to the server."""
        self.trainer_name, self.tries = trainer, False
        self.keep_back([f"trainer = {trainer} ({why})"])

    @property
    def programs(self) -> tuple[str, ...]:
        """Digests of the training programs on this device's disk; of interest without PyTorch."""
        return self.store.programs() if self.trainer_name == wire.LITERT else ()


def device_of(context: Context) -> Device:
    """Return the device that a Flower context speaks of; the same one for every round of a process.

    Reads ``partition-id`` and ``num-partitions`` from the node config (Flower's own keys), and
    ``state-dir``, the folder on the device's disk; without it, ``$FRUGALFL_HOME`` or
    ``~/.frugalfl``, and in it one folder a client. ``link``, where it is there, is the device's
    own word for what it is connected by, for ``by-link`` refresh plans and for the joules of its
    radio; without it, what the setting ``device`` says. ``grid`` is the electricity that it runs
    on and ``trainer`` what trains there, where these are not the settings' own. ``battery-file``
    names a file that says how full its battery is, where the system does not know
    (:func:`~frugalfl.energy.level.battery_level`). ``approved`` names its owner's list of what may
    run (:mod:`frugalfl_client.approvals`).
    ``smallest-batch`` is how many rows each batch
    that it trains on has at least. ``seed`` makes it draw from that number, as a simulation does,
    and not from a secret of its own: for experiments that must repeat. Keys
    of the names of settings are its owner's own, which no server overrides
    (:mod:`frugalfl_client.owner`).

    Raises:
        UsageError: A setting or the node config is unusable.
        NotAllowedError: The run's settings go further than the device's owner allows.
        TaskError: The task cannot be loaded, or has no rows for this device.
    """
    if isinstance(context, ContextWithDevice):
        return context.device
    return _device_of(context, _device)


class ContextWithDevice(Context):
    """A context that brings its device along, which is made when it is first asked for.

    A simulation has one for each of its devices, and reads settings and node configs once.
    """

    def __init__(self, disk: Callable[[], Disk], **about: Any) -> None:
        """Begin without a device.

        Args:
            disk: Opens where it keeps things.
            about: What Flower's Context takes.
        """
        super().__init__(**about)
        self._disk = disk
        self._device: Device | None = None

    @property
    def device(self) -> Device:
        """The device; the same one each time.

        Raises:
            UsageError: As :func:`device_of`, and its other errors.
        """
        if self._device is None:
            self._device = _device_of(self, partial(Device, disk=self._disk()))
        return self._device


def _device_of(context: Context, make: Callable[..., Device]) -> Device:
    """Read a context, and make the device that it speaks of; errors of :func:`device_of`."""
    owner = Owner.of(context.node_config)
    config = context.run_config
    settings, kept_back = owner.settled(_settings(tuple(config), *config.values()))
    try:
        number = int(context.node_config["partition-id"])
        of = int(context.node_config["num-partitions"])
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"the node config lacks {error}; start the node with "
            "--node-config 'partition-id=0 num-partitions=2'"
        ) from error
    home = Path(os.environ.get("FRUGALFL_HOME") or Path.home() / ".frugalfl")
    folder = context.node_config.get("state-dir") or home / f"client-{number}"
    link = str(context.node_config.get("link", ""))
    grid = str(context.node_config.get("grid", settings.energy.electricity))
    battery_file = str(context.node_config.get("battery-file", ""))
    trainer = str(context.node_config.get("trainer", settings.train.trainer))
    device = make(
        number, of, Path(str(folder)), settings, link, grid, battery_file, trainer,
        _whole(context, "seed", 0), _whole(context, "smallest-batch", 1) or SMALLEST_BATCH,
    )  # fmt: skip
    device.owner = owner
    device.keep_back(kept_back)
    device.approvals = Approvals.of(context.node_config, device.folder)
    return device


def _whole(context: Context, key: str, least: int) -> int | None:
    """Return a whole number of the node config; ``None``: it is not there.

    Raises:
        UsageError: It is something else.
    """
    value = context.node_config.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(
            f"{key} in the node config is {value!r}; it must be a whole number from {least} up"
        )
    return value


@lru_cache(maxsize=4, typed=True)
def _settings(keys: tuple[str, ...], *values: Any) -> Settings:
    """Return the settings of a run config, which is the same in every message of a run."""
    return Settings.of(dict(zip(keys, values, strict=True)))


@lru_cache(maxsize=256)
def _device(
    number: int, of: int, folder: Path, settings: Settings, link: str, grid: str,
    battery_file: str, trainer: str, seed: int | None, smallest_batch: int,
) -> Device:  # fmt: skip
    return Device(
        number, of, folder, settings, link, grid, battery_file, trainer, seed, smallest_batch
    )


@lru_cache(maxsize=16)
def _meter(profile: str) -> Meter:
    """Return the one meter of this process for a profile: baselines and samples are taken once."""
    return choose_meter(profile_named(profile))


@lru_cache(maxsize=4)
def _task(reference: str) -> Task:
    return load_task(reference)


@lru_cache(maxsize=4)
def _torch_trainer(settings: Settings) -> TorchTrainer:
    try:
        from frugalfl_client.training.pytorch import TorchTrainer
    except ImportError as error:
        raise MissingExtraError("training with PyTorch", "torch") from error
    return TorchTrainer(_task(settings.run.task), settings)


@lru_cache(maxsize=1)
def _programs() -> Programs:
    from frugalfl_client.programs import Programs

    return Programs()


@lru_cache(maxsize=3)
def _name_of_trainer(wanted: str) -> str:
    """Return what trains: as wanted; with ``auto`` PyTorch where it can be imported.

    Raises:
        UsageError: There is no such trainer.
    """
    if wanted not in TRAINERS:
        raise UsageError(f"trainer is {wanted!r}; it must be {', '.join(TRAINERS)}")
    if wanted != "auto":
        return wanted
    try:
        import torch  # noqa: F401
    except ImportError:
        return wire.LITERT
    return wire.TORCH


def _may_try(settings: Settings) -> bool:
    """Say whether PyTorch and LiteRT are both here, and programs do all that a run asks for."""
    here = any(map(find_spec, ("ai_edge_litert", "tflite_runtime")))
    plain = not (settings.train.trees or settings.wire.private)
    return here and plain and _name_of_trainer("auto") == wire.TORCH


def forget_devices() -> None:
    """Drop every cached device, task and trainer; the next round opens them anew."""
    for cache in (_settings, _device, _meter, _task, _torch_trainer, _programs, _name_of_trainer):
        cache.cache_clear()
