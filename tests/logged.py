"""What the server's modules say while a test runs, without a run that shows it."""

import logging
from contextlib import contextmanager


class Lines(logging.Handler):
    """Lines about what happens, and warnings, apart."""

    def __init__(self):
        super().__init__()
        self.lines, self.warnings = [], []

    def emit(self, record):
        kept = self.warnings if record.levelno >= logging.WARNING else self.lines
        kept.append(record.getMessage())


@contextmanager
def logged():
    """Collect them."""
    logger, found = logging.getLogger("frugalfl_server"), Lines()
    level = logger.level
    logger.addHandler(found)
    logger.setLevel(logging.INFO)
    try:
        yield found
    finally:
        logger.setLevel(level)
        logger.removeHandler(found)
