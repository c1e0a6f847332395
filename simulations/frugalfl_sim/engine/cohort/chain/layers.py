"""Layers of a chain, for many clients at once.

Features have the shape ``(clients, rows, features)``; maps have
``(clients, channels, *places, rows)``: so a convolution is one product with its own weights as they
are, patches are copied in runs of as many numbers as there are rows, whatever the stride, and maps
become features without being moved.

A layer's forward keeps what its backward needs. Its backward hands the gradients of parameters to
a receiver, and returns that of its input, unless nothing before it trains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Protocol

import torch
from torch import Tensor

Shape = tuple[int, ...]


class Receiver(Protocol):
    """Holds the parameters of all clients, and takes their gradients."""

    def parameter(self, name: str) -> Tensor:
        """Return a parameter, of shape ``(clients, ...)``."""

    def trains(self, name: str) -> bool:
        """Say whether a parameter wants a gradient."""

    def take_product(self, name: str, left: Tensor, right: Tensor) -> None:
        """Take a gradient that is the batched product of two: ``(clients, rows, columns)``."""

    def take(self, name: str, gradient: Tensor) -> None:
        """Take a gradient."""


class Layer(Protocol):
    """One layer.

    Attributes:
        names: Of its parameters.
        fresh: Whether nobody else needs the tensor that it returns, so that it may be overwritten.
    """

    names: tuple[str, ...]
    fresh: bool

    def shape_after(self, shape: Shape) -> Shape:
        """Return the shape of one row's outputs, as PyTorch has it.

        Raises:
            ValueError: The layer does not take such rows here.
        """

    def room(self, shape: Shape) -> int:
        """Return how many floats it keeps for one row of this shape."""

    def forward(self, x: Tensor, receiver: Receiver) -> Tensor:
        """Return the outputs."""

    def backward(self, dy: Tensor, receiver: Receiver, wanted: bool) -> Tensor | None:
        """Hand over gradients; return that of the input, if it is wanted. ``dy`` may be changed."""


class Linear:
    """Features to features."""

    fresh = True

    def __init__(self, weight: str, bias: str, shape: Shape) -> None:
        """Take the parameters' names (bias: may be empty) and the weight's shape."""
        self._weight, self._bias, self._shape = weight, bias, shape
        self.names: tuple[str, ...] = (weight, bias) if bias else (weight,)

    def shape_after(self, shape: Shape) -> Shape:
        """See :class:`Layer`."""
        if shape != self._shape[1:]:
            raise ValueError("a linear layer on anything but features")
        return self._shape[:1]

    def room(self, shape: Shape) -> int:
        """See :class:`Layer`."""
        return self._shape[0]

    def forward(self, x: Tensor, receiver: Receiver) -> Tensor:
        """See :class:`Layer`."""
        self._x = x
        weight = receiver.parameter(self._weight).mT
        if not self._bias:
            return torch.bmm(x, weight)
        return torch.baddbmm(receiver.parameter(self._bias).unsqueeze(1), x, weight)

    def backward(self, dy: Tensor, receiver: Receiver, wanted: bool) -> Tensor | None:
        """See :class:`Layer`."""
        dx = torch.bmm(dy, receiver.parameter(self._weight)) if wanted else None
        if receiver.trains(self._weight):
            receiver.take_product(self._weight, dy.mT, self._x)
        if self._bias and receiver.trains(self._bias):
            receiver.take(self._bias, dy.sum(1))
        return dx


class Relu:
    """What is above 0, else 0."""

    names: tuple[str, ...] = ()
    fresh = True

    def __init__(self, in_place: bool) -> None:
        """Say whether the input may be overwritten."""
        self._in_place = in_place

    def shape_after(self, shape: Shape) -> Shape:
        """See :class:`Layer`."""
        return shape

    def room(self, shape: Shape) -> int:
        """See :class:`Layer`."""
        return 0 if self._in_place else prod(shape)

    def forward(self, x: Tensor, receiver: Receiver) -> Tensor:
        """See :class:`Layer`."""
        self._y = x.relu_() if self._in_place else x.relu()
        return self._y

    def backward(self, dy: Tensor, receiver: Receiver, wanted: bool) -> Tensor | None:
        """See :class:`Layer`."""
        return torch.ops.aten.threshold_backward(dy, self._y, 0) if wanted else None


class Flatten:
    """Maps to features, in PyTorch's order: channels, then places."""

    names: tuple[str, ...] = ()
    fresh = False

    def shape_after(self, shape: Shape) -> Shape:
        """See :class:`Layer`."""
        return (prod(shape),)

    def room(self, shape: Shape) -> int:
        """See :class:`Layer`."""
        return prod(shape)

    def forward(self, x: Tensor, receiver: Receiver) -> Tensor:
        """See :class:`Layer`."""
        self._shape = x.shape
        return x.flatten(1, -2).mT

    def backward(self, dy: Tensor, receiver: Receiver, wanted: bool) -> Tensor | None:
        """See :class:`Layer`."""
        if not wanted:
            return None
        return dy.mT.reshape(self._shape)


