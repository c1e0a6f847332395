"""The phases of a run, one file each, and what they work with."""
