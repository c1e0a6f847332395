"""The mean of 200 compressed updates of a model of a million parameters, against Flower's FedAvg.

    python benchmarks/aggregate.py [--quick] [--json FILE]

The model is the MLP of benchmarks/codec.py (994,570 parameters); updates are mixtures of four real
ones, 20 different frames a codec, each used ten times, each client with its own number of rows.

Flower: FedAvg.aggregate_train on 200 real Messages with float32 arrays. That reads each array with
np.load, multiplies, adds, and writes the result with np.save; it does not hold getting the
Messages from the network. Ours, on 200 real Messages with one frame each:

- *strategy*: FrugalStrategy.aggregate_train around FedAvg, the whole of what replaces the above:
  unpacking replies, checking and adding frames, FedAvg on the one mean, arrays of the new model.
  It is the second round's: in the first, nothing is known of how long updates are, so that they
  wait for each other and are decoded twice.
- *sum*: the part of it that grows with the number of clients, and the mean: Accumulator.add of
  every frame, and finish.

Time is the processor time of one thread, the best of several runs; decoders that take more than 10
ms an update are timed on 20 updates, and ten times that is shown. Memory is the peak of what Python
and numpy allocate (tracemalloc, in a run of its own) above model and Messages; "allowed" is one
model and all frames. Every figure comes from a process of its own.

--quick: 20 updates, two codecs.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import torch
from codec import mlp, updates
from common import arguments, finish
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp.strategy import FedAvg

from frugalfl import wire
from frugalfl.blocks import Layout, Parameters
from frugalfl.codec import encode_frame, parse_codec
from frugalfl.errors import CodecError
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl_client.app import app
from frugalfl_server.rounds.aggregate import Accumulator
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.strategy import FrugalStrategy
from frugalfl_sim.engine.grid import InProcessGrid

CODECS = (
    "feedback | topk(0.1%) | sign | golomb", "feedback | topk(1%) | sign | golomb",
    "stochastic(64 sigma) | golomb", "lowrank(4) | float16 | zstd", "raw", "float16 | zstd",
    "float16 | raw", "feedback | topk(0.1%) | sign | range", "stochastic(64 sigma) | range",
    "feedback | topk(0.1%) | sign | range(rows)", "feedback | topk(1%) | sign | range(rows)",
    "qsgd(4) | range",
)  # fmt: skip
QUICK = CODECS[:2]
#: Their decoders take a hundred milliseconds an update.
SLOW = ("range", "float16 | zstd")
DIFFERENT = 20
REAL = 4


def mixed(real: list[Parameters], number: int) -> Parameters:
    """Return one of the different updates."""
    shares = np.random.default_rng(number).dirichlet(np.ones(len(real))).astype(np.float32)
    return {
        name: sum((s * u[name] for s, u in zip(shares, real, strict=True)), np.float32(0))
        for name in real[0]
    }


def starting_model() -> Parameters:
    torch.manual_seed(0)
    return read_parameters(mlp())


def rows_of(client: int) -> int:
    return 20 + 7 * client % 61


class Cohort:
    """So many real Messages of each round, and the strategy that is to aggregate them."""

    def __init__(self, strategy: Any, clients: int) -> None:
        self._grid = InProcessGrid(app, clients, {}, Path("."))
        self.strategy = strategy
        self.ask(1, pack(starting_model()))

    def ask(self, number: int, arrays: ArrayRecord) -> None:
        """Begin a round with a model."""
        sent = self.strategy.configure_train(number, arrays, ConfigRecord(), self._grid)
        self._sent = list(sent)
        for place, message in enumerate(self._sent):
            message.metadata.__dict__["_message_id"] = f"{number}-{place}"

    @property
    def version(self) -> int:
        """Of the model that our clients were sent."""
        return int(self._sent[0].content.config_records["config"]["version"])  # type: ignore[arg-type]

    def replies(self, content: Callable[[int], RecordDict]) -> list[Message]:
        """Return a reply to each message; ``content`` makes that of a client."""
        return [
            Message(content(number), reply_to=message) for number, message in enumerate(self._sent)
        ]


def picking(clients: int) -> FedAvg:
    return FedAvg(fraction_evaluate=0.0, min_train_nodes=clients, min_available_nodes=clients)


def peak_and_time(
    prepare: Callable[[], Any], work: Callable[[Any], Any], repeats: int
) -> dict[str, float]:
    """Run the work on what was prepared, again and again; then once more for its memory."""
    times = []
    for _ in range(repeats):
        given = prepare()
        start = time.process_time()
        work(given)
        times.append(time.process_time() - start)
    given = prepare()
    tracemalloc.start()
    work(given)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"cpu_s": min(times), "peak_bytes": peak}


def dense(real: list[Parameters]) -> Callable[[int], RecordDict]:
    """Return a client's reply as Flower has it: its whole model."""
    model = starting_model()
    different = [mixed(real, number) for number in range(DIFFERENT)]

    def content(client: int) -> RecordDict:
        update = different[client % DIFFERENT]
        arrays = {name: model[name] + update[name] for name in model}
        return wire.pack_average(arrays, rows_of(client), 1.0)

    return content


def framed(frames: list[bytes], version: int) -> Callable[[int], RecordDict]:
    """Return a client's reply as we have it: a frame."""

    def content(client: int) -> RecordDict:
        frame = frames[client % len(frames)]
        return wire.pack_reply(wire.TrainReply(version, frame, rows_of(client), 1.0))

    return content


def flower(real: list[Parameters], clients: int, repeats: int) -> dict[str, float]:
    """Flower's FedAvg on dense arrays."""
    quiet()
    cohort = Cohort(picking(clients), clients)
    replies = cohort.replies(dense(real))
    return peak_and_time(
        lambda: replies, lambda replies: cohort.strategy.aggregate_train(1, replies), repeats
    )


