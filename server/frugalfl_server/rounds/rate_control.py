"""The rate of the uplink: how coarsely clients round, chosen by the server, round by round.

Only the server knows how many clients report, and that decides how much rounding noise the mean
can bear: a step that is safe with ten clients a round can collapse training with three. With the
uplink ``stochastic(auto)``, every request carries the step's rule for this round,
``stochastic(v noise, reference)``:

- ``v`` grows with the number of clients n: 17.9 for ten, and with n to the power 0.48, found on
  three small tasks (`benchmarks/uplink.py` measures it). Noise of the mean falls with n, but what
  the clients' updates agree in falls too, so that the power is below 1.
- ``reference`` bounds the step by what was usual: the median, over the last ten rounds, of each
  round's median base (``sum x² / sum |x|``). Without it there is a loop: noise grows the weights,
  the weights the updates, the updates the step, the step the noise.
- What remains is a random walk: noise of known power adds to the weights of every tensor, in
  expectation orthogonally, and their growth slows training down. :meth:`RateControl.settle` takes
  the growth back: it scales each tensor to the length that it would have without the noise.

A byte budget (`budget.py`) may raise ``v`` further, at most to double.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median, median_high
from typing import Any

import numpy as np

from frugalfl.blocks import FloatArray, Parameters, is_statistic
from frugalfl.codec import Steering as Report
from frugalfl.codec import parse_codec
from frugalfl_server.rounds.byte_budget import Budget

#: Noise that the mean of n clients can bear: _NOISE * (n / 10) ** _GROWTH times an update's power.
_NOISE, _GROWTH = 17.914, 0.48
#: Rounds over which the reference step is the median.
_ROUNDS = 10
#: Step of a subspace's coordinates, times their root mean square.
_WITHIN = 2.0
#: No tensor is scaled by less than this in one round.
_LEAST_SCALE = 0.5


class RateControl:
    """Chooses the uplink codec of each round, and settles the mean of what came back."""

    def __init__(self, uplink: str, budget_b: int = 0, subspace: bool = False) -> None:
        """Begin a phase.

        Args:
            uplink: Of the settings; without ``stochastic(auto)`` in it, nothing is steered.
            budget_b: Most bytes of an update, on average over a round; 0: no budget.
            subspace: Updates are of a subspace's coordinates: few, none of them small beside the
                others, and begun anew at each fold. Then a step of their root mean square is right,
                and there is no growth of weights to take back.
        """
        self.budget = Budget(budget_b, coarsest=2.0)
        first, *self._rest = map(str, parse_codec(uplink).calls)
        self._uplink = uplink
        self._within = subspace and first == "stochastic(auto)"
        self.active = first == "stochastic(auto)" and not subspace
        self._medians: deque[float] = deque(maxlen=_ROUNDS)
        self._round = _Noise()

    @property
    def codec(self) -> str:
        """What updates travel by, as a person is told: without what differs between rounds."""
        return _within(1.0) if self._within else self._uplink

    def codec_for(self, clients: int) -> str:
        """Return the codec text for a round of so many clients, and begin the round."""
        self._round = _Noise()
        if self._within:
            return _within(self.budget.factor)
        if not self.active:
            return self._uplink
        noise = f"{self.budget.factor * _NOISE * (max(clients, 1) / 10) ** _GROWTH:.4g} noise"
        bound = f"{median_high(self._medians):.6g}" if self._medians else "any"
        return " | ".join([f"stochastic({noise}, {bound})", *self._rest])

    def note(
        self, report: Report | None, weight: float, sizes: Mapping[str, float], share: float = 1.0
    ) -> None:
        """Take down one update's rounding.

        Args:
            report: What the frame said of its step.
            weight: Weight of this update in the mean, before division by the sum of all.
            sizes: Sum of the absolute decoded values, by tensor.
            share: What the update was multiplied by.
        """
        if self.active and report is not None and report.base is not None:
            trained = {name: size for name, size in sizes.items() if not is_statistic(name)}
            self._round.add(report.step, report.base, weight, trained, share)

    def settle(self, model: Parameters) -> Parameters:
        """End the round: take from the averaged model what the rounding added to its length."""
        if self._round.bases:
            self._medians.append(median(self._round.bases))
        return self._round.settle(model)

    def state(self) -> dict[str, Any]:
        """Return what is known between rounds, for a checkpoint."""
        return {"medians": list(self._medians), "factor": self.budget.factor}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self._medians.extend(state["medians"])
        self.budget.factor = state["factor"]


def _within(factor: float) -> str:
    """Return what a subspace's coordinates travel by, with steps so many times the usual ones."""
    return f"dithered({_WITHIN * factor:.4g} sigma) | rans"


class _Noise:
    """The rounding noise of one round's mean, by tensor."""

    def __init__(self) -> None:
        self.bases: list[float] = []
        self._tensors: dict[str, _OfTensor] = {}

    def add(
        self, step: float, base: float, weight: float, sizes: Mapping[str, float], share: float
    ) -> None:
        """Add an update: ``step * sum |x|`` is the power of its rounding and of itself together."""
        if base > 0:
            self.bases.append(base)
        for name, size in sizes.items():
            found = self._tensors.setdefault(name, _OfTensor())
            found.weight += weight
            found.power += (weight * share) ** 2 * step * size
            found.own += (weight * share) ** 2 * base * size

    def settle(self, model: Parameters) -> Parameters:
        """Scale each tensor as if the noise, orthogonal to it, were not there."""
        power = {name: t.power / t.weight**2 for name, t in self._tensors.items()}
        own = sum(t.own / t.weight**2 for t in self._tensors.values())
        total = sum(power.values())
        if total <= own:
            return model
        share = 1 - own / total
        return model | {
            name: model[name] * np.float32(_scale(model[name], share * noise))
            for name, noise in power.items()
        }


@dataclass
class _OfTensor:
    """Sums over the updates that held a tensor; weights are not divided by their sum yet."""

    weight: float = 0.0
    power: float = 0.0
    own: float = 0.0


def _scale(tensor: FloatArray, noise: float) -> float:
    power = float(np.vdot(tensor, tensor))
    return math.sqrt(max(1 - noise / power, _LEAST_SCALE**2)) if power > 0 else 1.0
