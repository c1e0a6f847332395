"""Engines: ways to run many clients on one machine."""
