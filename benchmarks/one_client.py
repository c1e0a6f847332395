"""One round of one client in a process of its own, for `benchmarks/training.py`.

    python one_client.py torch|litert FOLDER

FOLDER holds the request, and becomes the device's disk. With ``litert``, neither PyTorch nor
TensorFlow can be imported. Prints the peak resident set as JSON.
"""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frugalfl import Examples, PublicData, Task

if TYPE_CHECKING:
    import torch

DEMO = Path(__file__).parents[1] / "simulations" / "digits" / "task.py"
#: As many as the demo's clients have on average.
ROWS = 34


def model() -> torch.nn.Module:
    """Build the demo's net."""
    built: torch.nn.Module = runpy.run_path(str(DEMO))["model"]()
    return built


def rows(client: int, clients: int) -> Examples:
    """Return rows of the demo's shape that need no data library."""
    rng = np.random.default_rng(client)
    return Examples(rng.random((ROWS, 1, 8, 8), np.float32), rng.integers(0, 10, ROWS))


def public() -> PublicData:
    """Return the same for the server."""
    return PublicData(test=rows(0, 1))


task = Task("one-client", model=model, client_data=rows, public_data=public)


class _Missing:
    """Finds PyTorch and TensorFlow before Python does, and says that they are not there."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in ("torch", "tensorflow"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def answer(trainer: str, folder: Path) -> dict[str, float]:
    """Do the round; return the peak resident set (MB) and the loss."""
    from flwr.app import Context, Message, RecordDict
    from flwr.supercore.task_identity import TaskIdentity

    from frugalfl import wire
    from frugalfl.settings import Settings
    from frugalfl_client.app import app

    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
    settings = Settings.of(task="one_client:task", trainer=trainer, prune=0.0)
    program = (folder / "program").read_bytes() if trainer == wire.LITERT else b""
    digest = (folder / "digest").read_text() if program else ""
    request = wire.TrainRequest(
        "run", 1, -1, 1, (0, 1, 2, 3), (folder / "frames").read_bytes(), settings.wire.uplink,
        program=digest, program_file=program,
    )  # fmt: skip
    context = Context(
        run_id=1, node_id=1, state=RecordDict(), run_config=settings.as_config(),
        node_config={"partition-id": 0, "num-partitions": 1, "state-dir": str(folder)},
    )  # fmt: skip
    message = Message(wire.pack_request(request), dst_node_id=1, message_type="train")
    reply = wire.unpack_reply(app(message, context))
    # Not getrusage: its peak begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak is not None and reply.frame and reply.trainer == trainer
    return {"peak_mb": int(peak.group(1)) / 1024, "loss": reply.loss}


if __name__ == "__main__":
    if sys.argv[1] == "litert":
        sys.meta_path.insert(0, _Missing())  # type: ignore[arg-type]
    print(json.dumps(answer(sys.argv[1], Path(sys.argv[2]))))
