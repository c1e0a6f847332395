"""What a task learns: which outputs answer which targets, and what its models are measured by."""

from frugalfl.kinds.infer import check_kind, kind_of
from frugalfl.kinds.kind import CLASSIFICATION, KINDS, Kind, kind_named
from frugalfl.kinds.run_scoring import (
    ACCURACY,
    Scores,
    Scoring,
    scoring_by_targets,
    scoring_of,
    unknown_scores,
)

__all__ = [
    "ACCURACY",
    "CLASSIFICATION",
    "KINDS",
    "Kind",
    "Scores",
    "Scoring",
    "check_kind",
    "kind_named",
    "kind_of",
    "scoring_by_targets",
    "scoring_of",
    "unknown_scores",
]
