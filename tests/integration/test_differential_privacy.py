"""Clipping and noise come after the codec: they are of the update as it was decoded."""

import numpy as np
import pytest
from flwr.clientapp import ClientApp
from flwr.clientapp.mod import LocalDpMod
from flwr.serverapp import strategy as flower
from lies import attacking

from frugalfl.codec import Limits, decode_frame
from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl_client.app import app as client_app
from frugalfl_server.rounds.flower_strategies import EvenFedAvg, strategy_of

from .rounds import Rounds, digits

CLIENTS = 4
#: The downlink drops most of a difference, so that clients' models are not the server's.
SETTINGS = Settings.of(
    clients=CLIENTS, clients_per_round=CLIENTS, rounds=3, local_epochs=1, uplink="qsgd(6) | range",
    strategy="dpfedavg(0.5, 0.25)",
)  # fmt: skip


class Listening:
    """The client app; keeps the updates as the server will decode them."""

    def __init__(self):
        self.updates = []

    def __call__(self, message, context):
        reply = client_app(message, context)
        frame = decode_frame(reply.content["arrays"]["frames"].data, Limits())
        self.updates.append(np.concatenate([t.ravel() for b in frame.blocks.values() for t in b]))
        return reply


def flat(model):
    return np.concatenate([tensor.ravel() for tensor in model.values()])


@pytest.mark.parametrize("clip", [0.05, 1e6])
def test_the_model_moves_by_the_mean_of_clipped_decoded_updates(tmp_path, clip):
    heard = Listening()
    inner = flower.DifferentialPrivacyServerSideFixedClipping(
        EvenFedAvg(fraction_evaluate=0.0), 0.0, clip, CLIENTS
    )
    with digits():
        run = Rounds(SETTINGS, tmp_path, client=heard, inner=inner)
        for _ in range(3):
            heard.updates.clear()
            run.next()
            lengths = [np.linalg.norm(update) for update in heard.updates]
            assert len(lengths) == CLIENTS and (min(lengths) > 0.05) and max(lengths) < 1e6
            clipped = [u * min(1, clip / n) for u, n in zip(heard.updates, lengths, strict=True)]
            moved = flat(run.model) - flat(run.parts.model)
            np.testing.assert_allclose(moved, np.mean(clipped, axis=0), atol=2e-6)


def test_noise_is_that_of_the_setting(tmp_path):
    chosen = SETTINGS.changed(**{"strategy": "dpfedavg(400, 0.01)"})
    with digits():
        run = Rounds(chosen, tmp_path, inner=strategy_of(chosen))
        run.next()
        noise = flat(run.model) - flat(run.parts.model)
    assert np.std(noise) == pytest.approx(400 * 0.01 / CLIENTS, rel=0.05)


def test_an_update_of_zeros_does_not_end_the_run(tmp_path):
    """Flower's clipping divides by the length of an update."""
    zeros = attacking(lambda _, update: {n: np.zeros_like(t) for n, t in update.items()}, (0,))
    with digits():
        run = Rounds(SETTINGS, tmp_path, client=zeros, inner=strategy_of(SETTINGS))
        run.next()
        run.next()
    assert run.updates == [CLIENTS, CLIENTS]
    assert np.isfinite(flat(run.model)).all()


def test_steps_that_the_server_steers_are_refused():
    with pytest.raises(UsageError, match="dpfedavg does not go with stochastic"):
        Settings.of(strategy="dpfedavg(0.5, 1)")


def test_local_noise_after_the_codec_is_refused(tmp_path):
    """A mod sees frames, not arrays: it says so before anything is sent."""
    outside = ClientApp(mods=[LocalDpMod(1.0, 1.0, 1.0, 1e-5)])

    @outside.train()
    def train(message, context):
        return client_app(message, context)

    with digits(), pytest.raises(TypeError, match="frugalfl.frames"):
        Rounds(SETTINGS, tmp_path, client=outside).next()
