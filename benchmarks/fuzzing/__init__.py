"""Damaged inputs, thrown at every decoder; tests and the table of attacks share them."""

from fuzzing.decoder import Decoder, Thrown, throw
from fuzzing.everything import every_decoder

__all__ = ["Decoder", "Thrown", "every_decoder", "throw"]
