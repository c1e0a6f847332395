"""A device that was away for some rounds, and what its error feedback does then."""

import pytest

from frugalfl import wire
from frugalfl.blocks import Layout
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_client.store import Store
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.rounds.downlink import Downlink
from frugalfl_sim.apps import importable, quiet_flower
from frugalfl_sim.engine.grid import InProcessGrid

from .conftest import DIGITS


@pytest.fixture
def updates_of(tmp_path):
    """Train one device at version 1 and at a later one; return its second frame."""

    def run(feedback, later, between=lambda store: None):
        settings = Settings.of(
            clients=6, clients_per_round=1, uplink=f"{feedback} | topk(1%) | sign | golomb"
        )
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        with importable(DIGITS), quiet_flower():
            model = read_parameters(initial_model(load_task("task:task"), settings))
            grid = InProcessGrid(client_app, 6, settings.as_config(), folder)
            blocks = Layout.of(model).everything
            for number, version in ((1, 1), (2, later)):
                full = Downlink(model, "raw", version).full()
                uplink = settings.wire.uplink
                request = wire.TrainRequest("run", number, -1, version, blocks, full, uplink)
                node = next(iter(grid.get_node_ids()))
                sent = grid.create_message(wire.pack_request(request), "train", node, "1")
                (reply,) = grid.send_and_receive([sent])
                forget_devices()
                store = Store(folder / "client-0" / "store.sqlite")
                between(store)
                store.close()
        return wire.unpack_reply(reply).frame

    yield run
    forget_devices()


def test_its_residual_fades_with_every_version_that_it_missed(updates_of):
    def eighth(store):
        held = store.load("run")
        held.residual = {name: kept / 8 for name, kept in held.residual.items()}
        store.save("run", held)

    plain = updates_of("feedback", later=5)
    faded = updates_of("feedback(decay 0.5)", later=5)  # it missed versions 2, 3 and 4
    assert faded != plain
    assert faded == updates_of("feedback", 5, between=eighth)


def test_a_device_that_is_there_every_time_loses_nothing(updates_of):
    assert updates_of("feedback(decay 0.5)", later=2) == updates_of("feedback", later=2)
