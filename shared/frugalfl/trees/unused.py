"""Settings that a run of trees has no use for: refused by name, not ignored.

One app may hold the settings of a network and of trees beside each other, so what only says how a
network trains and travels (step sizes, epochs, codecs) may stand there. What asks for something
that would then not happen may not.
"""

from __future__ import annotations

from collections.abc import Sequence

from frugalfl.errors import UsageError

#: Settings that ask for nothing with these values, by name; the first is the default.
_UNUSED: dict[str, Sequence[object]] = {
    "strategy": ("fedavg",),
    "prune": (0.5, 0.0),
    "recover_rounds": (40, 0),
    "initial": ("exact",),
    "start_from": ("",),
    "refresh": ("full",),
    "sampling": ("uniform",),
    "quorum": (0.0,),
    "over_select": (0.0,),
    "uplink_budget": (0,),
    "downlink_budget": (0,),
    "energy_budget": (0.0,),
    "min_battery": (0,),
    "stop_joules": (0.0,),
    "stop_accuracy": (0.0,),
    "stop_score": (0.0,),
    "evaluate_rows": (0,),
    "trainer": ("auto",),
    "export": (True,),
    "calibration": ("auto",),
    "calibration_percentile": (100.0,),
    "activations": ("int8",),
    "target": ("",),
    "flash": ("",),
    "ram": ("",),
    "macs": (0,),
}


def refuse_unused(settings: object) -> None:
    """Refuse what a run config asks for and a run of trees would ignore.

    A device's owner may say more than that: on a device such settings do no harm.

    Args:
        settings: A :class:`~frugalfl.settings.Settings`, of a run that grows trees.

    Raises:
        UsageError: There is such a setting; the message names them all.
    """
    asked = {name: getattr(settings, name) for name in _UNUSED}
    wrong = [
        f"{name.replace('_', '-')} = {asked[name]}"
        for name, idle in _UNUSED.items()
        if asked[name] not in idle
    ]
    if wrong:
        raise UsageError(
            f"trees have no use for {', '.join(wrong)}: leave that out, or leave trees empty for a "
            "network"
        )
