"""What a tree costs: bytes on the wire, and processor time of scores; LightGBM's own beside it.

    python benchmarks/trees.py [--quick] [--json FILE]

Trees are trained by LightGBM on one branch of the simulated bank. A frame (docs/trees.md) stands
beside the deflated text model, as Flower's and others' prototypes send it, and beside that text
without the statistics that tell of rows.
"""

from __future__ import annotations

import re
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from common import arguments, finish
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "simulations" / "fraud"))

from fraud.config import load_config
from fraud.prepare import clean, prepare
from fraud.simulator import simulate

from frugalfl.metrics import average_precision
from frugalfl.trees import Growth, agree, decode_forest, encode_forest, sketch
from frugalfl_client.trees import train
from frugalfl_client.trees.lightgbm import parse_trees

ROOT = Path(__file__).parents[1]
#: Lines of a text model that scores do not need, and that tell of single rows or of their number.
_TELLING = re.compile(
    r"^(leaf_weight|leaf_count|internal_value|internal_weight|internal_count|split_gain"
    r"|feature_infos|tree_sizes)=.*\n",
    re.MULTILINE,
)


def measure(trees: int, customers: int) -> dict[str, Any]:
    """Train, encode, score; return figures."""
    config = load_config(ROOT / "simulations" / "fraud" / "pilot.toml")
    rows, _ = clean(simulate(0, customers).transactions, config)
    prepared = prepare(rows, config)
    x, y = prepared.train.x, prepared.train.y
    bins = agree([sketch(x)], 64)
    binned, test = bins.of(x), bins.of(prepared.test_x)
    start = np.full(len(y), np.log(y.mean() / (1 - y.mean())))
    growth = Growth()
    forest = train(binned, y, start, growth, trees, 0)
    frame = encode_forest(forest)
    decoded = decode_forest(frame, len(bins))
    text = _text(binned, y, start, growth, trees)
    booster = lightgbm.Booster(model_str=text)
    same = parse_trees(text)
    if len(same) != trees:
        raise RuntimeError(f"LightGBM made {len(same)} trees of {trees}")
    ours, score_s = _timed(lambda: forest.raw_scores(test))
    theirs, lightgbm_s = _timed(lambda: booster.predict(test, raw_score=True, num_threads=1))
    whole, stripped = (
        len(zlib.compress(one.encode(), 9)) for one in (text, _TELLING.sub("", text))
    )
    return {
        "trees": trees,
        "leaves": growth.leaves,
        "rows_scored": len(test),
        "frame_bytes_per_tree": len(frame) / trees,
        "zlib_text_bytes_per_tree": whole / trees,
        "zlib_stripped_text_bytes_per_tree": stripped / trees,
        "share_of_text": len(frame) / whole,
        "share_of_stripped_text": len(frame) / stripped,
        "largest_difference_of_scores": float(np.abs(ours - theirs).max()),
        "average_precision": average_precision(ours, prepared.test_y),
        "average_precision_after_the_frame": average_precision(
            decoded.raw_scores(test), prepared.test_y
        ),
        "score_cpu_s": score_s,
        "lightgbm_score_cpu_s": lightgbm_s,
    }


def _text(binned: Any, y: Any, start: Any, growth: Growth, trees: int) -> str:
    """Return LightGBM's text of the same trees."""
    options = {
        "objective": "binary", "learning_rate": growth.learning_rate, "num_leaves": growth.leaves,
        "min_data_in_leaf": growth.min_rows_in_leaf, "lambda_l2": growth.l2,
        "min_sum_hessian_in_leaf": growth.min_hessian_in_leaf, "max_delta_step": growth.max_step,
        "max_bin": 255, "min_data_in_bin": 1, "bin_construct_sample_cnt": len(y),
        "feature_pre_filter": False, "use_missing": False, "boost_from_average": False,
        "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1,
        "seed": 0,
    }  # fmt: skip
    rows = lightgbm.Dataset(binned, y, init_score=start, params=options)
    return str(lightgbm.train(options, rows, trees).model_to_string())


def _timed(work: Any) -> tuple[Any, float]:
    """Return what the work gives, and the least processor time of three (s)."""
    seconds = []
    for _ in range(3):
        began = time.process_time()
        result = work()
        seconds.append(time.process_time() - began)
    return result, min(seconds)


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__)
    figures = measure(40, 600) if options.quick else measure(200, 5_000)
    table = Table("figure", "value", title="What a tree costs")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,.4g}")
    Console(width=100).print(table)
    finish(options, figures)


if __name__ == "__main__":
    main()
