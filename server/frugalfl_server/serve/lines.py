"""Lines for a person: the modules of this folder log them, and whoever runs them shows them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _LineHandler(logging.Handler):
    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__()
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        self._show(record.getMessage())


@contextmanager
def show_lines(show: Callable[[str], None]) -> Iterator[None]:
    """Hand what is logged here to a function, line by line; what it raises is not swallowed."""
    logger, handler = logging.getLogger(__package__), _LineHandler(show)
    level, passed_on = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = passed_on
