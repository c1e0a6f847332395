"""Whether a model fits: one gate each for flash, RAM and multiply-accumulates."""

from __future__ import annotations

from frugalfl.errors import ExportError
from frugalfl_server.export.device_budget import DeviceBudget
from frugalfl_server.export.gates import Gate
from frugalfl_server.export.measure import DeviceCost
from frugalfl_server.export.tflite_micro import how_to_install


def budget_gates(cost: DeviceCost, budget: DeviceBudget, who: str = "the model") -> list[Gate]:
    """Hold a model's cost against every limit that the budget has.

    Args:
        cost: What the model needs.
        budget: What the device has.
        who: The model's name in the reasons.

    Raises:
        ExportError: RAM is limited, and this host cannot measure it.
    """
    gates = []
    if budget.flash_bytes is not None:
        gates.append(_flash(cost, budget, budget.flash_bytes, who))
    if budget.ram_bytes is not None:
        gates.append(_ram(cost, budget.ram_bytes, who))
    if budget.macs is not None:
        gates.append(_macs(cost, budget.macs, who))
    return gates


def _flash(cost: DeviceCost, budget: DeviceBudget, limit: int, who: str) -> Gate:
    needed = cost.file_bytes + budget.runtime_bytes
    parts = ""
    if budget.runtime_bytes:
        parts = f" ({cost.file_bytes:,} B file, {budget.runtime_bytes:,} B TFLite-Micro)"
    reason = f"{who} needs {needed:,} B of flash{parts}; {_budgets(needed, limit, ' B')}"
    return Gate("flash", needed, limit, "B", reason if needed > limit else None)


def _ram(cost: DeviceCost, limit: int, who: str) -> Gate:
    needed = cost.arena_bytes
    if needed is None:
        raise ExportError(
            f"RAM cannot be measured here without TFLite-Micro: {how_to_install()}, "
            "or name no target and no ram"
        )
    reason = f"{who} needs {needed:,} B of RAM (64-bit arena); {_budgets(needed, limit, ' B')}"
    return Gate("RAM", needed, limit, "B", reason if needed > limit else None)


def _macs(cost: DeviceCost, limit: int, who: str) -> Gate:
    reason = f"{who} needs {cost.macs:,} multiply-accumulates; {_budgets(cost.macs, limit, '')}"
    return Gate("multiply-accumulates", cost.macs, limit, "", reason if cost.macs > limit else None)


def _budgets(needed: int, limit: int, unit: str) -> str:
    return f"{limit:,}{unit} were given, {needed - limit:,}{unit} too few"
