"""A seeded world of devices: how long each takes on the simulated clock, and who answers at all."""
