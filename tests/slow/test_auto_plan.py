"""``refresh = auto`` with real processes: approved, served, and trained by a device that asks why."""

import json

import pytest
from tests.wide_app import write_wide_app

pytestmark = pytest.mark.slow

PLAN = "subspace(1024, fold 5)"


def test_what_approve_compiles_is_what_serve_has_a_device_train(machines):
    app = write_wide_app(machines.folder / "app")
    approving = machines.start("frugalfl", "approve", app)
    assert approving.wait(300) == 0, approving.said
    assert f"refresh = auto: {PLAN}, since 24 of 32 clients" in approving.said
    approved = machines.folder / "approved.json"
    assert f"train: {PLAN}" in approved.read_text()

    serving = machines.serve(app)
    config = f'trainer="litert" approved="{approved}"'
    nodes = [machines.lean(number, 32, config=config) for number in range(8)]
    assert serving.wait(600) == 0, serving.said
    assert serving.said.count(f"refresh = auto: {PLAN}, since ") == 1
    assert "refused" not in "".join(one.said for one in (*nodes, serving))
    (run,) = [path.parent for path in machines.folder.rglob("summary.json")]
    assert json.loads((run / "summary.json").read_text())["updates"] > 5  # a fold is among them
    about = json.loads((run / "run.json").read_text())
    assert about["settings"]["refresh"] == PLAN and about["chosen"]["refresh"].startswith("auto: ")
    (seen,) = machines.folder.rglob("seen")
    assert set(seen.read_text().split("\n")) == {PLAN, ""}


def test_under_flwr_run_whose_clients_have_been_told_auto_all_weights_train(machines):
    app = write_wide_app(machines.folder / "app")
    machines.superlink()
    machines.lean(0, 4, config='trainer="torch"')
    run = machines.run(
        app, stop_patience=2, clients_per_round=1
    )  # 60 rounds, if it were not for that
    assert run.wait(300) == 0, run.said
    (about,) = [json.loads(path.read_text()) for path in machines.folder.rglob("run.json")]
    assert about["settings"]["refresh"] == "full"
    assert about["chosen"]["refresh"].startswith("auto: full, since flwr run tells clients")
    (summary,) = [json.loads(path.read_text()) for path in machines.folder.rglob("summary.json")]
    assert summary["status"] == "finished" and summary["updates"] == summary["rounds"] > 0
