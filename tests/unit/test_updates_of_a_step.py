"""What a strategy is shown that wants every client's update by itself."""

import zlib

import numpy as np
import pytest
from flwr.app import Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from frugalfl import wire
from frugalfl.blocks import Layout
from frugalfl.codec import encode_frame, parse_codec
from frugalfl.errors import FrameError
from frugalfl_server.rounds.questions import Asked
from frugalfl_server.rounds.rate_control import RateControl
from frugalfl_server.rounds.sums import EachUpdate, MeanOfAll, Update

LAYOUT = Layout.of({"a.weight": np.zeros((20, 30), np.float32)})


def update_of(shape: tuple[int, ...]) -> Update:
    """Return an update of such a tensor, with damage that only decoding it finds."""
    tensors = {"a.weight": np.rint(np.random.default_rng(0).normal(size=shape)).astype(np.float32)}
    codec = parse_codec("dyadic | rans")
    frame, _ = encode_frame(codec, Layout.of(tensors), tensors, base=3, version=3)
    body = frame[:-5] + bytes([frame[-5] ^ 1])
    reply = wire.TrainReply(3, body + zlib.crc32(body).to_bytes(4, "little"), 5, 1.0)
    message = Message(RecordDict(), dst_node_id=1, message_type="train")
    return Update(message, reply, Asked(3, (0,), 0.0), rows=5)


@pytest.mark.parametrize(
    "sums",
    [
        EachUpdate(LAYOUT, RateControl("raw"), clips=False),
        MeanOfAll(LAYOUT, RateControl("raw")),
    ],
)
def test_an_update_of_other_shapes_is_refused_before_it_is_decoded(sums, monkeypatch) -> None:
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    with pytest.raises(FrameError, match="symbols do not end"):
        sums.add(update_of((20, 30)), None)
    with pytest.raises(FrameError, match="'a' has other shapes in the frame"):
        sums.add(update_of((20, 29)), None)
    assert sums.updates == 0
