"""Training rounds: what goes down, what comes back, and the sum."""
