"""FrugalFL: federated learning that counts every byte and every joule.

What a task needs is here; what a run needs is in ``frugalfl_server``, ``frugalfl_client`` and
``frugalfl_sim``.
"""

from frugalfl.errors import FrugalFLError
from frugalfl.task import Examples, PublicData, Task

__version__ = "0.1.0"

__all__ = ["Examples", "FrugalFLError", "PublicData", "Task", "__version__"]
