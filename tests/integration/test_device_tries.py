"""A device with PyTorch and LiteRT tries a training program once, and goes on with the cheaper."""

import pytest

from frugalfl import wire
from frugalfl.settings import Settings
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_client.store import Store

from .rounds import Rounds, digits

CLIENTS = 2
LONG = {"clients": CLIENTS, "clients_per_round": CLIENTS, "rounds": 500, "prune": 0.0,
        "local_epochs": 1}  # fmt: skip


class Real:
    """A client app on devices that are not simulated; notes who trained, and who would try."""

    def __init__(self):
        self.replies = []

    def __call__(self, message, context):
        context.node_config = {k: v for k, v in context.node_config.items() if k != "seed"}
        reply = client_app(message, context)
        self.replies.append(wire.unpack_reply(reply))
        return reply

    def take(self):
        taken, self.replies = self.replies, []
        return taken


def trials(replies):
    return [record for one in replies for record in one.records if record.phase == "trial"]


@pytest.mark.parametrize("refresh", ["full", "subspace(64)"])
def test_it_is_tried_once_charged_said_and_remembered(tmp_path, refresh):
    settings = Settings.of(**LONG, refresh=refresh)
    with digits():
        client = Real()
        rounds = Rounds(settings, tmp_path, client=client)
        rounds.next()
        assert {(one.trainer, one.tries) for one in client.take()} == {("torch", True)}
        assert rounds.traffic[0].program_bytes == 0

        rounds.next()
        tried = client.take()
        assert rounds.traffic[1].program_bytes > 0
        assert len(trials(tried)) == rounds.updates[1] == CLIENTS
        assert not any(one.tries for one in tried)
        for one in tried:
            assert one.notice.startswith(f"trainer = {one.trainer} (an epoch over ")
            (train,) = [record for record in one.records if record.phase == "train"]
            assert ("torch" in train.software) == (one.trainer == "torch")
            (cost,) = trials([one])
            assert cost.estimated_j > 0

        rounds.next()
        after = client.take()
        assert trials(after) == []
        assert [one.trainer for one in after] == [one.trainer for one in tried]
        assert rounds.updates[2] == CLIENTS
        assert rounds.traffic[2].program_bytes == 0  # who goes on with it has it

        forget_devices()  # a new process, and another run
        again = Rounds(settings, tmp_path, "second", client)
        for _ in range(2):
            again.next()
        before = client.take()
        assert trials(before) == []
        assert {one.notice for one in before[CLIENTS:]} == {
            f"trainer = {one.trainer} (as it was found before)" for one in tried
        }
        for number in range(CLIENTS):
            store = Store(tmp_path / f"client-{number}" / "store.sqlite")
            assert store.trial(again.programs._asked[1000 + number]) == tried[number].trainer


def test_a_device_that_would_try_in_every_round_is_not_sent_the_program_in_every_round(
    tmp_path, monkeypatch
):
    """Nor by a resumed server."""
    monkeypatch.setattr("frugalfl_client.device.Device.settle_on", lambda *_: None)
    with digits():
        client = Real()
        rounds = Rounds(Settings.of(**LONG), tmp_path, client=client)
        for _ in range(3):
            rounds.next()
        kept = rounds.programs.state()
        rounds.programs._offered.clear()
        rounds.programs.restore(kept)
        for _ in range(2):
            rounds.next()
        assert {(one.trainer, one.tries) for one in client.take()} == {("torch", True)}
        sent = [one.program_bytes > 1000 for one in rounds.traffic]
        assert sent == [False, True, True, False, False]  # the second: it may have been lost


def test_no_program_is_sent_for_trying_in_a_short_run_or_to_who_would_not(tmp_path):
    with digits():
        client = Real()
        short = Rounds(Settings.of(**LONG | {"rounds": 400}), tmp_path / "a", client=client)
        chosen = Rounds(Settings.of(**LONG | {"trainer": "torch"}), tmp_path / "b", client=client)
        for rounds, tries in ((short, True), (chosen, False)):
            for _ in range(2):
                rounds.next()
            assert {(one.trainer, one.tries) for one in client.take()} == {("torch", tries)}
            assert sum(one.program_bytes for one in rounds.traffic) == 0


def test_a_simulated_device_repeats_and_tries_nothing(tmp_path):
    with digits():
        rounds = Rounds(Settings.of(**LONG), tmp_path)
        for _ in range(2):
            rounds.next()
        assert sum(one.program_bytes for one in rounds.traffic) == 0


def test_a_program_that_cannot_be_tried_is_charged_said_and_not_tried_again(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("node 7 (MUL) failed to invoke")

    monkeypatch.setattr("frugalfl_client.training.litert.LiteRTTrainer.train", broken)
    with digits():
        client = Real()
        rounds = Rounds(Settings.of(**LONG), tmp_path, client=client)
        rounds.next()
        client.take()
        rounds.next()
        tried = client.take()
        assert rounds.updates[1] == CLIENTS
        assert len(trials(tried)) == CLIENTS
        assert {one.notice for one in tried} == {
            "trainer = torch (a training program was tried in vain: node 7 (MUL) failed to invoke)"
        }
        rounds.next()
        assert trials(client.take()) == []
        assert rounds.traffic[2].program_bytes == 0
