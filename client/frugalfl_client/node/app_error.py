"""Why an app is not run."""

from __future__ import annotations

from frugalfl.errors import FrugalFLError
from frugalfl_client.node import flower


class AppError(FrugalFLError):
    """An app that cannot be had, cannot be loaded, or may not run here.

    Attributes:
        code: Flower's number for it.
    """

    def __init__(self, text: str, code: int = flower.APP_NOT_LOADED) -> None:
        super().__init__(text)
        self.code = code
