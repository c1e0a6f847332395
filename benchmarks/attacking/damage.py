"""Disks that fail and strangers that fuzz: every decoder, and every file of a run, damaged.

Refused is: one line that names what is wrong, a fitting exit code, no traceback, no hang, no file
that was changed; or the very same result as without the damage.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fuzzing import every_decoder, throw

from attacking.outcome import Outcome
from attacking.run_files import Said, Verbs, damaged_copy, damages, files_of

_DIGITS = Path(__file__).parents[2] / "simulations" / "digits"
_SMALL = ("clients=3", "clients-per-round=2", "rounds=2", "local-epochs=1", "prune=0.0")
_TABLES = ("run.json", "*.parquet")
_SEED, _INPUTS, _QUICK_INPUTS = 15, 20_000, 3_000
#: What each verb reads of a run, and how it is called; ``RUN`` is the run.
VERBS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "report": (
        (*_TABLES, "summary.json", "checkpoints/model.*", "model/export.json"),
        ("report", "RUN", "--json"),
    ),
    "energy": (("energy.parquet", "summary.json"), ("energy", "RUN", "--json")),
    "energy verify": (
        ("run.json", "energy.parquet", "heads.parquet", "devices/client-0/ledger.sqlite"),
        ("energy", "verify", "RUN"),
    ),
    "serve --resume": (
        (*_TABLES, "summary.json"),
        ("serve", "--resume", "RUN", "--insecure", "--superlink", "127.0.0.1:9"),
    ),
    "start-from": (
        ("run.json", "checkpoints/model.npz"),
        ("simulate", str(_DIGITS), *_SMALL, "start-from=RUN", "rounds=0"),
    ),
    "export": (
        (*_TABLES, "summary.json", "checkpoints/model.npz", "checkpoints/ranges.json"),
        ("export", "RUN", "--json"),
    ),
    "simulate --resume": (
        (*_TABLES, "checkpoints/resume.npz", "attempts.json", "lock", "progress.log"),
        ("simulate", "--resume", "RUN", "--json"),
    ),
}  # fmt: skip
#: These begin long work where the damage does not stop them, so few of them are tried at once.
_SLOW = ("export", "simulate --resume", "start-from")


def attacks(folder: Path, quick: bool) -> Iterator[Outcome]:
    """Fuzz every decoder, then damage every file that a verb reads."""
    yield _fuzzed(_QUICK_INPUTS if quick else _INPUTS)
    finished, stopped = runs(folder)
    for verb in VERBS:
        yield damaged(folder, verb, stopped if "resume" in verb else finished, quick)


def _fuzzed(inputs: int) -> Outcome:
    count, refused, faults = 0, 0, []
    for decoder, share in every_decoder(inputs):
        thrown = throw(decoder, share, _SEED)
        count, refused = count + share, refused + thrown.refused
        faults += thrown.faults.values()
    line = (
        faults[0] if faults else f"{refused:,} refused in one line each, {count - refused:,} read"
    )
    return Outcome(f"{count:,} damaged inputs over all decoders", not faults, line)


def runs(folder: Path) -> tuple[Path, Path]:
    """Return a finished run, and one that was killed before its export."""
    made = []
    for name, kill in (("finished", ""), ("stopped", "calibrate:")):
        place = folder / name
        place.mkdir()
        app = place / "app"
        shutil.copytree(_DIGITS, app, ignore=shutil.ignore_patterns("__pycache__", "runs"))
        command = [Path(sys.executable).with_name("frugalfl"), "simulate", app, *_SMALL]
        with subprocess.Popen(
            [str(word) for word in command], cwd=place, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as process:  # fmt: skip
            assert process.stderr is not None
            for line in process.stderr:
                if kill and kill in line:
                    process.kill()
        made.append((place / "runs" / "latest").resolve(strict=True))
    return made[0], made[1]


def damaged(folder: Path, verb: str, run: Path, quick: bool, seed: int = _SEED) -> Outcome:
    """Damage each file that a verb reads, in each way, and call the verb."""
    verbs, rng = Verbs(), random.Random(f"{seed} {verb}")
    patterns, _ = VERBS[verb]
    cases = [
        (name, kind, damage)
        for name in files_of(run, patterns)
        for kind, damage in damages(run / name, rng).items()
    ]
    few = (3 if quick else 12) if verb in _SLOW else (10 if quick else len(cases))
    if few < len(cases):
        cases = rng.sample(cases, few)
    good = call(verbs, verb, run) if "--json" in VERBS[verb][1] and verb not in _SLOW else None
    wrong, lines = [], []
    for number, (name, kind, damage) in enumerate(cases):
        place = folder / f"{verb}-{number}".replace(" ", "-")
        said = call(verbs, verb, damaged_copy(run, name, damage, place))
        shutil.rmtree(place)
        if said.is_one_line:
            lines.append(said.line)
        elif said.code != 0 or (good is not None and said.out != good.out):
            wrong.append(f"{name}, {kind}: {said.line}")
    shown = wrong or lines or [f"the same as of a sound run, {len(cases)} times"]
    line = f"{len(cases)} tried; {shown[0]}"
    return Outcome(f"{verb}: damaged files of a run", not wrong, line)


def call(verbs: Verbs, verb: str, run: Path) -> Said:
    """Call a verb for a run, from the folder above."""
    words = [word.replace("RUN", str(run)) for word in VERBS[verb][1]]
    return verbs.call(run.parents[1], *words)
