"""Training trees on a branch's own rows."""

from frugalfl_client.trees.lightgbm import train

__all__ = ["train"]
