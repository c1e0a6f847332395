"""The settings of a federation: the keys under ``[tool.flwr.app.config]`` of an app, by subject.

Both ends read the same settings: Flower hands them to the ServerApp and to every ClientApp as the
run config. Each subject is a file; its fields are keys, and it checks itself. Texts in the little
language of settings are read there, once, into what the code works with.
"""

from frugalfl.settings.run import OWN
from frugalfl.settings.settings import Settings, places, takes_text
from frugalfl.settings.train import COUNTERS, TRAINERS

__all__ = ["COUNTERS", "OWN", "TRAINERS", "Settings", "places", "takes_text"]
