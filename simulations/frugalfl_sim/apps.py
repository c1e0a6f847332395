"""A Flower app directory, as the server reads it."""

from frugalfl_server.run.app_directory import apply_changes, importable, quiet_flower, read_settings

__all__ = ["apply_changes", "importable", "quiet_flower", "read_settings"]
