"""What travels with a model beside its numbers: class names, units, window, scaling.

In a .tflite file it is one entry of the schema's ``metadata``, a name and a buffer, which every
interpreter skips. Writer and reader agree here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from frugalfl.errors import UsageError

#: Name of the entry of ``metadata``.
ENTRY = "frugalfl.about"
#: Most bytes of it: a model for a small device is not where a data sheet belongs.
MOST_BYTES = 64 * 1024


def about_as_text(about: Mapping[str, Any]) -> str:
    """Return what a task says about its model as JSON, always the same text for the same values.

    Raises:
        UsageError: It is no mapping, holds what JSON has no form for, or is too long.
    """
    if not isinstance(about, Mapping):
        raise UsageError(f"about is a {type(about).__name__}; give a dict of JSON values")
    try:
        text = json.dumps(dict(about), sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"about holds what JSON has no form for ({error}); give texts, numbers, lists and "
            "dicts of them (an array as .tolist())"
        ) from error
    if len(text.encode()) > MOST_BYTES:
        raise UsageError(f"about takes {len(text.encode()):,} B as JSON, more than {MOST_BYTES:,}")
    return text