class Unflatten:
    """Features to maps, in PyTorch's order."""

    names: tuple[str, ...] = ()
    fresh = False

    def __init__(self, shape: Shape) -> None:
        """Take the shape of one row's maps."""
        self._shape = shape

    def shape_after(self, shape: Shape) -> Shape:
        """See :class:`Layer`."""
        if len(shape) != 1 or len(self._shape) < 2 or prod(shape) != prod(self._shape):
            raise ValueError("unflattens anything but features")
        return self._shape

    def room(self, shape: Shape) -> int:
        """See :class:`Layer`."""
        return prod(shape)

    def forward(self, x: Tensor, receiver: Receiver) -> Tensor:
        """See :class:`Layer`."""
        return x.mT.reshape(x.shape[0], *self._shape, x.shape[1])

    def backward(self, dy: Tensor, receiver: Receiver, wanted: bool) -> Tensor | None:
        """See :class:`Layer`."""
        return dy.flatten(1, -2).mT if wanted else None


class ByAutograd:
    """A function without parameters that treats rows alike, and maps channel by channel."""

    names: tuple[str, ...] = ()
    fresh = False

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        places: int | None = None,
        pads: tuple[Shape, Shape] | None = None,
    ) -> None:
        """Take the function.

        Args:
            function: On tensors of any shape; or, with ``places``, on ``(any, any, *places)``.
            places: How many axes maps have to have behind channels.
            pads: The zeros before and behind each place, if it does nothing but put them there.
        """
        self._function = function
        self._places = places
        self.pads = pads

    def shape_after(self, shape: Shape) -> Shape:
        """See :class:`Layer`."""
        if self._places is None:
            return shape
        if len(shape) != 1 + self._places:
            raise ValueError("pools or pads maps with other axes")
        return (*self._function(torch.zeros(1, *shape)).shape[1:],)

    def room(self, shape: Shape) -> int:
        """See :class:`Layer`."""
        return 2 * prod(self.shape_after(shape)) + prod(shape)

    def forward(self, x: Tensor, receiver: Receiver) -> Tensor:
        """See :class:`Layer`."""
        with torch.enable_grad():
            self._x = x.detach().requires_grad_()
            if self._places is None:
                self._y = self._function(self._x)
            else:
                y = self._function(self._x.movedim(-1, 2).flatten(0, 1))
                self._y = y.view(*x.shape[:2], *y.shape[1:]).movedim(2, -1)
        return self._y.detach()

    def backward(self, dy: Tensor, receiver: Receiver, wanted: bool) -> Tensor | None:
        """See :class:`Layer`."""
        if not wanted:
            return None
        (dx,) = torch.autograd.grad(self._y, self._x, dy)
        return dx


def rows_for(shape: Sequence[int], rows: Tensor) -> Tensor:
    """Turn a batch of rows ``(clients, rows, *shape)`` into features or maps."""
    return rows if len(shape) == 1 else rows.movedim(1, -1).contiguous()
