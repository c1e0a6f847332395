"""The best meter that a machine offers for a device profile; never a crash for want of one."""

from __future__ import annotations

from pathlib import Path

from frugalfl.energy import host
from frugalfl.energy.accounts import Account, EstimateAccount, MeterAccount
from frugalfl.energy.meter import Meter
from frugalfl.energy.profiles import DeviceProfile

# Type checkers take it for true; see accounts.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from frugalfl.energy.sources import FoundSources


def choose_meter(profile: DeviceProfile, root: str | Path = "/") -> Meter:
    """Return the meter of a device.

    A profile that speaks of this machine, as ``generic`` always does, has the machine's own meters,
    the best first; without one, and for every profile that a simulated client is given, joules are
    estimated from the profile.

    Args:
        profile: What the device is said to be.
        root: Where ``/sys`` and ``/proc`` are.
    """
    root = Path(root)
    if profile.nj_per_mac is not None:
        return Meter((), microcontroller=profile)
    if not host.is_this_machine(profile, root):
        return Meter([EstimateAccount(profile, here=False)])
    from frugalfl.energy.sources import BESIDE, LADDER, survey

    profile = estimating_profile(profile, root)
    accounts: list[Account] = []
    best = next((finding for finding in survey(root, LADDER) if finding.sources), None)
    if best is None:
        accounts.append(EstimateAccount(profile, here=True))
    else:
        for source in best.sources:
            accounts.append(
                MeterAccount(source, profile.idle_w if source.component == "board" else None)
            )
    for finding in survey(root, BESIDE):
        accounts += [MeterAccount(source) for source in finding.sources]
    metered = any(isinstance(account, MeterAccount) for account in accounts)
    return Meter(accounts, busy=(lambda: host.busy_s(root)) if metered else None)


def estimating_profile(profile: DeviceProfile, root: Path) -> DeviceProfile:
    """Return the profile to estimate from: a recognised board's in place of ``generic``."""
    known = bool(profile.board or profile.architecture)
    return profile if known else host.recognise_board(root) or profile


def explain(profile: DeviceProfile, root: str | Path = "/") -> tuple[list[FoundSources], str]:
    """Return what was found and missed of every kind, and in one line what will be used."""
    from frugalfl.energy.sources import LADDER, survey

    root = Path(root)
    findings = list(survey(root))
    best = next((f for f in findings if f.sources and f.method in LADDER), None)
    if best is not None:
        return findings, f"joules are measured by {best.method} ({best.note})"
    estimate = estimating_profile(profile, root)
    return findings, (
        f"no meter can be read: joules are estimated from processor time and the device profile "
        f"{estimate.name} ({estimate.source}), and are labelled estimated everywhere"
    )
