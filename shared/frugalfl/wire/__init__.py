"""The one place that knows names inside a Flower RecordDict: one file a question.

Each has a message type, a request and a reply, and what packs and unpacks them.
"""

from frugalfl.wire.calibrate import (
    CALIBRATE,
    RANGES_STYPE,
    CalibrateReply,
    CalibrateRequest,
    pack_calibrate_reply,
    pack_calibrate_request,
    unpack_calibrate_reply,
    unpack_calibrate_request,
)
from frugalfl.wire.content import (
    PROGRAM_STYPE,
    STYPE,
    TASK_FAILED,
    asked_again,
    is_asked_again,
    is_ours,
    length_of,
    offer_carrying,
    offers_carrying,
    program_length_of,
    question_of,
)
from frugalfl.wire.counters import (
    COUNTERS,
    CountersReply,
    CountersRequest,
    pack_counters_reply,
    pack_counters_request,
    unpack_counters_reply,
    unpack_counters_request,
)
from frugalfl.wire.device import LITERT, TORCH
from frugalfl.wire.facts import (
    FACTS,
    FactsReply,
    FactsRequest,
    pack_facts_reply,
    pack_facts_request,
    unpack_facts_reply,
    unpack_facts_request,
)
from frugalfl.wire.train import (
    LEARNING_RATE,
    MOST_LOSS,
    PROXIMAL_MU,
    TRAIN,
    TrainReply,
    TrainRequest,
    pack_average,
    pack_reply,
    pack_request,
    unpack_reply,
    unpack_request,
)
from frugalfl.wire.trees import (
    TREES,
    TreesReply,
    TreesRequest,
    pack_trees_reply,
    pack_trees_request,
    unpack_trees_reply,
    unpack_trees_request,
)

AnyRequest = TrainRequest | CalibrateRequest | CountersRequest | FactsRequest | TreesRequest
AnyReply = TrainReply | CalibrateReply | CountersReply | FactsReply | TreesReply

__all__ = [
    "CALIBRATE", "COUNTERS", "FACTS", "LEARNING_RATE", "LITERT", "MOST_LOSS", "PROGRAM_STYPE",
    "PROXIMAL_MU", "RANGES_STYPE",
    "STYPE", "TASK_FAILED", "TORCH", "TRAIN", "TREES", "AnyReply", "AnyRequest",
    "CalibrateReply", "CalibrateRequest", "CountersReply", "CountersRequest", "FactsReply",
    "FactsRequest", "TrainReply", "TrainRequest", "TreesReply", "TreesRequest", "asked_again",
    "is_asked_again", "is_ours", "length_of", "offer_carrying", "offers_carrying",
    "pack_average", "pack_calibrate_reply", "pack_calibrate_request", "pack_counters_reply",
    "pack_counters_request", "pack_facts_reply", "pack_facts_request", "pack_reply",
    "pack_request", "pack_trees_reply", "pack_trees_request", "program_length_of",
    "question_of", "unpack_calibrate_reply", "unpack_calibrate_request",
    "unpack_counters_reply", "unpack_counters_request", "unpack_facts_reply",
    "unpack_facts_request", "unpack_reply", "unpack_request", "unpack_trees_reply",
    "unpack_trees_request",
]  # fmt: skip
