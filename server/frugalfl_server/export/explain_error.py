"""Another library's exception as one of ours: what could not be done, and why, on one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from textwrap import shorten

from frugalfl.errors import ExportError, FrugalFLError, MissingExtraError

#: Of another library's words; the converter prints whole programs.
MOST_CHARACTERS = 240


@contextlib.contextmanager
def explain_errors(what: str, hint: str = "") -> Iterator[None]:
    """Turn whatever the block raises into an error of this project.

    Args:
        what: What the block is for, as it reads when it failed: ``"X cannot be pruned"``.
        hint: What to do about it.

    Raises:
        MissingExtraError: A package that the block imports is not installed.
        ExportError: Anything else; the first line of the reason is in the message.
    """
    try:
        yield
    except FrugalFLError:
        raise
    except ImportError as error:
        raise MissingExtraError("Export", "server") from error
    except Exception as error:
        reason = shorten(str(error).strip().partition("\n")[0], MOST_CHARACTERS)
        message = f"{what}: {type(error).__name__}: {reason}"
        raise ExportError(f"{message}; {hint}" if hint else message) from error
