"""A run that is killed and resumed ends with the same bits as one that was not."""

import json
import os
import signal
import sqlite3
import subprocess

import pytest
from tests.devices import stores

from frugalfl.errors import RunError
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.progress import LOG
from frugalfl_sim.apps import read_settings
from frugalfl_sim.simulate import simulate_app

from .conftest import COMMAND, frugalfl

#: Kills the process, as a power cut would, at the n-th batch after so many checkpoints of it.
KILLER = """
import os, signal
from pathlib import Path

CHECKPOINT = Path("runs/latest/checkpoints/resume.npz")
seen = []

def loss(outputs, targets):
    rounds, batches = map(int, os.environ.get("KILL_AFTER", "999 0").split())
    found = CHECKPOINT.stat() if CHECKPOINT.exists() else None
    mark = found and (found.st_ino, found.st_mtime_ns)
    seen.append(mark)
    if len(set(seen)) > rounds and seen.count(mark) >= batches:
        os.kill(os.getpid(), signal.SIGKILL)
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs, targets)

task = Task(
    "digits", model=model, client_data=client_data, public_data=public_data, loss=loss,
    metrics={"right": lambda outputs, y: (outputs.argmax(1) == y).mean()},
)
"""
#: What has to agree in the table of rounds; joules and seconds are each run's own.
COLUMNS = (
    "phase", "round", "accuracy", "loss", "clients", "updates", "uplink_bytes", "downlink_bytes",
    "skipped", "program_bytes", "metrics",
)  # fmt: skip
#: Clients one by one, so that every batch is one call of the loss; below, all at once.
SMALL = (
    "clients=6", "clients-per-round=3", "local-epochs=1", "rounds=4", "recover-rounds=3",
    "engine=sequential",
)  # fmt: skip


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Run an app undisturbed, and killed and resumed at each moment; return both directories."""

    def both(app, settings, *moments):
        folder = tmp_path_factory.mktemp("resume")
        plain = simulate_app(app, read_settings(app, settings), folder / "plain", baseline=False)
        arguments = [str(app), *settings]
        for moment in moments:
            done = subprocess.run(
                [COMMAND, "simulate", *arguments], cwd=folder, capture_output=True, text=True,
                env={**os.environ, "KILL_AFTER": moment}, timeout=300, check=False,
            )  # fmt: skip
            assert done.returncode == -signal.SIGKILL, done.stderr
            arguments = ["--resume", "latest"]
        done = frugalfl("simulate", "--resume", "latest", cwd=folder)
        assert done.returncode == 0, done.stderr
        return plain, RunDirectory.open(folder / "runs" / "latest")

    return both


def figures(run):
    return [tuple(getattr(record, name) for name in COLUMNS) for record in run.rounds]


def same_model(one, other):
    left, right = one.load_checkpoint(), other.load_checkpoint()
    return list(left) == list(right) and all(
        left[name].tobytes() == right[name].tobytes() for name in left
    )


def on_devices(run, kind):
    """Return what the devices hold of a part, as in their newest state."""
    found = {}
    if (run.path / "devices" / "stores.sqlite").is_file():
        for client, store in stores(run.path).items():
            part = getattr(store.load(run.name), kind)
            found[client] = [(name, tensor.tobytes()) for name, tensor in part.items()]
        return found
    for path in sorted(run.path.glob("devices/client-*/store.sqlite")):
        with sqlite3.connect(path) as store:
            ((slot,),) = store.execute("SELECT slot FROM slots ORDER BY saved DESC LIMIT 1")
            own = f"{kind}-{slot}" if slot else kind
            query = "SELECT name, data FROM tensors WHERE kind = ? ORDER BY place"
            found[path.parent.name] = store.execute(query, (own,)).fetchall()
        store.close()
    return found


@pytest.fixture(scope="module")
def killing_app(tmp_path_factory):
    from .conftest import DIGITS

    folder = tmp_path_factory.mktemp("killing") / "app"
    folder.mkdir()
    (folder / "pyproject.toml").write_text((DIGITS / "pyproject.toml").read_text())
    (folder / "task.py").write_text((DIGITS / "task.py").read_text() + KILLER)
    return folder


@pytest.fixture(scope="module")
def pruned(killed, killing_app):
    """Killed in the third round, and in the first and the second one on the pruned model."""
    settings = [*SMALL, "strategy=fedadam(0.01)", "schedule=plateau(0.5, 1)", "learning-rate=1.0"]
    return killed(killing_app, settings, "2 12", "2 10", "1 10")


@pytest.mark.slow
def test_a_run_killed_in_training_and_in_recovery_ends_with_the_same_model(pruned):
    plain, resumed = pruned
    for run in pruned:
        assert "so the step size is" in (run.path / LOG).read_text()
    assert figures(resumed) == figures(plain)
    assert same_model(resumed, plain)
    int8 = "model/model_int8.tflite"
    assert (resumed.path / int8).read_bytes() == (plain.path / int8).read_bytes()
    for kind in ("model", "residual", "private"):
        assert on_devices(resumed, kind) == on_devices(plain, kind)


@pytest.mark.slow
def test_rounds_that_were_done_twice_are_in_the_tables_once(pruned):
    plain, resumed = pruned
    assert json.loads((resumed.path / "attempts.json").read_text())["first_rounds"] == [1, 3, 5, 6]
    rows = [(e.client, e.round, e.phase) for e in resumed.energy if e.client != "server"]
    assert sorted(rows) == sorted(
        (e.client, e.round, e.phase) for e in plain.energy if e.client != "server"
    )
    assert len({(head.client, head.round) for head in resumed.heads}) == len(resumed.heads)


def test_error_feedback_and_private_blocks_go_on_where_they_were(killed, killing_app):
    settings = [
        *SMALL, "prune=0.0", "private='8'", "refresh=full", "initial=exact", "sampling=sticky(4, 1)",
        "uplink=feedback(momentum 0.5, decay 0.9) | topk(5%) | sign | golomb",
        "strategy=fedavgm(0.9)",
    ]  # fmt: skip
    plain, resumed = killed(killing_app, settings, "2 14", "0 20")
    assert figures(resumed) == figures(plain)
    assert same_model(resumed, plain)
    for kind in ("model", "residual", "private"):
        held = on_devices(resumed, kind)
        assert any(held.values())
        assert held == on_devices(plain, kind)


def test_clients_that_train_at_once_go_on_where_they_were(killed, killing_app):
    settings = [
        *SMALL, "prune=0.0", "recover-rounds=0", "refresh=full", "export=false",
        "uplink=feedback(momentum 0.5, decay 0.9) | topk(5%) | sign | golomb", "engine=auto",
    ]  # fmt: skip
    plain, resumed = killed(killing_app, settings, "2 2")
    assert resumed.read_json("run.json")["settings"]["engine"] == "cohort"
    assert figures(resumed) == figures(plain)
    assert same_model(resumed, plain)
    for kind in ("model", "residual"):
        held = on_devices(resumed, kind)
        assert any(held.values())
        assert held == on_devices(plain, kind)


@pytest.mark.slow  # a run killed and resumed twice; the way down has property tests
def test_a_subspace_goes_on_where_it_was_with_its_folds_and_on_the_pruned_model(
    killed, killing_app
):
    """Killed in the round that folds, and in the first one on the pruned model."""
    settings = [
        "clients=6", "clients-per-round=6", "local-epochs=5", "rounds=4", "recover-rounds=3",
        "refresh=subspace(512, fold 2)", "strategy=fedavgm(0.2)", "prune=0.3",
    ]  # fmt: skip
    plain, resumed = killed(killing_app, settings, "2 60", "2 60")
    assert figures(resumed) == figures(plain)
    assert same_model(resumed, plain)
    int8 = "model/model_int8.tflite"
    assert (resumed.path / int8).read_bytes() == (plain.path / int8).read_bytes()
    for kind in ("model", "base", "fold"):
        held = on_devices(resumed, kind)
        assert any(held.values())
        assert held == on_devices(plain, kind)


def test_a_finished_run_says_so(finished):
    run, _ = finished
    again = frugalfl("simulate", "--resume", run, cwd=run.parent)
    assert again.returncode != 0
    assert "is finished" in again.stderr and len(again.stderr.splitlines()) == 1


def test_other_settings_and_damage_are_refused_in_one_line(killing_app, tmp_path):
    settings = [*SMALL, "prune=0.0"]
    done = subprocess.run(
        [COMMAND, "simulate", str(killing_app), *settings], cwd=tmp_path, capture_output=True,
        env={**os.environ, "KILL_AFTER": "2 5"}, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    other = frugalfl("simulate", "local-epochs=2", "--resume", "latest", cwd=tmp_path)
    assert other.returncode != 0
    assert "begun with local-epochs = 1, not 2" in " ".join(other.stderr.split())

    path = tmp_path / "runs" / "latest" / "checkpoints" / "resume.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    damaged = frugalfl("simulate", "--resume", "latest", cwd=tmp_path)
    assert damaged.returncode != 0
    lines = [one for one in damaged.stderr.splitlines() if not one.startswith("refresh = auto")]
    assert "is damaged" in damaged.stderr and len(lines) <= 2
    assert "Traceback" not in damaged.stderr


def test_a_missing_run_is_named(tmp_path):
    with pytest.raises(RunError, match="not a run directory"):
        RunDirectory.open(tmp_path / "runs" / "latest")
    done = frugalfl("simulate", "--resume", "latest", cwd=tmp_path)
    assert done.returncode != 0
    assert "is not a run directory" in " ".join(done.stderr.split())
