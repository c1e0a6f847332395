"""LightGBM on a branch's binned rows: new trees that go on from the scores so far."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from frugalfl.errors import MissingExtraError, TaskError, UsageError
from frugalfl.trees import Forest, Growth, Tree
from frugalfl.trees.forest import Float64s, UInt8s

_Whole = TypeVar("_Whole", np.uint8, np.int16)


def train(
    binned: UInt8s,
    y: npt.NDArray[np.integer],
    raw_scores: Float64s,
    params: Growth,
    n_trees: int,
    seed: int,
) -> Forest:
    """Return new trees, without those that the scores come from.

    The bins are LightGBM's features, each of its bins one of ours, so that its thresholds are bins.
    Rows of one class, or too few for two leaves, teach nothing about the other: no trees.

    Args:
        binned: uint8 (n, f), from ``Bins.of``.
        y: 0 or 1 (n,).
        raw_scores: float64 (n,), scores so far (log odds).
        params: How trees grow.
        n_trees: How many trees.
        seed: Of LightGBM's randomness.

    Returns:
        A canonical forest with base 0; see ``Forest.canonical``.

    Raises:
        UsageError: Shapes that do not fit, or labels other than 0 and 1.
        MissingExtraError: LightGBM is not installed.
    """
    check_rows(binned, y, raw_scores)
    if len(y) < 2 * params.min_rows_in_leaf or int(y.min()) == int(y.max()):
        return Forest()
    lightgbm = load_lightgbm()
    options = {
        "objective": "binary",
        "learning_rate": params.learning_rate,
        "num_leaves": params.leaves,
        "min_data_in_leaf": params.min_rows_in_leaf,
        "min_sum_hessian_in_leaf": params.min_hessian_in_leaf,
        "lambda_l2": params.l2,
        "max_delta_step": params.max_step,
        "max_bin": 255,
        "min_data_in_bin": 1,
        "bin_construct_sample_cnt": len(y),
        "feature_pre_filter": False,
        "use_missing": False,
        "boost_from_average": False,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "verbosity": -1,
    }
    rows = lightgbm.Dataset(binned, y, init_score=raw_scores, params=options)
    booster = lightgbm.train(options, rows, n_trees)
    return Forest(0.0, parse_trees(booster.model_to_string())).canonical()


def parse_trees(text: str) -> tuple[Tree, ...]:
    """Return the trees of a LightGBM text model over bins, as they are numbered there.

    A threshold lies between two bins; the lower one is the last that goes left.

    Raises:
        TaskError: The text is not as LightGBM writes it.
    """
    body = text.split("\nTree=")[1:]
    try:
        found = tuple(_parse_tree(block) for block in body)
        Forest(0.0, found).check()
        return found
    except (KeyError, ValueError, OverflowError, UsageError) as error:
        raise TaskError(
            f"the trees that LightGBM grew cannot be read ({error!s:.80}); install the version "
            "that constraints.txt names"
        ) from error


def _parse_tree(block: str) -> Tree:
    fields = dict(
        line.split("=", 1) for line in block.split("\n\n", 1)[0].splitlines() if "=" in line
    )
    if fields["num_leaves"] == "1":
        return Tree.constant(float(fields["leaf_value"]))

    def row(name: str) -> Float64s:
        return np.array(fields[name].split(), np.float64)

    def whole(name: str, kind: type[_Whole]) -> npt.NDArray[_Whole]:
        numbers, bounds = np.floor(row(name)), np.iinfo(kind)
        if not ((numbers >= bounds.min) & (numbers <= bounds.max)).all():
            raise ValueError(f"{name} holds a number beyond its bounds")
        return numbers.astype(kind)

    with np.errstate(over="ignore"):  # what becomes infinite is refused as a leaf
        values = row("leaf_value").astype(np.float32)
    return Tree(
        whole("split_feature", np.uint8), whole("threshold", np.uint8),
        whole("left_child", np.int16), whole("right_child", np.int16), values,
    )  # fmt: skip


def check_rows(binned: UInt8s, y: npt.NDArray[np.integer], raw_scores: Float64s) -> None:
    """Refuse what cannot be trained on.

    Raises:
        UsageError: Shapes that do not fit, or labels other than 0 and 1.
    """
    if binned.ndim != 2 or binned.dtype != np.uint8:
        raise UsageError("trees are trained on rows of bins, uint8 (rows, features): see Bins.of")
    if y.shape != (len(binned),) or raw_scores.shape != (len(binned),):
        raise UsageError(f"{len(binned)} rows have {len(y)} labels and {len(raw_scores)} scores")
    if not np.isin(y, (0, 1)).all():
        raise UsageError("labels are 0 or 1")


def load_lightgbm() -> Any:
    """Import LightGBM, so that a meter does not take it for training.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtraError("training trees with LightGBM", "fraud") from error
    return lightgbm
