"""What a run's devices keep, whether each has files of its own or all are in two."""

from frugalfl.energy import Ledger, many_ledgers
from frugalfl.energy.many_ledgers import ManyLedgers
from frugalfl_client.store import Store
from frugalfl_sim.engine import many_stores
from frugalfl_sim.engine.many_stores import ManyStores


def ledgers(run):
    """Return the ledgers of a run's devices by number; they stay open as long as they are held."""
    shared = run / "devices" / many_ledgers.FILE
    if shared.is_file():
        many = ManyLedgers(shared)
        return {client: many.of(client) for client in many.clients()}
    paths = (run / "devices").glob("client-*/ledger.sqlite")
    return {_number(path): Ledger(path) for path in paths}


def stores(run):
    """Return the stores of a run's devices by number."""
    shared = run / "devices" / many_stores.FILE
    if shared.is_file():
        many = ManyStores(shared)
        rows = many.rows("SELECT DISTINCT client FROM states")
        return {client: many.of(client) for (client,) in rows}
    paths = (run / "devices").glob("client-*/store.sqlite")
    return {_number(path): Store(path) for path in paths}


def _number(path):
    return int(path.parent.name.removeprefix("client-"))
