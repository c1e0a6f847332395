"""A chain of layers: forwards, and backwards as far as something trains."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from frugalfl_sim.engine.cohort.chain.layers import Layer, Receiver, Shape, rows_for


class Chain:
    """Layers, of which each takes what the one before it returns; features come out."""

    def __init__(self, layers: Sequence[Layer], row: Shape) -> None:
        """Take layers that fit to each other, and the shape of a row of inputs."""
        self._layers = layers
        self._row = row

    @property
    def floats_of_row(self) -> int:
        """How many floats a training step keeps of one row."""
        total, shape = 0, self._row
        for layer in self._layers:
            total += layer.room(shape)
            shape = layer.shape_after(shape)
        return total

    def forward(self, rows: Tensor, receiver: Receiver) -> Tensor:
        """Return the outputs, ``(clients, rows, outputs)``, of rows ``(clients, rows, ...)``."""
        x = rows_for(self._row, rows)
        for layer in self._layers:
            x = layer.forward(x, receiver)
        return x

    def backward(self, gradient: Tensor, receiver: Receiver) -> None:
        """Hand all gradients to the receiver, given that of the outputs."""
        training = [
            place
            for place, layer in enumerate(self._layers)
            if any(map(receiver.trains, layer.names))
        ]
        if not training:
            return
        passed: Tensor | None = gradient
        for place in range(len(self._layers) - 1, training[0] - 1, -1):
            assert passed is not None  # wanted until the first layer that trains
            passed = self._layers[place].backward(passed, receiver, place > training[0])
