"""What the server's rounds know of Flower's insides; the version of flwr is pinned for it.

Names that cost nothing are here; what brings much of Flower along is in a file of its own.
``tests/integration/test_fleet_contract.py`` says what has moved when the version is raised.
"""

from flwr.common.constant import ErrorCode
from flwr.supercore.differential_privacy import KEY_CLIPPING_NORM
from flwr.supercore.run import Run

__all__ = ["KEY_CLIPPING_NORM", "ErrorCode", "Run"]
