"""What the server's modules log, as lines."""

import logging


class Lines(logging.Handler):
    """Collects warnings, or all lines, of the server while a ``with`` block lasts."""

    def __init__(self, level=logging.WARNING):
        super().__init__(level)
        self.lines = []
        self._logger = logging.getLogger("frugalfl_server")

    def emit(self, record):
        self.lines.append(record.getMessage())

    def __enter__(self):
        self._logger.addHandler(self)
        self._before = self._logger.level
        self._logger.setLevel(logging.INFO)
        return self.lines

    def __exit__(self, *_):
        self._logger.removeHandler(self)
        self._logger.setLevel(self._before)
