"""``refresh = auto`` with real processes: approved, served, and trained by a device that asks why."""

import json
import os
import signal

import pytest
from tests.wide_app import write_wide_app

pytestmark = pytest.mark.slow

PLAN = "subspace(1024, fold 5)"


def test_what_approve_compiles_is_what_serve_has_a_device_train(machines):
    app = write_wide_app(machines.folder / "app")
    approving = machines.start("frugalfl", "approve", app)
    assert approving.wait(300) == 0, approving.said
    assert f"refresh = auto: {PLAN}, since 3 of 4 clients" in approving.said
    approved = machines.folder / "approved.json"
    assert f"train: {PLAN}" in approved.read_text()

    serving = machines.serve(app)
    config = f'trainer="litert" approved="{approved}"'
    node = machines.lean(0, 4, config=config)
    serving.wait_for("train +8/60", 300)  # the first fold is over
    os.kill(serving.pid, signal.SIGINT)
    serving.wait(60)
    assert serving.said.count(f"refresh = auto: {PLAN}, since ") == 1
    assert "refused" not in node.said + serving.said
    (run,) = [path.parent for path in machines.folder.rglob("summary.json")]
    about = json.loads((run / "run.json").read_text())
    assert about["settings"]["refresh"] == PLAN and about["chosen"]["refresh"].startswith("auto: ")
    (seen,) = machines.folder.rglob("seen")
    assert set(seen.read_text().split("\n")) == {PLAN, ""}
