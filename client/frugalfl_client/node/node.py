"""One node's life, top to bottom: connect, ask, train, answer; begin again when a line breaks."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flwr.app import Error, Message

from frugalfl import wire
from frugalfl.errors import FederationError, FrameError
from frugalfl.fold_message import fold, unfold
from frugalfl_client.node import flower
from frugalfl_client.node.answering import answer, failed, why
from frugalfl_client.node.apart import CAN_FORK, answer_apart, give_back_memory
from frugalfl_client.node.app_error import AppError
from frugalfl_client.node.apps import Apps
from frugalfl_client.node.channel import RefusedError, UnreachableError
from frugalfl_client.node.flower import Fleet, Incoming, RunOverError, UnknownNodeError
from frugalfl_client.node.heart import Heart
from frugalfl_client.node.outbox import Outbox
from frugalfl_client.node.pace import Pace, back_off
from frugalfl_client.node.runs import Runs

#: Newest questions that are known to be answered.
_KEPT_ANSWERS = 64
#: Longest wait between two attempts to connect (s), and while the line is not gone for long: in a
#: run a SuperLink gives a node up a minute after its last heartbeat, and its answer with it, so a
#: node whose line was cut for half of that must not lose the other half.
_LONGEST_BACK_OFF_S, _LONGEST_AT_FIRST_S = 60.0, 5.0
#: Until then the line is not gone for long (s).
_AT_FIRST_S = 120.0


class NotAdmittedError(UnreachableError):
    """The SuperLink does not take this node's key, yet or any more."""


class Stopped(BaseException):
    """The node was asked to stop while the app was at work."""


