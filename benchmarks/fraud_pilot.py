"""Card fraud over the branches of a bank: what `make fraud` does.

python benchmarks/fraud_pilot.py [--quick] [--json FILE] [OPTION of simulations/fraud/pilot.py ...]
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from common import finish, parser_of

sys.path.insert(0, str(Path(__file__).parents[1] / "simulations" / "fraud"))

from pilot import main as run_pilot


def main() -> int:
    """Run the pilot; its summary becomes the figures."""
    options, others = parser_of(__doc__).parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        quick = ["--quick"] if options.quick else []
        code = run_pilot([*others, *quick, "--json", str(summary)])
        if code == 0:
            finish(options, json.loads(summary.read_text(encoding="utf-8")))
    return code


if __name__ == "__main__":
    sys.exit(main())
