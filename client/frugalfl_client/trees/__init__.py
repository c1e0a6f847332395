"""Training trees on a branch's own rows."""

from frugalfl_client.trees.histograms import Worker
from frugalfl_client.trees.lightgbm import train

__all__ = ["Worker", "train"]
