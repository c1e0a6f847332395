"""Codecs on real updates: bytes, error, speed; ours beside the schemes of other frameworks.

    python benchmarks/codec.py [--quick] [--json FILE]

Updates are local minus global weights after one local epoch on scikit-learn's digits (180 rows,
batches of 16, SGD 0.1): of a CNN of 38,282 parameters and of an MLP of 994,570 (64-960-960-10),
of one client and averaged over four. Bytes are whole frames, decoded again by the real decoder.
MB/s are of float32, by the processor time of one thread.

The schemes of others (`schemes/forms.py`) are written from their sources, as they put bytes on the
wire: OpenFL's STC (gzip over float32 codes, scale over all entries), FedLab's top-k (int64 places
and float32 values), int8 in blocks as NVFlare sends it.

--quick: the CNN only, each codec timed once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import arguments, finish
from schemes.forms import Form, Int8, OpenFlStc, TopK
from sklearn.datasets import load_digits

from frugalfl.blocks import Layout, Parameters
from frugalfl.codec import Limits, decode_frame, encode_frame, parse_codec
from frugalfl.modules import read_parameters

SEED = 12345
OURS = (
    "raw", "zstd", "float16 | zstd", "qsgd(8) | range", "qsgd(4) | range", "eden(1) | zstd",
    "eden(3) | zstd",
    "feedback | topk(1%) | sign | golomb", "feedback | topk(1%) | sign | range",
    "nearest(1.27 sigma) | range", "nearest(2.2 sigma) | range",
    "lowrank(4) | float16 | zstd", "lowrank(8) | nearest(2.5 sigma) | range",
    "auto(nmse 0.08)", "auto(nmse 0.2)",
    "stochastic(8 sigma) | range", "stochastic(24 sigma) | range", "stochastic(64 sigma) | range",
)  # fmt: skip


def mlp() -> torch.nn.Module:
    """Build the MLP of 994,570 parameters."""
    nn = torch.nn
    return nn.Sequential(
        nn.Linear(64, 960), nn.ReLU(), nn.Linear(960, 960), nn.ReLU(), nn.Linear(960, 10)
    )


def cnn() -> torch.nn.Module:
    """Build the digits CNN of 38,282 parameters."""
    nn = torch.nn
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def updates(build: Callable[[], torch.nn.Module], clients: int) -> list[Parameters]:
    """Train each of some clients for one local epoch; return their updates."""
    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels)
    order = np.random.default_rng(0).permutation(len(x))
    torch.manual_seed(0)
    start = build().state_dict()
    found = []
    for client in range(clients):
        module = build()
        module.load_state_dict(start)
        before = read_parameters(module)
        optimizer = torch.optim.SGD(module.parameters(), 0.1)
        for rows in torch.tensor(order[client * 180 : (client + 1) * 180]).split(16):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(x[rows]), y[rows]).backward()
            optimizer.step()
        after = read_parameters(module)
        found.append({name: after[name] - before[name] for name in before})
    return found


def compare(update: Parameters, restored: Parameters) -> dict[str, float]:
    """Return normalised mean squared error and cosine."""
    wanted = np.concatenate([t.ravel() for t in update.values()]).astype(np.float64)
    got = np.concatenate([restored[n].ravel() for n in update]).astype(np.float64)
    length = np.linalg.norm(wanted) * np.linalg.norm(got)
    return {
        "nmse": float(((wanted - got) ** 2).sum() / (wanted**2).sum()),
        "cosine": float(wanted @ got / length) if length else 0.0,
    }


def measure(text: str, update: Parameters, repeats: int) -> dict[str, Any]:
    """Encode and decode a frame; return its figures."""
    layout, codec = Layout.of(update), parse_codec(text)
    megabytes = sum(t.nbytes for t in update.values()) / 1e6
    encode_s, decode_s = [], []
    for _ in range(repeats):
        start = time.process_time()
        frame, _ = encode_frame(codec, layout, update, base=1, version=1, seed=SEED)
        middle = time.process_time()
        restored = decode_frame(frame, Limits.of(layout)).named(layout)
        encode_s.append(middle - start)
        decode_s.append(time.process_time() - middle)
    figures = {
        "bytes": len(frame),
        "times_smaller": megabytes * 1e6 / len(frame),
        **compare(update, restored),
        "encode_mb_per_s": megabytes / max(min(encode_s), 1e-9),
        "decode_mb_per_s": megabytes / max(min(decode_s), 1e-9),
    }
    if codec.calls[-1].name == "range":
        figures["ideal_bytes"] = codec.ideal_bytes(update, SEED)
    return figures


PEERS: dict[str, Form] = {
    "peer: int8 blocks (NVFlare's form)": Int8(4096),
    "peer: top-1% int64+float32 (FedLab)": TopK(0.01, places="<i8"),
    "peer: STC 1% (OpenFL's form)": OpenFlStc(0.01),
    "peer: STC 10% (OpenFL's form)": OpenFlStc(0.1),
}


def measure_peer(form: Form, update: Parameters) -> dict[str, float]:
    """Encode and decode as a peer does; return its figures."""
    data = form.encode(update, SEED)
    restored = form.decode(data, {name: tensor.shape for name, tensor in update.items()})
    raw = sum(tensor.nbytes for tensor in update.values())
    return {"bytes": len(data), "times_smaller": raw / len(data), **compare(update, restored)}


def main() -> None:
    """Measure every codec on every update and print the tables."""
    options = arguments(__doc__)
    torch.set_num_threads(1)
    models = {"cnn_38k": cnn} if options.quick else {"cnn_38k": cnn, "mlp_1m": mlp}
    repeats = 1 if options.quick else 5
    figures: dict[str, Any] = {}
    for model, build in models.items():
        found = updates(build, 4)
        mean = {
            name: np.mean([u[name] for u in found], axis=0, dtype=np.float32) for name in found[0]
        }
        for kind, update in {"client": found[0], "mean_of_4": mean}.items():
            table = {text: measure(text, update, repeats) for text in OURS}
            table |= {name: measure_peer(form, update) for name, form in PEERS.items()}
            figures[f"{model}_{kind}"] = table
            show(f"{model}, {kind}", table)
    finish(options, figures)


def show(title: str, table: dict[str, dict[str, Any]]) -> None:
    """Print one table."""
    print(
        f"\n{title}\n{'codec':46} {'bytes':>9} {'x':>7} {'NMSE':>9} {'cos':>6}  enc/dec MB/s  ideal"
    )
    for text, row in table.items():
        speed = (
            f"{row['encode_mb_per_s']:.0f}/{row['decode_mb_per_s']:.0f}"
            if "encode_mb_per_s" in row
            else ""
        )
        ideal = f"{row['bytes'] / row['ideal_bytes'] - 1:+.1%}" if row.get("ideal_bytes") else ""
        print(
            f"{text:46} {row['bytes']:>9,} {row['times_smaller']:>7.1f} {row['nmse']:>9.4f} "
            f"{row['cosine']:>6.3f}  {speed:>12}  {ideal}"
        )


if __name__ == "__main__":
    sys.exit(main())
