"""Federated decision trees: agreed bins, forests, tree frames, histogram aggregation."""

from frugalfl.trees.bins import Bins, Sketch, agree, sketch
from frugalfl.trees.forest import Forest, Tree, total
from frugalfl.trees.frame import decode_forest, encode_forest
from frugalfl.trees.lightgbm_text import to_lightgbm_text
from frugalfl.trees.params import Growth

__all__ = [
    "Bins",
    "Forest",
    "Growth",
    "Sketch",
    "Tree",
    "agree",
    "decode_forest",
    "encode_forest",
    "sketch",
    "to_lightgbm_text",
    "total",
]
