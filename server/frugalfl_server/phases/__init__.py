"""The parts of a run beside training rounds, one file each."""
