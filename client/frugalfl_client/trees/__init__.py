"""Growing trees on a client: LightGBM on its own rows, or histograms of its gradients."""
