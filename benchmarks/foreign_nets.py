"""Six nets of other people through a federation to int8, or refused before its first round.

python benchmarks/foreign_nets.py                        # all six, about 15 minutes on 2 cores
python benchmarks/foreign_nets.py --only tcn --only resnet8
python benchmarks/foreign_nets.py --quick --json nets.json  # one round each: do they go through?

Each is pruned by half, recovered, calibrated by its clients and exported with the settings that
FrugalFL has by default; the float form is the pruned model in PyTorch, on the same test rows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from common import finish, parser_of

APP = Path(__file__).with_suffix("")
NETS = ("ds_cnn", "resnet8", "mobilenet_v1", "mobilenet_v2", "tcn", "transformer")
QUICK = ("rounds=1", "recover-rounds=1", "local-epochs=1")
#: Accuracy (points) or signal-to-noise ratio that int8 may cost.
MOST_LOST = 1.0


@dataclass(frozen=True)
class Outcome:
    """What became of one net.

    Attributes:
        net: Its name.
        parameters: Of the exported model; None if there is none.
        accuracy: Of its float form, as a share.
        accuracy_int8: Run in TFLite-Micro, or in LiteRT's reference kernels.
        sqnr_db: Signal-to-noise ratio of the int8 outputs (dB).
        file_bytes: Of the microcontroller's file (B).
        arena_bytes: RAM that TFLite-Micro needs on this host (B).
        rounds: That were finished.
        wall_s: From the command to its end (s).
        refused: The error, where there is no model.
    """

    net: str
    parameters: int | None = None
    accuracy: float | None = None
    accuracy_int8: float | None = None
    sqnr_db: float | None = None
    file_bytes: int | None = None
    arena_bytes: int | None = None
    rounds: int = 0
    wall_s: float = 0.0
    refused: str | None = None

    @property
    def lost(self) -> float | None:
        """Points of accuracy that int8 costs; below 0, it gains."""
        if self.accuracy is None or self.accuracy_int8 is None:
            return None
        return 100 * (self.accuracy - self.accuracy_int8)

    @property
    def holds(self) -> bool:
        """Whether int8 is as good as float, or nobody trained for nothing."""
        if self.refused is not None:
            return self.rounds == 0
        return self.lost is not None and self.lost <= MOST_LOST


def through_a_federation(net: str, changes: tuple[str, ...], folder: Path) -> Outcome:
    """Run ``frugalfl simulate`` on one net, as a user would."""
    command = ["-c", "from frugalfl.cli import main; main()", "simulate", str(APP)]
    words = [*command, f"task={net}:task", *changes, "--runs", str(folder / net)]
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    wall_s = time.monotonic() - started
    run = next((folder / net).glob("[0-9]*"))
    rounds = json.loads((run / "summary.json").read_text(encoding="utf-8"))["rounds"]
    if done.returncode:
        return Outcome(net, rounds=rounds, wall_s=wall_s, refused=done.stderr.splitlines()[-1])
    export = json.loads((run / "model" / "export.json").read_text(encoding="utf-8"))
    proof = export["verification"]
    scores = proof["accuracy"]
    micro = scores["tflite_micro_int8"]
    return Outcome(
        net, export["parameters"], scores["pytorch"],
        scores["litert_int8_reference"] if micro is None else micro, proof["sqnr_db"],
        export["int8_bytes"], export["arena_bytes"], rounds, wall_s,
    )  # fmt: skip


def row_of(one: Outcome) -> str:
    """One line of the table in ``docs/export.md``."""
    if one.refused is not None:
        return f"| {one.net} | refused after {one.rounds} rounds: {one.refused} | | | | | |"
    arena = "–" if one.arena_bytes is None else f"{one.arena_bytes:,}"
    return (
        f"| {one.net} | {one.parameters:,} | {one.accuracy:.1%} | {one.accuracy_int8:.1%} | "
        f"{one.sqnr_db:.1f} | {one.file_bytes:,} | {arena} |"
    )


def wanted() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--only", action="append", choices=NETS, help="this net; repeatable")
    return parser.parse_args()


def main() -> int:
    options = wanted()
    print("| net | parameters | float | int8 | SNR (dB) | file (B) | arena (B) |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for net in options.only or NETS:
            one = through_a_federation(net, QUICK if options.quick else (), Path(folder))
            outcomes.append(one)
            print(row_of(one), flush=True)
    finish(options, {"nets": [asdict(one) for one in outcomes]})
    failed = [one.net for one in outcomes if not one.holds]
    if failed:
        print(f"int8 costs more than {MOST_LOST:g} point: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed and not options.quick else 0


if __name__ == "__main__":
    sys.exit(main())
