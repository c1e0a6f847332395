"""Federated trees."""
