"""Trains many clients of one task as one batched program."""

from frugalfl_sim.engine.cohort.cohort_trainer import CohortTrainer
from frugalfl_sim.engine.cohort.job import Job

__all__ = ["CohortTrainer", "Job"]
