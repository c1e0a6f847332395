"""What an exported model may need: flash, RAM, multiply-accumulates, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl.sizes import parse_size
from frugalfl.targets import Target, target_named


@dataclass(frozen=True)
class DeviceBudget:
    """Limits of a device; None: no limit.

    Attributes:
        target: The microcontroller, if one was named.
        flash_bytes: For the .tflite file and, with a target, what TFLite-Micro itself takes (B).
        ram_bytes: For the arena (B), as TFLite-Micro measures it on a 64-bit host: an upper bound
            of what a 32-bit device needs.
        macs: Multiply-accumulates of one inference.
    """

    target: Target | None = None
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    macs: int | None = None

    @classmethod
    def of(cls, target: str = "", flash: str = "", ram: str = "", macs: int = 0) -> DeviceBudget:
        """Read a budget from settings or options; empty texts and 0 are no limits.

        A target's own flash and RAM hold if none are given.

        Raises:
            UsageError: An unknown target, a size that cannot be read, or a negative number.
        """
        if macs < 0:
            raise UsageError(f"macs is {macs}; it must be 0 or more")
        known = target_named(target) if target else None
        flash_bytes = parse_size(flash, "flash") if flash else None
        ram_bytes = parse_size(ram, "ram") if ram else None
        if known is not None:
            flash_bytes = flash_bytes or known.flash_bytes
            ram_bytes = ram_bytes or known.ram_bytes
        return cls(known, flash_bytes, ram_bytes, macs or None)

    @classmethod
    def of_settings(cls, settings: Settings) -> DeviceBudget:
        """Return the budget that an app's settings describe."""
        return cls.of(settings.target, settings.flash, settings.ram, settings.macs)

    @property
    def runtime_bytes(self) -> int:
        """What TFLite-Micro takes of the flash (B); 0 if no target is named."""
        return self.target.runtime_bytes if self.target else 0

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self != DeviceBudget()
