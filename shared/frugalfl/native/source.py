"""Which C files a compiled core is of.

`shared/core/build.py` compiles the number in; in a checkout `library.py` compares it, so that a
library older than its source is never used. An installed package has no C files to compare with.
"""

from __future__ import annotations

import zlib
from pathlib import Path


def fingerprint(folder: Path) -> int:
    """Return CRC-32 over the C files and headers of a folder, in order of their names."""
    crc = 0
    for path in sorted(folder.glob("*.[ch]")):
        crc = zlib.crc32(path.name.encode() + path.read_bytes(), crc)
    return crc
