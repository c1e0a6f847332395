"""Whether two checkouts give the same results: bytes, accuracies and int8 files, bit for bit.

    python benchmarks/same_results.py --against COMMIT

checks COMMIT out into a folder of its own, runs the same federations with the same seeds there and
here, and prints what differs. Use it before and after a change that should change nothing.

Compared are all columns of ``rounds.parquet`` but those of time and energy, every tensor of the
last checkpoint, and the SHA-256 of every model file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from common import finish, parser_of

ROOT = Path(__file__).resolve().parents[1]
#: The folders of a checkout that hold a package.
PACKAGES = "shared", "client", "server", "edge", "simulations"
#: Columns that are measured anew in each run, by the ends of their names.
MEASURED = "_s", "_j"
DOOR = "import sys; from frugalfl.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Case:
    """One federation.

    Attributes:
        app: Its folder, from the root of a checkout.
        settings: Changed from the app's own, ``key=value``.
        quick: Changed on top of them with ``--quick``.
    """

    app: str
    settings: tuple[str, ...]
    quick: tuple[str, ...]


SHORT = "rounds=4", "recover-rounds=2", "clients=8", "clients-per-round=4"
CASES = {
    "digits": Case("simulations/digits", ("rounds=20", "recover-rounds=10"), SHORT),
    "digits, LiteRT clients": Case("simulations/digits", (*SHORT, "trainer=litert"), ()),
    "digits, buffered": Case(
        "simulations/digits", (*SHORT, "asynchronous=buffered(3)", "delays=1 s * 6, 5 s * 2"), ()
    ),
    "cancer": Case("benchmarks/tasks/cancer", ("rounds=20", "recover-rounds=10"), ()),
    "fraud, network": Case("simulations/fraud", ("rounds=3",), ("rounds=1",)),
    "fraud, trees": Case("simulations/fraud", ("rounds=2", "trees=refit(20)"), ("rounds=1",)),
}


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--against", required=True, metavar="COMMIT", help="what to compare with")
    parser.add_argument("--only", choices=CASES, help="one federation")
    options = parser.parse_args()
    rows: dict[str, list[str]] = {}
    with checkout(options.against) as other, tempfile.TemporaryDirectory() as runs:
        write_bank(Path(runs) / "bank")
        for name in [options.only] if options.only else CASES:
            settings = CASES[name].settings + (CASES[name].quick if options.quick else ())
            here, there = (
                results(root, CASES[name].app, settings, Path(runs) / f"{name} {which}")
                for which, root in (("here", ROOT), ("there", other))
            )
            rows[name] = differences(here, there)
            print(f"{name:24} {len(here):4} values  {'; '.join(rows[name]) or 'the same'}")
    finish(options, {"against": options.against, "differences": rows})
    return 1 if any(rows.values()) else 0


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Check a commit out beside this one, and remove it in the end."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "checkout"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(place), commit], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)


def write_bank(folder: Path) -> None:
    """Simulate a small bank, the same files for both checkouts."""
    app = ROOT / "simulations" / "fraud"
    command = [sys.executable, "-m", "fraud.simulator", "--out", str(folder), "--seed", "1"]
    command += ["--customers", "1000", "--terminals", "2000"]
    subprocess.run(command, cwd=app, check=True, stdout=subprocess.DEVNULL)
    shutil.copy(app / "pilot.toml", folder)


def results(root: Path, app: str, settings: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run a federation with the code of a checkout; return what must be the same, by name."""
    folder.mkdir(parents=True)
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(root / package) for package in PACKAGES),
        "FRUGALFL_FRAUD": str(folder.parent / "bank" / "pilot.toml"),
    }
    command = [sys.executable, "-c", DOOR, "simulate", str(app_of(root, app, folder)), *settings]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    latest = folder / "runs" / "latest"
    if not (latest / "rounds.parquet").exists():
        raise SystemExit(f"{root}: {' '.join(command[3:])}\n{done.stderr}")
    # A gate may refuse the model of so few rounds: then that is what has to be the same.
    said = done.stderr.strip().splitlines()[-1] if done.returncode else ""
    return values_of(latest.resolve()) | {"exit": f"{done.returncode} {said}"}


def app_of(root: Path, app: str, folder: Path) -> Path:
    """Return an app's folder; a task without settings of its own runs with those of the digits."""
    if (root / app / "pyproject.toml").exists():
        return root / app
    made = folder / "app"
    shutil.copytree(root / "simulations/digits", made)
    shutil.copy(root / app / "task.py", made)
    return made


def values_of(run: Path) -> dict[str, Any]:
    """Return a run's rounds, tensors and files by name."""
    found: dict[str, Any] = {}
    for number, row in enumerate(pq.read_table(run / "rounds.parquet").to_pylist()):
        found |= {
            f"round {number} {column}": value
            for column, value in row.items()
            if not column.endswith(MEASURED)
        }
    for archive in run.glob("checkpoints/model.npz"):
        with np.load(archive) as tensors:
            found |= {f"tensor {name}": digest(tensors[name].tobytes()) for name in tensors.files}
    for file in (*run.glob("model/*.tflite"), *run.glob("model/trees.*")):
        found[f"file {file.name}"] = digest(file.read_bytes())
    return found


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def differences(here: dict[str, Any], there: dict[str, Any]) -> list[str]:
    """Say what differs: values of both, and how many names only one of them has."""
    both = [name for name in here if name in there]
    unlike = [name for name in both if str(here[name]) != str(there[name])]  # NaN is not NaN
    said = [f"{name}: {there[name]} -> {here[name]}" for name in unlike[:3]]
    if len(unlike) > len(said):
        said.append(f"and {len(unlike) - len(said)} more")
    lost = [name for name in there if name not in here]
    return said + ([f"gone: {', '.join(lost[:3])} ({len(lost)})"] if lost else [])


if __name__ == "__main__":
    sys.exit(main())
