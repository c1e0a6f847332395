"""Growing trees with clients: bagging, cyclic and histogram strategies for Flower."""
