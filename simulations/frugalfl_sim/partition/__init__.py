"""Ways to split one data set over many simulated clients: one file each, all seeded.

Each returns the row numbers of every client, sorted; every row is somebody's, and nobody's twice.
"""

from frugalfl_sim.partition.by_key import by_key
from frugalfl_sim.partition.dirichlet import dirichlet
from frugalfl_sim.partition.iid import iid
from frugalfl_sim.partition.rows import Rows
from frugalfl_sim.partition.shards import shards
from frugalfl_sim.partition.uneven import uneven

__all__ = ["Rows", "by_key", "dirichlet", "iid", "shards", "uneven"]
