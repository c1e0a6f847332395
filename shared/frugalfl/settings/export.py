"""What becomes of the trained model."""

from __future__ import annotations

from dataclasses import dataclass

from frugalfl.errors import UsageError
from frugalfl.settings.keys import need, setting
from frugalfl.sizes import parse_size
from frugalfl.targets import target_named

_CALIBRATIONS = ("auto", "federated", "public")


@dataclass(frozen=True)
class ExportSettings:
    """Pruning, recovery, int8 ranges, and what the exported model has to fit."""

    prune: float = setting(
        0.5, "share of channels to prune before export, 0 for none; not used with a budget"
    )
    recover_rounds: int = setting(40, "federated rounds on the pruned model")
    enabled: bool = setting(
        True,
        "whether a model file is made at the end; false: whatever the model, no file",
        key="export",
    )
    calibration: str = setting(
        "auto",
        "int8 ranges: federated (clients give them), public (task's rows), auto (public if any)",
    )
    calibration_percentile: float = setting(
        100.0, "which of a client's rows bounds each range: 100 the farthest; 95 against outliers"
    )
    activations: str = setting("int8", "numbers of the exported model: int8, or int16 (finer)")
    target: str = setting("", "microcontroller to fit (docs/export.md); empty for none")
    flash: str = setting("", "most flash of the exported model, such as 64KiB; empty for none")
    ram: str = setting("", "most RAM of its tensors, such as 16KiB; empty for none")
    macs: int = setting(0, "most multiply-accumulates of one inference; 0: none")

    def __post_init__(self) -> None:
        need(self.recover_rounds >= 0, "recover-rounds", self.recover_rounds, "0 or more")
        need(0 <= self.prune < 1, "prune", self.prune, "from 0 to below 1")
        calibration, percentile = self.calibration, self.calibration_percentile
        need(calibration in _CALIBRATIONS, "calibration", calibration, "auto, federated or public")
        need(50 < percentile <= 100, "calibration-percentile", percentile, "above 50, up to 100")
        known = self.activations in ("int8", "int16")
        need(known, "activations", self.activations, "int8 or int16")
        self._check_budget()

    def _check_budget(self) -> None:
        if self.target:
            target_named(self.target)
        for key, size in (("flash", self.flash), ("ram", self.ram)):
            if size:
                parse_size(size, key)
        need(self.macs >= 0, "macs", self.macs, "0 or more")
        if self.has_budget and not self.enabled:
            raise UsageError(
                "target, flash, ram and macs are about the exported model; leave them out with "
                "export = false"
            )

    @property
    def has_budget(self) -> bool:
        """Whether the exported model has to fit something."""
        return bool(self.target or self.flash or self.ram or self.macs)

    @property
    def prunes(self) -> bool:
        """Whether the model may be pruned, and recovery rounds follow."""
        return bool(self.prune or self.has_budget)

    @property
    def recovers_in_vain(self) -> bool:
        """Whether somebody asks for recovery rounds, and nothing will be pruned."""
        asked = self.recover_rounds not in (0, ExportSettings.recover_rounds)
        return asked and not self.prunes
