"""The run directory: records, checkpoints, resume, summary."""
