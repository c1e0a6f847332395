"""Questions to clients and their answers, over Flower."""
