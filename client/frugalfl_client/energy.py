"""The energy records of one round on one device, in the order of its phases."""

from __future__ import annotations

import platform
import time
from functools import lru_cache
from importlib import metadata

import frugalfl
from frugalfl import wire
from frugalfl.energy import Reading, radio_reading, round_reading
from frugalfl.energy.record import record_from
from frugalfl.energy.recorder import Recorder
from frugalfl_client.device import Device


class RoundEnergy(Recorder):
    """Collects the records of a round: windows, and the transfers before and after them."""

    def __init__(self, device: Device, request: wire.AnyRequest, software: str = "") -> None:
        """Begin without records; ``software`` is the package that trains, if one does."""
        super().__init__(
            device.meter,
            run=request.run,
            client=str(device.number),
            round=request.round,
            device=device.profile,
            link=device.link,
            grid=device.grid,
            software=_versions(software),
        )
        self._link = device.link

    def works_with(self, software: str) -> None:
        """Name another package from now on, in this round's further records."""
        self.about["software"] = _versions(software)

    def downloaded(self, request: wire.AnyRequest) -> None:
        """Note that a request has come, and what it carried."""
        self._transferred("download", 0, request.downlink_bytes)

    def uploading(self, size_bytes: int) -> None:
        """Note the frame that is about to go: its radio is estimated, so it can be told with it."""
        self._transferred("upload", size_bytes, 0)

    def _transferred(self, phase: str, uplink_bytes: int, downlink_bytes: int) -> None:
        """Add a transfer, which the node does outside any window of this process.

        A record of its own, since a board's meter in a window beside it has not seen the radio.
        """
        self.add(
            record_from(
                self.about, phase, start_unix_s=round(time.time(), 3), wall_s=None, cpu_s=None,
                readings=_radio(self._link, uplink_bytes, downlink_bytes),
                uplink_bytes=uplink_bytes, downlink_bytes=downlink_bytes, contacts=1,
            )
        )  # fmt: skip


@lru_cache(maxsize=4096)
def _radio(link: str, uplink_bytes: int, downlink_bytes: int) -> tuple[Reading]:
    """Return what the radio takes for a transfer, of which a round's have few lengths."""
    return (round_reading(radio_reading(link, uplink_bytes, downlink_bytes, contacts=1)),)


@lru_cache(maxsize=4)
def _versions(software: str) -> str:
    """Return the versions of FrugalFL, the package that trains where one does, and the runtime."""
    packages = [f"frugalfl {frugalfl.__version__}"]
    if software:
        packages.append(f"{software} {_version(software)}")
    return ", ".join([*packages, f"{platform.python_implementation()} {platform.python_version()}"])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "of unknown version"  # a runtime that was built here, not installed by pip
