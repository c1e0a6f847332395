"""FrugalFL: federated learning that counts every byte and every joule.

What a task needs is here; what a run needs is in ``frugalfl_server``, ``frugalfl_client`` and
``frugalfl_sim``.
"""

from frugalfl.errors import FrugalFLError

# Type checkers take it for true; the module typing is as large as the rest of what is loaded here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from frugalfl.task import Examples, PublicData, Task
    from frugalfl_server.run.open_run import Run, open_run
    from frugalfl_sim.door import simulate

__version__ = "0.1.0"

__all__ = [
    "Examples", "FrugalFLError", "PublicData", "Run", "Task", "__version__", "open_run", "simulate",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Load what a task needs when it is asked for: the energy part runs without numpy.

    What a component brings is found as the command line finds its verbs: nothing here imports one.
    """
    if name in ("Examples", "PublicData", "Task"):
        from frugalfl import task

        found: object = getattr(task, name)
        return found
    if name in ("Run", "open_run", "simulate"):
        from frugalfl.components import load_from_component

        return load_from_component(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
