"""One device: its number, its rows, its disk, its meter and its trainer."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from flwr.app import Context

from frugalfl import wire
from frugalfl.energy import CpuTimeMeter, Ledger, profile_named
from frugalfl.errors import MissingExtraError, TaskError, UsageError
from frugalfl.settings import TRAINERS, Settings
from frugalfl.task import Examples, Task, load_task
from frugalfl_client.store import Store

if TYPE_CHECKING:
    from frugalfl_client.programs import Programs
    from frugalfl_client.training.pytorch import TorchTrainer
    from frugalfl_client.training.trainer import Trainer

#: With private blocks nobody else can measure a device's model: it keeps one row in so many for it.
_HOLD_OUT_ONE_IN = 5


class Device:
    """What stays the same from round to round on one device."""

    def __init__(
        self,
        number: int,
        of: int,
        folder: Path,
        settings: Settings,
        link: str = "",
        trainer: str = "auto",
    ) -> None:
        self.number = number
        self.settings = settings
        self.link = link
        self.trainer_name = _name_of_trainer(trainer)
        self.store = Store(folder / "store.sqlite")
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.meter = CpuTimeMeter(profile_named(settings.device))
        self.examples = _task(settings.task).rows_of(number, of)
        self.held_out: Examples | None = None
        if settings.private:
            self.examples, self.held_out = _hold_out(self.examples, settings.seed, number)

    def trainer(self, program: str = "", program_file: bytes = b"") -> Trainer | None:
        """Return the trainer; ``None``: it needs a training program that is not here.

        Args:
            program: Digest of the training program to run; PyTorch needs none.
            program_file: That program, if it came along.

        Raises:
            ProgramError: The program is damaged, or cannot run here.
            MissingExtraError: What trains is not installed.
        """
        if self.trainer_name == wire.TORCH:
            return _torch_trainer(self.settings)
        return _programs().trainer(program, program_file, self.store, self.settings)

    @property
    def programs(self) -> tuple[str, ...]:
        """Digests of the training programs on this device's disk; of interest without PyTorch."""
        return self.store.programs() if self.trainer_name == wire.LITERT else ()


def device_of(context: Context) -> Device:
    """Return the device that a Flower context speaks of; the same one for every round of a process.

    Reads ``partition-id`` and ``num-partitions`` from the node config (Flower's own keys), and
    ``state-dir``, the folder on the device's disk; without it, ``$FRUGALFL_HOME`` or
    ``~/.frugalfl``, and in it one folder a client. ``link``, where it is there, is the device's
    own word for what it is connected by, for ``by-link`` refresh plans; ``trainer`` replaces the
    setting of that name.

    Raises:
        UsageError: A setting or the node config is unusable.
        TaskError: The task cannot be loaded, or has no rows for this device.
    """
    settings = Settings.of(context.run_config)
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
    trainer = str(context.node_config.get("trainer", settings.trainer))
    return _device(number, of, Path(str(folder)), settings, link, trainer)


@lru_cache(maxsize=256)
def _device(
    number: int, of: int, folder: Path, settings: Settings, link: str, trainer: str
) -> Device:
    return Device(number, of, folder, settings, link, trainer)


def _hold_out(examples: Examples, seed: int, number: int) -> tuple[Examples, Examples]:
    """Return rows to train on and rows to measure on; the same ones in every round of a run."""
    if len(examples) < 2:
        raise TaskError(
            f"client {number} has one row; with private blocks it needs two, to measure on one"
        )
    order = np.random.default_rng((seed, number)).permutation(len(examples))
    count = max(1, len(examples) // _HOLD_OUT_ONE_IN)
    kept, held = np.sort(order[count:]), np.sort(order[:count])
    return Examples(examples.x[kept], examples.y[kept]), Examples(
        examples.x[held], examples.y[held]
    )


@lru_cache(maxsize=4)
def _task(reference: str) -> Task:
    return load_task(reference)


@lru_cache(maxsize=4)
def _torch_trainer(settings: Settings) -> TorchTrainer:
    try:
        from frugalfl_client.training.pytorch import TorchTrainer
    except ImportError as error:
        raise MissingExtraError("training with PyTorch", "torch") from error
    return TorchTrainer(_task(settings.task), settings)


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


def forget_devices() -> None:
    """Drop every cached device, task and trainer; the next round opens them anew."""
    for cache in (_device, _task, _torch_trainer, _programs):
        cache.cache_clear()
