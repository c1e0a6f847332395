"""FedJAX's federated averaging; its backends differ in how they go over the clients."""

from __future__ import annotations

from importlib.metadata import version

import fedjax
import jax
import jax.numpy as jnp
import numpy as np
from fedjax.algorithms import fed_avg
from measured import BATCH, LEARNING_RATE, Rounds, Workload, parser


def outputs(model: dict[str, jnp.ndarray], x: jnp.ndarray) -> jnp.ndarray:
    """Return the MLP's outputs; weights are (inputs, outputs) in JAX."""
    hidden = jax.nn.relu(x @ model["w1"] + model["b1"])
    return hidden @ model["w2"] + model["b2"]


def loss(model: dict[str, jnp.ndarray], batch: dict[str, jnp.ndarray], rng: object) -> jnp.ndarray:
    """Return the mean cross-entropy of a batch."""
    logs = jax.nn.log_softmax(outputs(model, batch["x"]))
    return -jnp.take_along_axis(logs, batch["y"][:, None], 1).mean()


def main() -> None:
    options = parser().parse_args()
    workload = Workload(options.data)
    first = workload.first
    start = {
        "w1": jnp.asarray(first["0.weight"].T), "b1": jnp.asarray(first["0.bias"]),
        "w2": jnp.asarray(first["2.weight"].T), "b2": jnp.asarray(first["2.bias"]),
    }  # fmt: skip
    data = [
        fedjax.ClientDataset(dict(zip("xy", workload.data_of(client), strict=True)))
        for client in range(workload.clients)
    ]
    algorithm = fed_avg.federated_averaging(
        jax.grad(loss),
        fedjax.optimizers.sgd(LEARNING_RATE),
        fedjax.optimizers.sgd(1.0),
        fedjax.ShuffleRepeatBatchHParams(batch_size=BATCH, num_epochs=1),
    )
    state = algorithm.init(start)
    key = jax.random.PRNGKey(0)

    def one_round(picked: list[int]) -> None:
        nonlocal state, key
        key, *keys = jax.random.split(key, len(picked) + 1)
        clients = [(b"%d" % c, data[c], keys[place]) for place, c in enumerate(picked)]
        state, _ = algorithm.apply(state, clients)
        jax.block_until_ready(state.params)

    def model() -> dict[str, np.ndarray]:
        found = state.params
        return {
            "0.weight": np.asarray(found["w1"]).T, "0.bias": np.asarray(found["b1"]),
            "2.weight": np.asarray(found["w2"]).T, "2.bias": np.asarray(found["b2"]),
        }  # fmt: skip

    rounds = Rounds(workload)
    rounds.run(options, one_round, lambda: workload.accuracy(model()))
    rounds.report(version("fedjax"))


if __name__ == "__main__":
    main()
