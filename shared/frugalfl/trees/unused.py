"""Settings that a run of trees has no use for: refused by name, not ignored.

One app may hold the settings of a network and of trees beside each other, so numbers of a network's
training and travels (step sizes, epochs, momentum, codecs) may stand there. What asks for something
that would then not happen may not.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from frugalfl.errors import UsageError

#: Settings that ask for nothing with these values, by key; the first is the default.
_UNUSED: dict[str, Sequence[object]] = {
    "strategy": ("fedavg",),
    "prune": (0.5, 0.0),
    "recover-rounds": (40, 0),
    "initial": ("exact",),
    "start-from": ("",),
    "refresh": ("auto", "full"),
    "sampling": ("uniform",),
    "quorum": (0.0,),
    "over-select": (0.0,),
    "uplink-budget": (0,),
    "downlink-budget": (0,),
    "energy-budget": (0.0,),
    "min-battery": (0,),
    "stop-joules": (0.0,),
    "stop-accuracy": (0.0,),
    "stop-score": (0.0,),
    "stop-patience": (0,),
    "evaluate-rows": (0,),
    "trainer": ("auto",),
    "export": (True,),
    "calibration": ("auto",),
    "calibration-percentile": (100.0,),
    "activations": ("int8",),
    "target": ("",),
    "flash": ("",),
    "ram": ("",),
    "macs": (0,),
    "optimizer": ("sgd",),
    "schedule": ("cosine",),
    "weight-decay": (0.0,),
    "clip-norm": (0.0,),
}
#: Settings whose default asks for something as well: it stands for nothing only if nobody wrote it.
_ASKING_BY_DEFAULT = ("prune", "recover-rounds", "optimizer", "schedule")


def refuse_unused(config: Mapping[str, object], written: Container[str] = ()) -> None:
    """Refuse what a run config asks for and a run of trees would ignore.

    A device's owner may say more than that: on a device such settings do no harm.

    Args:
        config: All settings of a run that grows trees.
        written: Keys that somebody wrote; the other values are defaults, or it is not known.

    Raises:
        UsageError: There is such a setting; the message names them all.
    """

    def asks(key: str, idle: Sequence[object]) -> bool:
        by_default = key in _ASKING_BY_DEFAULT and key in written
        return config[key] not in (idle[1:] if by_default else idle)

    wrong = [f"{key} = {config[key]}" for key, idle in _UNUSED.items() if asks(key, idle)]
    if wrong:
        raise UsageError(
            f"trees have no use for {', '.join(wrong)}: leave that out, or leave trees empty for a "
            "network"
        )
