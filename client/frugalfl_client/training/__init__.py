"""Trainers: one file each. All turn parameters and rows into an update."""
