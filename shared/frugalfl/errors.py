"""One exception tree for the whole project; the command line maps each branch to an exit code.

    FrugalFLError                      exit 1   (anything below that has no code of its own)
    ├── UsageError                     exit 2   what the user typed: unknown key, missing folder
    │   └── MissingExtraError          exit 2   a verb or room whose optional packages are absent
    ├── TaskError                      exit 3   the user's task: it raised, or has no data
    ├── FrameError                     exit 4   bytes that are not a valid frame
    │   └── ProgramError               exit 4   bytes that are not a valid training program
    ├── CodecError                     exit 5   a codec text or an array that a codec refuses
    ├── FederationError                exit 6   rounds that cannot go on: every client failed
    ├── ExportError                    exit 7   a model that cannot be pruned, converted or proven
    │   └── OverBudgetError            exit 7   a model that needs more than its device has
    ├── RunError                       exit 8   a run directory or a ledger that cannot be read
    ├── NotAllowedError                exit 1   what a device's owner does not let it do
    └── Interrupted                    exit 130 Ctrl-C; what was finished is kept

A message says what happened (with the value), why, and what to do; it fits on one line.
"""

from __future__ import annotations


class FrugalFLError(Exception):
    """Base of every error this project raises on purpose."""

    exit_code = 1


class UsageError(FrugalFLError):
    """What the user typed or configured cannot be used."""

    exit_code = 2


class MissingExtraError(UsageError):
    """An optional part of FrugalFL is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs packages that are not installed: pip install 'frugalfl[{extra}]'"
        )
        self.what, self.extra = what, extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        # An exception is made anew of its message, which is not what this one is made of.
        return type(self), (self.what, self.extra)


class NotAllowedError(FrugalFLError):
    """What a device is asked for, and its owner does not let it do."""


class TaskError(FrugalFLError):
    """The user's task raised, or returned something that cannot be trained on."""

    exit_code = 3


class DivergedError(TaskError):
    """Local training broke down: its loss is not finite."""


class FrameError(FrugalFLError):
    """Bytes that are not a valid frame: truncated, corrupt, or beyond the stated bounds."""

    exit_code = 4


class ProgramError(FrameError):
    """Bytes that are not a valid training program, or a program that does not fit the data."""


class CodecError(FrugalFLError):
    """A codec text that cannot be read, or an array that a codec refuses (NaN, wrong dtype)."""

    exit_code = 5


class FederationError(FrugalFLError):
    """The rounds cannot go on."""

    exit_code = 6


class ExportError(FrugalFLError):
    """The model cannot be pruned, converted, quantized or proven."""

    exit_code = 7


class OverBudgetError(ExportError):
    """The model, or the smallest one that pruning can make of it, does not fit the device."""


class RunError(FrugalFLError):
    """A run directory or an energy ledger that is missing or cannot be read."""

    exit_code = 8


class Interrupted(FrugalFLError):  # noqa: N818 - not a mistake: the user asked for it
    """The user pressed Ctrl-C; the message says where the finished part is."""

    exit_code = 130
