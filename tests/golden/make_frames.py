"""Write golden frames for links that have none yet; never overwrites one."""

from pathlib import Path

import numpy as np

from frugalfl.blocks import Layout
from frugalfl.codec import Limits, decode_frame, encode_frame, parse_codec
from frugalfl.codec.seeded import draw_again

FOLDER = Path(__file__).parent / "frames"
TEXTS = (
    "raw", "zstd", "float16 | zstd", "topk(20%) | sign | golomb", "topk(20%) | sign | range",
    "stochastic(4 sigma) | range", "qsgd(4) | range", "nearest(1 sigma) | range", "eden(2) | zstd",
    "randomk(25%) | float16 | zstd", "seeded | raw", "lowrank(1) | nearest(1 sigma) | range",
    "dyadic(20%) | range", "scaled | nearest(1 sigma) | range", "dithered(2 sigma) | rans",
    "dyadic(20%) | rans",
)  # fmt: skip
#: Frames whose links alone do not tell them apart, by file name.
NAMED = {
    "eden3-zstd": "eden(3) | zstd",
    "large": "large(100, stochastic(4 sigma) | range, large(9, float16 | zstd, raw))",
    "auto": "auto(nmse 0.1)",
    "statistics": "statistics(stochastic(4 sigma) | range, float16 | zstd)",
    "feedback-auto": "feedback(momentum 0.9, decay 0.9) | auto(nmse 0.4)",
}


def main() -> None:
    """Encode one fixed update with every codec."""
    rng = np.random.default_rng(2026)
    update = {
        "conv.weight": rng.standard_t(3, (8, 3, 3, 3)).astype(np.float32),
        "conv.bias": rng.standard_t(3, 8).astype(np.float32),
        "dense.weight": rng.standard_t(3, (10, 12)).astype(np.float32),
    }
    layout = Layout.of(update)
    named = {"-".join(call.name for call in parse_codec(text).calls): text for text in TEXTS}
    for name, text in (named | NAMED).items():
        path = FOLDER / f"{name}.frame"
        if path.exists():
            continue
        values = draw_again(update, 4711) if text.startswith("seeded") else update
        if name == "statistics":
            values = values | {"norm.running_var": rng.random(5, np.float32)}
            layout = Layout.of(values)
        frame, _ = encode_frame(parse_codec(text), layout, values, base=6, version=7, seed=4711)
        path.write_bytes(frame)
        np.savez(path.with_suffix(".npz"), **decode_frame(frame, Limits.of(layout)).named(layout))


if __name__ == "__main__":
    main()
