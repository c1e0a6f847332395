"""What an attacker gets, on the network, on the server and on a device: nothing, and one line.

    python benchmarks/attacks.py [--quick] [--json FILE] [--only SUBJECT]

Every attack is tried with real processes on loopback, or on the real parser with real bytes. A row
says whether it was refused, what the operator reads, and whether the run of the honest went on. The
program ends with 1 if one attack was not refused. --quick: smaller numbers of connections and
inputs, the same attacks.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from attacking import SUBJECTS, Outcome
from common import finish, parser_of

_WENT_ON = {True: "goes on", False: "RUN ENDED", None: ""}


def main() -> None:
    """Run the subjects, print a row as soon as it is known, and write the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", choices=SUBJECTS, help="one subject of attacks")
    options = parser.parse_args()
    rows: dict[str, Outcome] = {}
    for subject in [options.only] if options.only else SUBJECTS:
        print(f"\n{subject}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            attacks = import_module(f"attacking.{subject}").attacks
            for outcome in attacks(Path(folder), options.quick):
                rows[outcome.attack] = outcome
                print(_row(outcome), flush=True)
    held = sum(_held(one) for one in rows.values())
    print(f"\n{held} of {len(rows)} attacks refused, and the run went on")
    about = {name: {k: v for k, v in asdict(one).items() if k != "attack"}
             for name, one in rows.items()}  # fmt: skip
    finish(options, {"attacks": about})
    sys.exit(held < len(rows))


def _held(outcome: Outcome) -> bool:
    return outcome.refused and outcome.run_went_on is not False


def _row(one: Outcome) -> str:
    refused = "refused" if one.refused else "GOT THROUGH"
    return f"  {one.attack:<58} {refused:<12} {_WENT_ON[one.run_went_on]:<10} {one.line}"


if __name__ == "__main__":
    main()
