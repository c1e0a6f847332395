"""The devices of a simulation on its clock: who is there, how long each takes, who drops out.

What is simulated is what SuperLink tells a server. A node that goes away is noticed by its missing
heartbeats, and its message is answered by an error in its place; so is a message that has expired.
So every message of a world is answered, and nobody waits for ever.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from flwr.app import Error, Message, RecordDict
from flwr.app.constants import DEFAULT_TTL
from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL, HEARTBEAT_PATIENCE, ErrorCode

from frugalfl_sim.world.device import DAY_H, HOUR_S, SimulatedDevice
from frugalfl_sim.world.round_of import round_of
from frugalfl_sim.world.work import Work

#: How long it takes until SuperLink misses a node (s): so many heartbeats.
_NOTICED_S = float(HEARTBEAT_DEFAULT_INTERVAL * HEARTBEAT_PATIENCE)

#: An answer, or an error in its place, and when the server sees it (s).
Answered = tuple[float, Message]


class World:
    """All devices of a run; a device does one thing at a time."""

    def __init__(
        self,
        devices: Sequence[SimulatedDevice],
        work: Work,
        wanted: int,
        *,
        seed: int = 0,
        begins_h: int = 0,
    ) -> None:
        """Begin with the clock at 0.

        Args:
            devices: By the clients' numbers.
            work: How many operations an answer takes.
            wanted: Clients of a round: with fewer there, the clock goes on until there are more.
            seed: Decides who drops out.
            begins_h: Hour of the day at which the clock begins.
        """
        self._devices = devices
        self._work = work
        self._wanted = wanted
        self._seed = seed
        self._midnight_s = begins_h * HOUR_S
        self._free_s: dict[int, float] = {}

    @property
    def most_there(self) -> int:
        """How many devices are there at the best hour of the day."""
        return max(sum(h in device.hours for device in self._devices) for h in range(DAY_H))

    def is_there(self, number: int, now_s: float) -> bool:
        """Say whether a client can be asked now."""
        return self._devices[number].is_there(self._midnight_s + now_s)

    def await_some(self, now_s: float) -> tuple[float, list[int]]:
        """Return when enough clients for a round are there, now or later (s), and which.

        Where there never are, whoever is there now: to be known before (:attr:`most_there`).
        """
        day_s = self._midnight_s + now_s
        hours = (math.floor(day_s / HOUR_S) + later for later in range(1, DAY_H + 1))
        for when_s in (now_s, *(hour * HOUR_S - self._midnight_s for hour in hours)):
            there = [n for n in range(len(self._devices)) if self.is_there(n, when_s)]
            if len(there) >= self._wanted:
                return when_s, there
        return now_s, [n for n in range(len(self._devices)) if self.is_there(n, now_s)]

    def clock_text(self, now_s: float) -> str:
        """Return the time of day.

        >>> World([], Work(0, 1), 1, begins_h=18).clock_text(5400.0)
        '19:30'
        """
        minutes = int((self._midnight_s + now_s) // 60)
        return f"{minutes // 60 % DAY_H:02d}:{minutes % 60:02d}"

    def lost(self, number: int, message: Message, now_s: float) -> Answered | None:
        """Return what stands for the answer of a client that never works on it; ``None``: it does.

        Args:
            number: The client's.
            message: What it is asked.
            now_s: When (s).
        """
        device, expires_s = self._devices[number], now_s + _lives_s(message)
        if not self.is_there(number, now_s):
            return now_s, _gone(message)
        start_s = max(now_s, self._free_s.get(number, 0.0))
        if start_s >= expires_s:
            return expires_s, _expired(message)
        if self._drops_out(number, message):
            gone_s = start_s + device.receiving_s(array_bytes(message.content))
            return _first((gone_s + _NOTICED_S, _gone(message)), (expires_s, _expired(message)))
        return None

    def answered(self, number: int, message: Message, reply: Message, now_s: float) -> Answered:
        """Return a client's answer, or the error in its place, and when it is there (s).

        Args:
            number: The client's.
            message: What it was asked.
            reply: Its answer.
            now_s: When it was asked (s).
        """
        device, expires_s = self._devices[number], now_s + _lives_s(message)
        start_s = max(now_s, self._free_s.get(number, 0.0))
        up = 0 if reply.has_error() else array_bytes(reply.content)
        operations = self._work.operations(message, reply)
        done_s = start_s + device.exchange_s(array_bytes(message.content), operations, up)
        leaves_s = start_s + device.stays_s(self._midnight_s + start_s)
        self._free_s[number] = min(done_s, leaves_s)
        if leaves_s < done_s:
            return _first((leaves_s + _NOTICED_S, _gone(message)), (expires_s, _expired(message)))
        return (done_s, reply) if done_s <= expires_s else (expires_s, _expired(message))

    def _drops_out(self, number: int, message: Message) -> bool:
        """Decide by what is asked, and not by how often was asked: a resumed run goes on alike."""
        about = message.metadata
        asked = f"{self._seed} {number} {about.message_type} {round_of(message)}"
        chance = random.Random(asked).random()  # noqa: S311 (no secret)
        return chance < self._devices[number].dropout


def array_bytes(content: RecordDict) -> int:
    """Return the length of a message's arrays (B), which is what a run counts."""
    records = content.array_records.values()
    return sum(len(array.data) for record in records for array in record.values())


def _lives_s(message: Message) -> float:
    """Return how long a message lives (s); Flower's own figure says that nobody set one."""
    ttl = message.metadata.ttl
    return math.inf if ttl == DEFAULT_TTL else ttl


def _first(one: Answered, other: Answered) -> Answered:
    return one if one[0] <= other[0] else other


def _gone(message: Message) -> Message:
    why = "its device dropped out: it went away before it had answered"
    return Message(Error(ErrorCode.NODE_UNAVAILABLE, why), reply_to=message)


def _expired(message: Message) -> Message:
    why = "its device did not answer before the round's deadline"
    return Message(Error(ErrorCode.MESSAGE_UNAVAILABLE, why), reply_to=message)
