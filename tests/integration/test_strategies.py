"""Every strategy that Flower ships, around frames."""

import re
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import FedAvg, FedProx

from frugalfl import wire
from frugalfl.errors import UsageError
from frugalfl_client.app import app as client_app
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.flower_strategies import needs_only_mean
from frugalfl_sim.engine.grid import InProcessGrid

from .test_rounds import CLIENTS, federate, spoiled  # noqa: F401

DOCS = Path(__file__).parents[2] / "docs"
#: Each with arguments that suit six clients.
SHIPPED = {
    "Bulyan": flower.Bulyan,
    "DifferentialPrivacyServerSideAdaptiveClipping": lambda **options: (
        flower.DifferentialPrivacyServerSideAdaptiveClipping(FedAvg(**options), 0.1, CLIENTS)
    ),
    "DifferentialPrivacyServerSideFixedClipping": lambda **options: (
        flower.DifferentialPrivacyServerSideFixedClipping(FedAvg(**options), 0.01, 1.0, CLIENTS)
    ),
    "FedAdagrad": flower.FedAdagrad,
    "FedAdam": flower.FedAdam,
    "FedAvg": flower.FedAvg,
    "FedAvgM": lambda **options: flower.FedAvgM(server_momentum=0.9, **options),
    "FedMedian": flower.FedMedian,
    "FedProx": lambda **options: FedProx(proximal_mu=0.1, **options),
    "FedTrimmedAvg": flower.FedTrimmedAvg,
    "FedXgbCyclic": flower.FedXgbCyclic,
    "FedYogi": flower.FedYogi,
    "Krum": flower.Krum,
    "MultiKrum": lambda **options: flower.MultiKrum(num_nodes_to_select=3, **options),
    "QFedAvg": lambda **options: flower.QFedAvg(0.05, train_loss_key="train-loss", **options),
}
#: Cannot be used, and why.
UNUSABLE = {
    "FedXgbBagging": "takes one array with an XGBoost model, and needs xgboost on the clients",
    "DifferentialPrivacyClientSideAdaptiveClipping": "clips before the codec: refused",
    "DifferentialPrivacyClientSideFixedClipping": "clips before the codec: refused",
}
ONLY_MEAN = {"FedAdagrad", "FedAdam", "FedAvg", "FedAvgM", "FedProx", "FedYogi"}


def test_no_strategy_is_left_out():
    assert {*SHIPPED, *UNUSABLE} == set(flower.__all__) - {"Result", "Strategy"}


@pytest.mark.parametrize("name", SHIPPED)
def test_two_rounds_move_the_model_and_keep_it_finite(federate, name):  # noqa: F811
    outcome = federate(inner=SHIPPED[name], rounds=2)
    picked = 1 if name == "FedXgbCyclic" else CLIENTS
    assert [traffic.updates for traffic in outcome["traffic"]] == [picked, picked]
    assert all(np.isfinite(tensor).all() for tensor in outcome["end"].values())
    assert all(not np.array_equal(outcome["start"][n], outcome["end"][n]) for n in outcome["end"])
    assert all(tensor.dtype == np.float32 for tensor in outcome["end"].values())


def test_clipping_on_the_client_is_refused_with_the_reason(federate):  # noqa: F811
    def inner(**options):
        return flower.DifferentialPrivacyClientSideFixedClipping(
            FedAvg(**options), 0.1, 1.0, CLIENTS
        )

    with pytest.raises(UsageError, match="clips on the server"):
        federate(inner=inner)


def test_which_strategies_need_only_the_mean():
    assert {name for name, make in SHIPPED.items() if needs_only_mean(make())} == ONLY_MEAN


@pytest.mark.parametrize("name", sorted(ONLY_MEAN))
def test_one_mean_gives_what_all_replies_give(name, tmp_path):
    """So nothing but the mean was needed: Flower's own aggregation is the judge."""
    rng = np.random.default_rng(0)
    model = {"a.w": rng.normal(size=(5, 4)).astype(np.float32), "a.b": np.ones(5, np.float32)}
    grid = InProcessGrid(client_app, CLIENTS, {}, tmp_path)
    results = []
    for only_mean in (False, True):
        rng = np.random.default_rng(1)
        strategy = SHIPPED[name]()
        arrays = pack(model)
        for number in (1, 2, 3):
            messages = list(strategy.configure_train(number, arrays, ConfigRecord(), grid))
            rows = rng.integers(1, 50, CLIENTS).tolist()
            models = [
                {
                    n: t + rng.normal(size=t.shape).astype(np.float32)
                    for n, t in unpack(arrays).items()
                }
                for _ in rows
            ]
            losses = rng.random(CLIENTS).tolist()
            if only_mean:
                models = [
                    {
                        n: np.average([m[n] for m in models], axis=0, weights=rows).astype("f4")
                        for n in model
                    }
                ]
                losses, rows = [float(np.average(losses, weights=rows))], [sum(rows)]
            replies = [
                Message(wire.pack_average(local, count, loss), reply_to=_sent(message))
                for local, count, loss, message in zip(models, rows, losses, messages, strict=False)
            ]
            arrays, metrics = strategy.aggregate_train(number, replies)
        results.append((unpack(arrays), metrics["train-loss"]))
    (all_replies, all_loss), (one, loss) = results
    assert loss == pytest.approx(all_loss)
    for tensor in model:
        np.testing.assert_allclose(one[tensor], all_replies[tensor], rtol=1e-4, atol=1e-5)