def ours(text: str, real: list[Parameters], clients: int, repeats: int) -> dict[str, float]:
    """FrugalStrategy on frames: all of it, in the second round."""
    quiet()
    encoded_at = cache(lambda version: encoded(text, real, version))

    def prepare() -> tuple[FrugalStrategy, list[Message]]:
        cohort = Cohort(strategy_for(clients), clients)  # a client answers once in a round
        first = cohort.replies(framed(encoded_at(cohort.version), cohort.version))
        arrays, _ = cohort.strategy.aggregate_train(1, first)
        cohort.ask(2, arrays)
        second = cohort.replies(framed(encoded_at(cohort.version), cohort.version))
        return cohort.strategy, second

    def work(given: tuple[FrugalStrategy, list[Message]]) -> None:
        strategy, replies = given
        strategy.aggregate_train(2, replies)
        assert strategy.traffic.updates == clients, strategy.traffic.failures[:1]

    return peak_and_time(prepare, work, repeats)


def only_sum(frames: list[bytes], clients: int, repeats: int) -> dict[str, float]:
    """The accumulator on frames."""
    model = starting_model()
    layout = Layout.of(model)
    given = [bytes(bytearray(frames[number % len(frames)])) for number in range(clients)]

    def work(given: list[bytes]) -> Parameters:
        total = Accumulator(layout)
        for number, frame in enumerate(given):
            total.add(frame, rows_of(number))
        return total.finish(model)

    return peak_and_time(lambda: given, work, repeats)


def strategy_for(clients: int) -> FrugalStrategy:
    settings = Settings.of(
        clients=clients, clients_per_round=clients, downlink="float16 | zstd", uplink="zstd"
    )
    return FrugalStrategy.wrap(picking(clients), settings)


def agreement(real: list[Parameters], clients: int) -> float:
    """Return the largest difference between Flower's mean and ours, of the same updates."""
    quiet()
    means = []
    for strategy, content in (
        (picking(clients), dense(real)),
        (strategy_for(clients), framed(encoded("raw", real, 0), 0)),
    ):
        cohort = Cohort(strategy, clients)
        arrays, _ = strategy.aggregate_train(1, cohort.replies(content))
        means.append(unpack(arrays))
    return max(float(np.abs(means[0][name] - means[1][name]).max()) for name in means[0])


def quiet() -> None:
    torch.set_num_threads(1)
    logging.getLogger("flwr").setLevel(logging.ERROR)


def apart(function: Callable[..., Any], *given: Any) -> Any:
    """Call in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, given)


def encoded(text: str, real: list[Parameters], version: int) -> list[bytes]:
    codec = parse_codec(text)
    layout = Layout.of(real[0])
    return [
        encode_frame(codec, layout, mixed(real, n), base=version, version=version, seed=n + 1)[0]
        for n in range(DIFFERENT)
    ]


def main() -> None:
    """Measure Flower, then every codec, and print the table."""
    options = arguments(__doc__)
    quiet()
    clients, repeats = (20, 2) if options.quick else (200, 5)
    real = updates(mlp, REAL)
    model_bytes = sum(tensor.nbytes for tensor in real[0].values())
    base = apart(flower, real, clients, repeats)
    figures: dict[str, Any] = {
        "updates": clients, "parameters": model_bytes // 4, "flower": base, "codecs": {},
        "largest_difference_of_means": apart(agreement, real, 10),
    }  # fmt: skip
    print(
        f"{clients} updates of {model_bytes // 4:,} parameters ({model_bytes:,} B each)\n"
        f"Flower FedAvg: {1e3 * base['cpu_s']:.1f} ms, peak {base['peak_bytes'] / 1e6:.1f} MB\n"
        f"largest difference between both means: {figures['largest_difference_of_means']:.1e}\n"
        f"{'codec':40} {'B/update':>9}  {'sum':>9} {'times':>6}  {'strategy':>9} {'times':>6}"
        f"  {'peak sum':>9} {'allowed':>8}"
    )
    for text in QUICK if options.quick else CODECS:
        try:
            frames = encoded(text, real, 0)
        except CodecError as error:
            figures["codecs"][text] = {"refused": str(error)}
            print(f"{text:40} refused: {error}")
            continue
        few, runs = (clients // 10, 1) if text.endswith(SLOW) else (clients, repeats)
        row: dict[str, Any] = {
            "sum": apart(only_sum, frames, few, runs),
            "strategy": apart(ours, text, real, few, runs),
            "bytes_per_update": sum(map(len, frames)) / len(frames),
            "timed_updates": few,
        }
        for part in ("sum", "strategy"):
            row[part]["cpu_s"] *= clients / few
        row["allowed_peak_bytes"] = model_bytes + clients * row["bytes_per_update"]
        for part in ("sum", "strategy"):
            row[part]["times_faster"] = base["cpu_s"] / row[part]["cpu_s"]
        figures["codecs"][text] = row
        print(
            f"{text:40} {row['bytes_per_update']:>9,.0f}  {1e3 * row['sum']['cpu_s']:>6.1f} ms "
            f"{row['sum']['times_faster']:>6.2f}  {1e3 * row['strategy']['cpu_s']:>6.1f} ms "
            f"{row['strategy']['times_faster']:>6.2f}  "
            f"{row['sum']['peak_bytes'] / 1e6:>6.1f} MB {row['allowed_peak_bytes'] / 1e6:>5.1f} MB",
            flush=True,
        )
    finish(options, figures)


if __name__ == "__main__":
    sys.exit(main())
