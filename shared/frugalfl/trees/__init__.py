"""Federated decision trees: agreed bins, forests, tree frames, histogram aggregation."""

from frugalfl.trees.bins import Bins, Sketch, agree, sketch
from frugalfl.trees.forest import Forest, Tree, total
from frugalfl.trees.frame import decode_forest, encode_forest
from frugalfl.trees.grow import Grower
from frugalfl.trees.histogram import Grid, Histograms, Sums
from frugalfl.trees.lightgbm_text import to_lightgbm_text
from frugalfl.trees.messages import Reply, Request, total_sums
from frugalfl.trees.params import Growth

__all__ = [
    "Bins",
    "Forest",
    "Grid",
    "Grower",
    "Growth",
    "Histograms",
    "Reply",
    "Request",
    "Sketch",
    "Sums",
    "Tree",
    "agree",
    "decode_forest",
    "encode_forest",
    "sketch",
    "to_lightgbm_text",
    "total",
    "total_sums",
]
