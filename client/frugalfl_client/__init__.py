"""The client: a Flower ClientApp, and what a device keeps on its own disk."""
