"""FrugalFL: federated learning that counts every byte and every joule.

What a task needs is here; what a run needs is in ``frugalfl_server``, ``frugalfl_client`` and
``frugalfl_sim``.
"""

from frugalfl.errors import FrugalFLError

# Type checkers take it for true; the module typing is as large as the rest of what is loaded here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from frugalfl.task import Examples, PublicData, Task

__version__ = "0.1.0"

__all__ = ["Examples", "FrugalFLError", "PublicData", "Task", "__version__"]


def __getattr__(name: str) -> object:
    """Load what a task needs when it is asked for: the energy part runs without numpy."""
    if name not in ("Examples", "PublicData", "Task"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from frugalfl import task

    found: object = getattr(task, name)
    return found
