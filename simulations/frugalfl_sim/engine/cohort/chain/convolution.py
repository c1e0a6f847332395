"""Convolutions of many clients: patches side by side, and one batched product."""

from __future__ import annotations

from itertools import product
from math import prod

import torch
from torch import Tensor

from frugalfl_sim.engine.cohort.chain.layers import Receiver, Shape


class Convolution:
    """Maps to maps, one or two places wide.

    The patches of all rows are the columns of a matrix ``(channels x kernel, places x rows)`` per
    client, so that weights and their gradients keep PyTorch's order, and so do maps.
    """

    fresh = True

    def __init__(
        self,
        weight: str,
        bias: str,
        shape: Shape,
        strides: Shape,
        dilations: Shape,
        pads: tuple[Shape, Shape],
    ) -> None:
        """Describe it.

        Args:
            weight: Name of the weight.
            bias: Name of the bias, or empty.
            shape: Of the weight, ``(channels out, channels in, *kernel)``.
            strides: By place.
            dilations: By place.
            pads: Zeros before and behind, by place.
        """
        self._weight, self._bias, self._shape = weight, bias, shape
        self._strides, self._dilations, self._pads = strides, dilations, pads
        self.names: tuple[str, ...] = (weight, bias) if bias else (weight,)

    def shape_after(self, shape: Shape) -> Shape:
        """See ``Layer``."""
        if len(shape) != len(self._shape) - 1 or shape[0] != self._shape[1]:
            raise ValueError("a convolution on maps of another shape")
        return (self._shape[0], *self._places(shape[1:]))

    def room(self, shape: Shape) -> int:
        """See ``Layer``."""
        places = prod(self._places(shape[1:]))
        return (self._shape[0] + 2 * prod(self._shape[1:])) * places + 2 * prod(shape)

    def forward(self, x: Tensor, receiver: Receiver) -> Tensor:
        """See ``Layer``."""
        padded = self._padded(x)
        clients, channels = padded.shape[:2]
        places = self._places(x.shape[2:-1])
        self._patches = self._windows(padded, places).reshape(
            clients, channels * prod(self._shape[2:]), -1
        )
        weight = receiver.parameter(self._weight).flatten(2)
        if self._bias:
            bias = receiver.parameter(self._bias).unsqueeze(2)
            y = torch.baddbmm(bias, weight, self._patches)
        else:
            y = torch.bmm(weight, self._patches)
        self._before = x.shape
        return y.view(clients, self._shape[0], *places, x.shape[-1])

    def backward(self, dy: Tensor, receiver: Receiver, wanted: bool) -> Tensor | None:
        """See ``Layer``."""
        flat = dy.flatten(2)
        dx = None
        if wanted:
            dx = self._gathered(
                torch.bmm(receiver.parameter(self._weight).flatten(2).mT, flat), dy.shape[2:-1]
            )
        if receiver.trains(self._weight):
            receiver.take_product(self._weight, flat, self._patches.mT)
        if self._bias and receiver.trains(self._bias):
            receiver.take(self._bias, flat.sum(2))
        return dx

    def padded_by(self, pads: tuple[Shape, Shape]) -> Convolution:
        """Return the same convolution of maps with more zeros around them."""
        before, behind = (
            tuple(one + more for one, more in zip(own, added, strict=True))
            for own, added in zip(self._pads, pads, strict=True)
        )
        return Convolution(
            self._weight, self._bias, self._shape, self._strides, self._dilations, (before, behind)
        )

    def _places(self, places: Shape) -> Shape:
        """Return how many places there are behind it."""
        return tuple(
            (size + before + behind - dilation * (kernel - 1) - 1) // stride + 1
            for size, before, behind, dilation, kernel, stride in zip(
                places, *self._pads, self._dilations, self._shape[2:], self._strides, strict=True
            )
        )

    def _padded(self, x: Tensor) -> Tensor:
        if not any(map(any, self._pads)):
            return x.contiguous()
        sizes = [size + b + e for size, b, e in zip(x.shape[2:-1], *self._pads, strict=True)]
        padded = x.new_zeros(*x.shape[:2], *sizes, x.shape[-1])
        self._inner(padded, x.shape[2:-1]).copy_(x)
        return padded

    def _inner(self, padded: Tensor, places: Shape) -> Tensor:
        """Return the view of what is not padding."""
        for axis, (before, size) in enumerate(zip(self._pads[0], places, strict=True)):
            padded = padded.narrow(2 + axis, before, size)
        return padded

    def _windows(self, padded: Tensor, places: Shape) -> Tensor:
        """Return the view ``(clients, channels, *kernel, *places, rows)`` of contiguous maps."""
        steps = padded.stride()
        inner = [step * d for step, d in zip(steps[2:-1], self._dilations, strict=True)]
        outer = [step * s for step, s in zip(steps[2:-1], self._strides, strict=True)]
        return padded.as_strided(
            (*padded.shape[:2], *self._shape[2:], *places, padded.shape[-1]),
            (*steps[:2], *inner, *outer, steps[-1]),
        )

    def _gathered(self, patches: Tensor, places: Shape) -> Tensor:
        """Sum the gradients of patches into that of the input: a view of the padded one."""
        clients, channels, *before, rows = self._before
        sizes = [size + b + e for size, b, e in zip(before, *self._pads, strict=True)]
        padded = patches.new_zeros(clients, channels, *sizes, rows)
        windows = self._windows(padded, places)
        kernel = self._shape[2:]
        parts = patches.view(clients, channels, *kernel, *places, rows)
        for place in product(*map(range, kernel)):
            index: tuple[slice | int, ...] = (slice(None), slice(None), *place)
            windows[index].add_(parts[index])
        return self._inner(padded, tuple(before)).contiguous()
