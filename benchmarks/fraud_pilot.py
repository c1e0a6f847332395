"""Card fraud over the branches of a bank: what `make fraud` does.

python benchmarks/fraud_pilot.py [--quick] [--json FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "simulations" / "fraud"))

from pilot import main

if __name__ == "__main__":
    sys.exit(main())
