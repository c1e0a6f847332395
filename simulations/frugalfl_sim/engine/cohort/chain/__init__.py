"""Models that are a chain of plain layers, batched by hand: written-out gradients, no autograd."""

from frugalfl_sim.engine.cohort.chain.chain import Chain
from frugalfl_sim.engine.cohort.chain.chain_of import chain_of
from frugalfl_sim.engine.cohort.chain.train_chain import descends_plainly, train_chain

__all__ = ["Chain", "chain_of", "descends_plainly", "train_chain"]
