"""One method, once run: its evaluation and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from frugalfl_sim.comparison.estimates import Joules
from frugalfl_sim.rare_cases.alerts import Alerts
from frugalfl_sim.rare_cases.evaluation import Evaluation, Quality


@dataclass(frozen=True)
class Method:
    """A way to get a model.

    Attributes:
        name: For people; short enough for a table.
        note: What it is, in a line.
        federated: Whether rows stay in their branch while the model is everybody's.
    """

    name: str
    note: str
    federated: bool


#: By key, in the order of tables.
METHODS = {
    "alone": Method(
        "each branch alone", "trees that each branch trains on its own rows; nothing is sent", False
    ),
    "central": Method(
        "centralised trees", "forbidden, the upper bound: all rows in one place", False
    ),
    "central_all": Method(
        "central, unsampled", "forbidden: centralised trees without negative subsampling", False
    ),
    "bagging": Method(
        "federated bagging", "branches add trees side by side, weighted by their rows", True
    ),
    "refit": Method(
        "federated refit",
        "as bagging, with leaves from the sums of everybody's gradients; two exchanges a round",
        True,
    ),
    "cyclic": Method("federated cyclic", "branches add trees one after the other", True),
    "histogram": Method(
        "federated histogram", "one tree for all, from sums of the branches' histograms", True
    ),
    "mlp": Method("federated MLP", "a small network, float32", True),
    "mlp_int8": Method("federated MLP int8", "the same network as int8, for the edge", True),
    "central_mlp": Method(
        "centralised MLP", "forbidden: the network trained on all rows in one place", False
    ),
}


@dataclass(frozen=True)
class Bytes:
    """What was sent one way in a whole federation, all branches together (B).

    Attributes:
        model: Trees, histograms or parameters.
        bins: Sketches of features, or the bins agreed on.
        counters: Sums of hashed terminals.
    """

    model: int = 0
    bins: int = 0
    counters: int = 0

    @property
    def total(self) -> int:
        """All kinds together (B)."""
        return self.model + self.bins + self.counters


@dataclass(frozen=True)
class Row:
    """One method under one condition, with one seed.

    Attributes:
        seed: Of the data and of the training.
        split: How customers are divided into branches, such as ``geography`` or ``segment``.
        counters: Whether terminal counters are ``local`` or ``shared``.
        method: A key of ``METHODS``.
        branch: With ``alone``, the one branch whose model this is, scoring everybody's rows;
            ``None`` otherwise, and for the row of ``alone`` in which each branch's model scores
            its own rows.
        evaluation: On all held-out rows.
        uplink: Branches to server; ``None`` where the rows themselves were put in one place.
        downlink: Server to branches; likewise.
        rounds: Of the federation; 0 where there is none.
        training: Energy of the training, on all branches together.
        scoring: Energy of scoring all held-out rows once.
        model_bytes: Size of the model as it is deployed (B).
        seconds: Wall time of the training.
    """

    seed: int
    split: str
    counters: str
    method: str
    branch: str | None
    evaluation: Evaluation
    uplink: Bytes | None
    downlink: Bytes | None
    rounds: int
    training: Joules
    scoring: Joules
    model_bytes: int
    seconds: float

    @property
    def uplink_bytes(self) -> int | None:
        """All that the branches sent (B)."""
        return None if self.uplink is None else self.uplink.total

    @property
    def downlink_bytes(self) -> int | None:
        """All that they were sent (B)."""
        return None if self.downlink is None else self.downlink.total

    @property
    def identity(self) -> tuple[int, str, str, str, str | None]:
        """What no two rows have in common."""
        return self.seed, self.split, self.counters, self.method, self.branch


def row_from(data: Mapping[str, Any]) -> Row:
    """Return the row of which ``data`` is ``dataclasses.asdict``, by way of JSON.

    Raises:
        KeyError: A field is missing.
        TypeError: A field is unknown, or not what it should be.
    """
    return Row(
        **{
            **data,
            "evaluation": _evaluation(data["evaluation"]),
            "uplink": _bytes(data["uplink"]),
            "downlink": _bytes(data["downlink"]),
            "training": Joules(**data["training"]),
            "scoring": Joules(**data["scoring"]),
        }
    )


def _bytes(data: Mapping[str, Any] | None) -> Bytes | None:
    return None if data is None else Bytes(**data)


def _evaluation(data: Mapping[str, Any]) -> Evaluation:
    return Evaluation(
        **{
            **data,
            "pooled": Quality(**data["pooled"]),
            "branches": {name: Quality(**one) for name, one in data["branches"].items()},
            "alerts": Alerts(**data["alerts"]),
            "precision_recall": tuple((x, y) for x, y in data["precision_recall"]),
            "reliability": tuple((x, y) for x, y in data["reliability"]),
        }
    )
