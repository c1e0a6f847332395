"""An app whose model is large and wide enough for ``refresh = auto`` to choose a subspace."""

from pathlib import Path

PROJECT = """
[project]
name = "wide"
version = "0.1.0"

[tool.flwr.app]
publisher = "me"

[tool.flwr.app.components]
serverapp = "frugalfl_server.app:app"
clientapp = "spy:app"

[tool.flwr.app.config]
task = "task:task"
clients = 32
clients-per-round = 8
rounds = 60
local-epochs = 1
prune = 0.0
export = false
initial = "seeded"
stop-patience = 6
refresh = "auto"
"""
#: 83,203 weights, few rows.
TASK = """
import numpy as np
from frugalfl import Examples, PublicData, Task

def rows(seed):
    y = np.arange(24) % 3
    x = np.random.default_rng(seed).standard_normal((24, 100)) + 2 * np.eye(3)[y].repeat(34, 1)[:, :100]
    return Examples(x.astype(np.float32), y)

def model():
    from torch import nn

    return nn.Sequential(nn.Linear(100, 800), nn.ReLU(), nn.Linear(800, 3))

task = Task(
    "wide", model=model, client_data=lambda client, _: rows(client),
    public_data=lambda: PublicData(rows(99)),
)
"""
#: Our ClientApp, which notes the plan that it is told, and may be stopped as Ctrl-C does.
SPY = """
from pathlib import Path
from flwr.clientapp import ClientApp
from frugalfl_client.app import app as ours

SEEN, STOP = (Path(__file__).parents[1] / name for name in ("seen", "stop"))

class Spy(ClientApp):
    def __call__(self, message, context):
        with SEEN.open("a") as file:
            file.write(context.run_config.get("refresh", "not told") + "\\n")
        if STOP.exists() and len(SEEN.read_text().splitlines()) > 48:
            STOP.unlink()
            raise KeyboardInterrupt
        return ours(message, context)

app = Spy()
"""


def write_wide_app(folder: Path) -> Path:
    """Write it into a new folder; its clients note the plans that they are told beside it."""
    folder.mkdir()
    for name, text in (("pyproject.toml", PROJECT), ("task.py", TASK), ("spy.py", SPY)):
        (folder / name).write_text(text)
    return folder