class Node:
    """A device's part in the federations of one SuperLink.

    Its many methods are the states of one life, each of which may be left by an error at any time:
    they share what is known of the line and of the message at work.
    """

    def __init__(
        self, fleet: Fleet, apps: Apps, outbox: Outbox, heart: Heart, pace: Pace,
        config: dict[str, Any], say: Callable[[str], None], *, known_as: int, registers: bool,
        remember: Callable[[int], None],
    ) -> None:  # fmt: skip
        """Put the parts together.

        Args:
            fleet: The calls to the SuperLink.
            apps: Where apps come from.
            outbox: Answers that are not delivered yet.
            heart: Heartbeats.
            pace: When to ask for work.
            config: Flower's node config.
            say: Takes one line for the person who looks on.
            known_as: Id that the SuperLink gave this key before; 0: none.
            registers: The key is the node's own, which it registers and in the end unregisters.
            remember: Keeps the id for the next start.
        """
        self._fleet, self._outbox, self._heart = fleet, outbox, heart
        self._pace, self._say, self._remember = pace, say, remember
        self._id, self._registers = known_as, registers
        self._online = False
        self._ever_online = False
        self._lost_at: float | None = None
        self._claimed: Incoming | None = None
        self._fetched: Message | None = None
        self._runs = Runs(fleet, apps, config, say)
        #: The newest questions that were answered: run, digest.
        self._answered: deque[tuple[int, bytes]] = deque(maxlen=_KEPT_ANSWERS)
        self._stop = threading.Event()
        self._at_work = False
        #: The SuperLink knows that this node is gone.
        self.signed_off = False

    def stop(self) -> None:
        """End soon: the app's work is given up, its server told so. Safe in a signal handler.

        Raises:
            Stopped: In the thread that runs the app, which is the one that handles signals.
            KeyboardInterrupt: It was asked to stop before, and has not ended yet.
        """
        if self._stop.is_set():
            raise KeyboardInterrupt
        self._stop.set()
        if self._at_work:
            raise Stopped

    def run(self) -> None:
        """Serve until :meth:`stop`.

        A key that the SuperLink does not know is no reason to end: its operator may be about to
        register it, and nobody may be there to start this node again.

        Raises:
            RefusedError: From the start it cannot be connected to, until a person changes something
                on this device.
        """
        attempt = 0
        try:
            while not self._stop.is_set():
                try:
                    if not self._online:
                        self._connect()
                        attempt = 0
                    self._serve_once()
                    attempt = 0
                except (UnreachableError, RefusedError) as error:
                    if isinstance(error, RefusedError) and not self._ever_online:
                        raise
                    attempt += 1
                    self._lost(error)
                    self._stop.wait(back_off(attempt, self._longest_back_off()))
        finally:
            self._leave()

    def _connect(self) -> None:
        """Come online, as the node that this key was before where the SuperLink remembers it."""
        interval = self._heart.interval(self._pace.silence(time.monotonic()))
        if self._registers:
            try:
                self._fleet.register()
            except RefusedError as error:
                if error.code == flower.REGISTERED_ONLY:
                    raise RefusedError(_UNREGISTERED) from error
                if error.code != flower.KEY_IN_USE:
                    raise
        try:
            node = self._fleet.activate(interval)
        except RefusedError as error:
            if error.code != flower.NOT_ACTIVATED:
                raise
            node = self._still_online(interval)
            if not node:
                raise NotAdmittedError(_NOT_ACTIVATED) from error
        self._heart.announced(interval)
        if node != self._id:
            with suppress(OSError):  # only after a crash would it be of use
                self._remember(node)
        self._id, self._online = node, True
        if self._lost_at is not None:
            away = time.monotonic() - self._lost_at
            self._say(f"connected again after {away:.0f} s, as node {node}")
            self._pace.connected_again(time.monotonic())
        elif not self._ever_online:
            self._say(f"connected as node {node}")
        self._ever_online, self._lost_at = True, None

    def _still_online(self, interval: float) -> int:
        """Return the id of a node that the SuperLink holds for online already: this one, before."""
        try:
            return self._id if self._id and self._fleet.heartbeat(self._id, interval) else 0
        except UnknownNodeError:
            return 0

    def _serve_once(self) -> None:
        """Deliver what waits; ask for one message and answer it, or wait."""
        if self._heart.due():
            self._beat()
        while self._outbox:
            self._deliver()
        self._claimed = self._claimed or self._fleet.pull(self._id)
        if self._claimed is None:
            self._rest(self._pace.wait(time.monotonic()))
            return
        about, sent = self._claimed.message.metadata, self._claimed.sent
        number = int(about.group_id) if about.group_id.isdecimal() else None
        self._pace.message(time.monotonic(), about.run_id, sent, number)
        self._handle(self._claimed)
        self._claimed = self._fetched = None
        self._pace.answered(time.monotonic(), self._fleet.clock)
        self._rest(self._pace.first_wait())

    def _rest(self, seconds: float) -> None:
        """Let time pass, and stay online."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stop.is_set():
            if not self._heart.left():
                self._beat()
            self._stop.wait(min(left, self._heart.left()))

    def _beat(self) -> None:
        if not self._heart.beat(self._id, self._pace.silence(time.monotonic())):
            raise UnknownNodeError("the SuperLink does not know this node any more", None)

    def _handle(self, incoming: Incoming) -> None:
        """Fetch one message, let the app work on it, and send the answer."""
        about = incoming.message.metadata
        what = f"run {about.run_id}" + (f", round {about.group_id}" if about.group_id else "")
        if incoming.expires < time.time():
            self._say(f"{what}: a {about.message_type} message is past its time; dropped")
            return
        with self._heart.beating(self._id):
            self._in_case(incoming)
            try:
                # A line that breaks after this must not cost the message: nobody sends it again.
                message = self._fetched = self._fetched or self._fleet.fetch(self._id, incoming)
                with suppress(FrameError):  # the app says what is wrong with it
                    message.content = unfold(message.content)
                started = time.monotonic()
                asked = about.run_id, wire.question_of(message.content)
                if asked in self._answered and wire.is_asked_again(message.content):
                    # It need not spend joules on it twice.
                    reply = failed(message, "it has answered this before")
                else:
                    reply = self._answer(message, what)
                    if reply.has_content():
                        self._answered.append(asked)
            except (RunOverError, RefusedError) as error:
                self._say(f"{what}: {error}; dropped")
                self._outbox.forget(incoming.message.metadata.message_id)
                return
            seconds = time.monotonic() - started
            if reply.has_content() and wire.is_ours(message.content):
                reply.content = fold(reply.content)
            carried = wire.offers_carrying(message.content)
            parcel = flower.pack(reply, self._id, seconds, carried=carried)
            self._claimed = self._fetched = None  # a line that breaks now costs no second training
            try:
                self._outbox.put(parcel)
            except OSError as error:
                self._say(f"{what}: the answer cannot be kept on disk: {error.strerror}")
        verb = _DONE.get(about.message_type, f"{about.message_type} done")
        if reply.has_error():
            self._say(f"{what}: {about.message_type} failed: {reply.error.reason}")
        self._deliver(f"{what}: {verb} in {seconds:.2f} s, " if reply.has_content() else "")
        if parcel.objects:  # of an exchange without any, the server clears away what is left
            with suppress(RunOverError):  # after the answer, which the server waits for
                self._fleet.confirm(self._id, incoming)
        give_back_memory()

    def _in_case(self, incoming: Incoming) -> None:
        """Leave an answer on disk for the case that this process is killed while it works."""
        flower.identify(incoming.message.metadata.run_id, self._id)
        error = Error(flower.APP_CRASHED, "the node was killed while it worked, and is back")
        with suppress(OSError):
            last_word = Message(error, reply_to=incoming.message)
            self._outbox.put_in_case(flower.pack(last_word, self._id, 0.0))

    def _answer(self, message: Message, what: str) -> Message:
        """Run the app on a message; whatever goes wrong there is an answer too.

        Raises:
            RunOverError: The run ended before its app was here.
            UnreachableError: The line broke before that.
        """
        run_id = message.metadata.run_id
        try:
            self._at_work = True
            if self._stop.is_set():
                raise Stopped
            context, app = self._runs.of(self._id, run_id, what)
            self._say(f"{what}: {message.metadata.message_type} begins")
            if app.is_ours or not CAN_FORK:
                return answer(app.client, message, context, self._say)
            return answer_apart(app.client, message, context, self._say, self._heart.still)
        except (RunOverError, UnreachableError):
            raise
        except AppError as error:
            return failed(message, str(error), error.code)
        except Stopped:
            return failed(message, "the device was stopped while it worked")
        except Exception as error:
            return failed(message, why(error))
        finally:
            self._at_work = False

    def _deliver(self, done: str = "") -> None:
        """Send the first answer of the outbox, or give up where nobody waits for it."""
        parcel = self._outbox.first()
        if parcel is None:
            return
        if parcel.node != self._id:
            self._say(f"an answer of node {parcel.node}, which this is not any more; dropped")
        elif parcel.expires < time.time():
            self._say(f"{done}run {parcel.run}: the answer is past its time; dropped")
        else:
            try:
                taken = self._fleet.push(parcel)
            except RunOverError:
                self._say(f"{done}run {parcel.run} has ended; the answer is dropped")
            except RefusedError as error:
                if not error.code:
                    raise
                self._say(f"{done}{error}; the answer is dropped")
            else:
                self._say(f"{done}answer of {parcel.size} B {'sent' if taken else 'not wanted'}")
        self._outbox.drop()

    def _lost(self, error: FederationError) -> None:
        """Say once what is wrong, until the node is connected again."""
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            ahead = error.ahead if isinstance(error, UnknownNodeError) else None
            self._say(f"{_clock(ahead) if ahead is not None else error}; trying again")
        self._online = False

    def _longest_back_off(self) -> float:
        """Return the longest wait before the next attempt to connect (s)."""
        away = time.monotonic() - (self._lost_at or 0.0)
        return _LONGEST_AT_FIRST_S if away < _AT_FIRST_S else _LONGEST_BACK_OFF_S

    def _leave(self) -> None:
        """Say goodbye, so that no server waits for this node."""
        if not self._online or sys.exc_info()[0] is KeyboardInterrupt:
            return
        with suppress(FederationError, RunOverError):
            while self._outbox:
                self._deliver()
        with suppress(FederationError, RunOverError):
            self._fleet.leave(self._id, unregister=self._registers)
            self.signed_off = True
            self._say("signed off")


_DONE = {wire.TRAIN: "trained", "evaluate": "evaluated", wire.CALIBRATE: "calibrated"}
_UNREGISTERED = (
    "this SuperLink takes registered nodes only: make a key with ssh-keygen -t ecdsa -b 384 -N '' "
    "-f KEY, have its operator run flwr supernode register KEY.pub, and start with "
    "--auth-supernode-private-key KEY"
)
_NOT_ACTIVATED = (
    "the SuperLink does not take this key: either it is not registered there (its operator puts "
    "KEY.pub into the folder of frugalfl serve --nodes, or runs flwr supernode register KEY.pub), "
    "or another node with the same key is online"
)


def _clock(ahead: float) -> str:
    """Say how wrong this device's clock is."""
    minutes, seconds = divmod(round(abs(ahead)), 60)
    return (
        f"this device's clock is {minutes} min {seconds} s {'ahead of' if ahead > 0 else 'behind'} "
        "the SuperLink's, which refuses its signatures (allowed: 5 s ahead to 5 min behind): set "
        "it, e.g. timedatectl set-ntp true"
    )
