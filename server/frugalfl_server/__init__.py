"""The server: a Flower ServerApp, its strategy, export, and report."""
