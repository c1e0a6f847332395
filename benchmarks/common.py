"""What every benchmark takes and writes."""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of ``--quick`` and ``--json FILE``, to which a benchmark may add."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short version, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    return parser


def arguments(description: str | None) -> argparse.Namespace:
    """Read ``--quick`` and ``--json FILE``."""
    return parser_of(description).parse_args()


def finish(options: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Write the figures where ``--json`` said, with what they were measured on."""
    if options.json is None:
        return
    about = {
        "quick": options.quick,
        "host": platform.platform(),
        "python": platform.python_version(),
    }
    options.json.write_text(json.dumps({**about, **figures}, indent=2) + "\n", encoding="utf-8")