def _sent(message):
    message.metadata.__dict__["_message_id"] = "1"
    return message


def watched(kind, seen):
    """A strategy that notes copies of the models that it makes; the server settles them after."""

    class Watched(kind):
        def aggregate_train(self, server_round, replies):
            arrays, metrics = super().aggregate_train(server_round, replies)
            seen.append({name: tensor.copy() for name, tensor in unpack(arrays).items()})
            return arrays, metrics

    return Watched


def test_the_strategy_that_the_documents_show_goes_half_of_the_way(federate):  # noqa: F811
    means, halves = [], []
    text = (DOCS / "aggregation.md").read_text()
    shown = {"__name__": "task"}
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    imports, shown_class = code.split("\n\n\n", 1)
    exec(imports, shown)
    shown["FedAvg"] = watched(FedAvg, means)
    exec(shown_class, shown)
    assert needs_only_mean(shown["HalfWay"]())
    outcome = federate(inner=watched(shown["HalfWay"], halves), rounds=1)
    assert [one.updates for one in outcome["traffic"]] == [CLIENTS]
    (mean,), (half,) = means, halves
    for name, start in outcome["start"].items():
        assert not np.array_equal(mean[name], start)
        np.testing.assert_allclose(half[name], (start + mean[name]) / 2, atol=1e-6)


class Saves(flower.FedAdam):
    only_mean = True

    def aggregate_train(self, server_round, replies):
        arrays, metrics = super().aggregate_train(server_round, replies)
        self.saved = arrays
        return arrays, metrics


class Clips(FedAvg):
    def aggregate_train(self, server_round, replies):
        for reply in replies:
            reply.content["metrics"]["num-examples"] = 1
        return super().aggregate_train(server_round, replies)


class Picks(FedAvg):
    def aggregate_train(self, server_round, replies):
        return super().aggregate_train(server_round, list(replies)[:1])


def test_a_users_own_strategy_says_itself_if_it_needs_only_the_mean():
    assert needs_only_mean(Saves())
    assert not needs_only_mean(Clips())
    assert not needs_only_mean(Picks())
    assert not needs_only_mean(FedAvg(weighted_by_key="train-loss"))
    assert not needs_only_mean(FedAvg(train_metrics_aggr_fn=lambda contents, key: None))


def test_hooks_run_inwards_on_the_way_down_and_outwards_on_the_way_up(federate):  # noqa: F811
    order = []

    class Around(FedAvg):
        """A strategy around another one."""

        def __init__(self, name, around=None, **options):
            super().__init__(**options)
            self.name, self.around = name, around

        def configure_train(self, *given):
            order.append(f"{self.name} down")
            return (self.around or super()).configure_train(*given)

        def aggregate_train(self, server_round, replies):
            replies = list(replies)
            names = {name for reply in replies for name in reply.content["arrays"]}
            assert "0.weight" in names  # the frames are unpacked before any strategy sees them
            result = (self.around or super()).aggregate_train(server_round, replies)
            order.append(f"{self.name} up")
            return result

    def client(message, context):
        order.append("client")
        return client_app(message, context)

    federate(
        client=client,
        inner=lambda **options: Around("outer", Around("inner", **options), **options),
        rounds=1,
    )
    assert order == ["outer down", "inner down", *["client"] * CLIENTS, "inner up", "outer up"]


def test_the_proximal_term_keeps_clients_near_the_global_model(federate):  # noqa: F811
    def moved(inner):
        outcome = federate(inner=inner, rounds=1)
        return sum(np.square(outcome["end"][n] - t).sum() for n, t in outcome["start"].items())

    free = moved(FedAvg)
    assert moved(lambda **options: FedProx(proximal_mu=20.0, **options)) < free / 2


def claim(**metrics):
    def spoil(reply, message):
        reply.content["metrics"].update(metrics)
        return reply

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        claim(**{"num-examples": -5}),
        claim(**{"num-examples": 1 << 60}),
        claim(**{"train-loss": float("nan")}),
    ],
)
@pytest.mark.parametrize("inner", [FedAvg, flower.FedMedian])
def test_a_client_that_claims_the_impossible_is_left_out(federate, spoil, inner):  # noqa: F811
    outcome = federate(client=spoiled(spoil), inner=inner, rounds=2)
    assert [traffic.updates for traffic in outcome["traffic"]] == [CLIENTS, CLIENTS - 1]
    assert "rows" in outcome["warnings"][0]
    assert np.isfinite(outcome["traffic"][1].loss)
