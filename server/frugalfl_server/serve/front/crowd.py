"""Who is connected: strangers make room for each other, and never push a node out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from frugalfl_server.serve.front.limits import FrontLimits
from frugalfl_server.serve.front.refused import RequestRefusedError

_K = TypeVar("_K", bytes, str)


@dataclass(eq=False)
class Guest:
    """One connection.

    Attributes:
        address: Where it comes from.
        leave: Ends it at once.
        key: Public key of its node; empty: a stranger.
        idle: Between two requests.
    """

    address: str
    leave: Callable[[], object] = lambda: None
    key: bytes = b""
    idle: bool = False


class Crowd:
    """All connections, each group in the order in which they came.

    Who comes last is let in, and the oldest stranger goes: whoever opens connections and says
    nothing on them takes the place of his own earlier ones only.
    """

    def __init__(
        self, limits: FrontLimits, told: Callable[[str, RequestRefusedError], None]
    ) -> None:
        """Begin with nobody; ``told`` is given an address and why its connection had to go."""
        self._limits, self._told = limits, told
        self._all: dict[Guest, None] = {}
        self._strangers: dict[Guest, None] = {}
        self._of_address: defaultdict[str, dict[Guest, None]] = defaultdict(dict)
        self._of_key: defaultdict[bytes, dict[Guest, None]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, guest: Guest) -> None:
        """Let a stranger in; another one may have to go for it.

        Raises:
            RefusedError: There are too many connections, and all of them are at work.
        """
        here = self._of_address[guest.address]
        if len(here) >= self._limits.per_address:
            self._drop(next(iter(here)), "too many at once that show no key (--per-address)")
        elif len(self._strangers) >= self._limits.strangers:
            self._drop(next(iter(self._strangers)), "too many in all that show no key")
        if len(self._all) >= self._limits.connections:
            self._make_room()
        self._all[guest] = self._strangers[guest] = None
        self._of_address[guest.address][guest] = None  # it may be a new dict by now

    def name(self, guest: Guest, key: bytes) -> None:
        """Note that a connection is a node's; another one of the same node may have to go."""
        if guest.key == key or guest not in self._all:
            return
        self.leave(guest)
        mine = self._of_key[key]
        if len(mine) >= self._limits.per_key:
            self._drop(next(iter(mine)), "too many at once with one key")
        guest.key = key
        self._all[guest] = self._of_key[key][guest] = None

    def leave(self, guest: Guest) -> None:
        """Forget a connection that ends."""
        self._all.pop(guest, None)
        self._strangers.pop(guest, None)
        _remove(self._of_address, guest.address, guest)
        _remove(self._of_key, guest.key, guest)

    def not_of(self, keys: frozenset[bytes]) -> Iterator[Guest]:
        """Yield the connections of nodes with other keys than these."""
        for key in [key for key in self._of_key if key not in keys]:
            yield from list(self._of_key[key])

    def _make_room(self) -> None:
        going = next(iter(self._strangers), None) or next(
            (guest for guest in self._all if guest.idle), None
        )
        if going is None:
            raise RequestRefusedError("connection", "there are too many, and all are at work")
        if going.key:  # it asked nothing just now, and will connect again: nobody was refused
            self.leave(going)
            going.leave()
        else:
            self._drop(going, "too many in all")

    def _drop(self, guest: Guest, why: str) -> None:
        self._told(guest.address, RequestRefusedError("connection", why))
        self.leave(guest)
        guest.leave()


def _remove(groups: dict[_K, dict[Guest, None]], name: _K, guest: Guest) -> None:
    group = groups.get(name)
    if group is not None:
        group.pop(guest, None)
        if not group:
            del groups[name]
