"""When the model is pruned, every device comes to the same bits, and hardly a byte is sent for it."""

import shutil

import numpy as np
import pytest

from frugalfl.settings import Settings
from frugalfl_client.device import forget_devices
from frugalfl_client.store import Store

from .rounds import Rounds, digits

CLIENTS = 6
#: Devices 0 to 4 train in the first round; which of them come to the later ones before the switch.
PRESENT = [(0, 1, 2, 3, 4), (0, 1, 3), (0, 1, 3), (0, 3)]
LOST = 3  # its disk, just before the switch
NEVER = 5  # was there before the switch


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    """A federation through the switch; the bytes of that round, and of full copies in its place."""
    folder = tmp_path_factory.mktemp("switch")
    with digits():
        settings = Settings.of(
            clients=CLIENTS, clients_per_round=CLIENTS, local_epochs=1,
            uplink="feedback | topk(1%) | sign | golomb",
        )  # fmt: skip
        rounds = Rounds(settings, folder)
        for present in PRESENT:
            rounds.next(only=present)
        forget_devices()
        shutil.rmtree(folder / f"client-{LOST}")
        rounds.prune(0.5)
        rounds.next()
        sent = rounds.traffic[-1].downlink_bytes
        full = len(rounds.downlink.full())
        rounds.next()
        forget_devices()
        stores = [Store(folder / f"client-{number}" / "store.sqlite") for number in range(CLIENTS)]
        held = [store.load("run") for store in stores]
        for store in stores:
            store.close()
    return rounds, held, sent, full


def test_all_devices_hold_the_same_pruned_model(switch):
    rounds, held, _, _ = switch
    assert rounds.downlink.view["6.weight"].shape == (32, 256)
    for device in held:
        assert device.version == rounds.downlink.version
        assert device.model.keys() == rounds.downlink.view.keys()
        for name, tensor in rounds.downlink.view.items():
            np.testing.assert_array_equal(device.model[name], tensor)


def test_all_devices_but_the_one_that_lost_its_disk_train_at_once(switch):
    rounds, _, _, _ = switch
    assert rounds.updates[-2:] == [CLIENTS - 1, CLIENTS]
    assert rounds.warnings == []


def test_the_switch_is_far_shorter_than_full_copies(switch):
    """One full copy at most, to the device that was never there; it was CLIENTS of them."""
    _, _, sent, full = switch
    assert sent < 2 * full < CLIENTS * full / 2


def test_error_feedback_goes_on_with_what_still_fits(switch):
    _, held, _, _ = switch
    for device in held:
        assert {n: t.shape for n, t in device.residual.items()} == {
            n: t.shape for n, t in device.model.items()
        }
