"""From ``frugalfl.simulate`` to the tables of a run, as a notebook has them, and ``frugalfl runs``."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import frugalfl
from frugalfl.errors import RunError, UsageError
from frugalfl.new import write_app
from frugalfl.task import load_task
from frugalfl_edge import read_about
from frugalfl_server.run.app_directory import importable
from frugalfl_server.run.run_list import differing, list_runs

from .conftest import frugalfl as command

LITTLE = {"clients": 3, "local_epochs": 1, "recover_rounds": 0, "clients_per_round": 3}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("starting")
    write_app(folder / "pumps", "sensor")
    return folder


@pytest.fixture(scope="module")
def run(place):
    """A short run, made from Python."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        made = frugalfl.simulate(
            place / "pumps", "prune=0", rounds=2, uplink="zstd", runs=place / "runs", **LITTLE
        )
        assert torch.get_num_threads() == 2  # a notebook goes on as it was
    finally:
        torch.set_num_threads(before)
    return made


def test_a_notebook_has_what_a_run_left(run, place):
    assert run.summary["status"] == "finished"
    assert (run.settings["rounds"], run.settings["uplink"]) == (2, "zstd")
    assert run.rounds["phase"].to_pylist() == ["train", "train", "calibrate"]
    assert run.energy.num_rows == len(frugalfl.open_run(place / "runs" / "latest").energy)
    assert run.report.is_file() and run.model().stat().st_size == run.summary["model"]["int8_bytes"]
    assert run.model("edge") != run.model("float")
    with pytest.raises(ValueError, match="one of int8, edge, float"):
        run.model("int4")


def test_clients_add_up_to_the_summary(run):
    clients = run.clients.to_pylist()
    assert [one["client"] for one in clients] == ["0", "1", "2"]
    assert all(one["rounds"] == 3 for one in clients)  # two of training, and calibration
    for name in ("uplink_bytes", "downlink_bytes"):
        assert sum(one[name] for one in clients) == run.summary[name]
    joules = sum(one["estimated_j"] for one in clients)
    assert joules == pytest.approx(run.summary["energy_j"]["estimated"])
    assert {one["measured_j"] for one in clients} == {None}  # not known is null, never 0


def test_what_a_task_says_travels_with_its_model(run, place):
    with importable(place / "pumps"):
        about = json.loads(json.dumps(load_task("task:task").about))
    card = json.loads((run.path / "model" / "model_card.json").read_text())
    assert card["about"] == about
    assert read_about(run.model("edge")) == read_about(run.model("float")) == about
    assert about["labels"][2] == "running" and about["window"]["rate_hz"] == 50
    assert read_about(run.model()) == {}  # no byte of it on a microcontroller


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_model_says_nothing_or_one_line(run, data):
    model = bytearray(run.model("edge").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        model[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(model)))
    for damaged in (bytes(model), bytes(model[:cut])):
        try:
            assert isinstance(read_about(damaged), dict)
        except UsageError as error:
            assert "says about itself" in str(error)


@pytest.mark.parametrize("about", [{"x": {1, 2}}, {"x": float("nan")}, [1], {"x": "y" * 70_000}])
def test_what_cannot_travel_is_refused_when_the_task_is_made(about):
    nothing = {"model": None, "client_data": None, "public_data": None}
    with pytest.raises(UsageError, match="about"):
        frugalfl.Task("mine", **nothing, about=about)


def test_mistakes_are_answered_before_anything_runs(place):
    with pytest.raises(UsageError, match=r"unknown config key 'round'.*rounds"):
        frugalfl.simulate(place / "pumps", round=3)
    with pytest.raises(UsageError, match="whole number"):
        frugalfl.simulate(place / "pumps", rounds=True)
    with pytest.raises(UsageError, match="frugalfl new"):
        frugalfl.simulate()
    with pytest.raises(RunError, match="not a run directory"):
        frugalfl.open_run(place)


def test_a_device_without_the_server_is_told_what_to_install():
    program = (
        "import sys; sys.modules['flwr'] = sys.modules['typer'] = None; import frugalfl\n"
        "try: frugalfl.simulate\n"
        "except frugalfl.FrugalFLError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install 'frugalfl[sim]'" in result.stdout


def test_runs_are_listed_beside_each_other(run, place):
    runs = place / "compared"
    for name in ("a", "b", "c"):
        shutil.copytree(run.path, runs / name)
    change(runs / "b" / "run.json", "settings", "rounds", 7)
    (runs / "b" / "summary.json").unlink()  # it is still going, or was killed
    (runs / "c" / "run.json").write_text("{")
    (runs / "notes.txt").write_text("no run")
    listed = {one.run: one for one in list_runs([runs])}
    assert differing(list(listed.values())) == ["rounds"]
    assert [listed[name].status for name in "abc"] == ["finished", "unfinished", "damaged"]
    assert listed["a"].value == run.summary["accuracy"]
    assert listed["a"].bytes == run.summary["uplink_bytes"] + run.summary["downlink_bytes"]
    assert listed["b"].value == run.summary["accuracy"]
    result = command("runs", runs, cwd=place)
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert result.returncode == 0 and "estimated" in lines["a"] and "rounds=2" in lines["a"]
    assert "rounds=7" in lines["b"] and "damaged" in lines["c"]
    assert "uplink" not in result.stdout  # the same in all of them
    change(runs / "b" / "run.json", "settings", "uplink", "feedback | topk(2%) | sign | golomb")
    change(runs / "b" / "run.json", "settings", "downlink", "dyadic(5%) | range")
    wide = command("runs", runs, cwd=place).stdout
    assert all(len(line) <= 100 for line in wide.splitlines() if "c is damaged" not in line)
    assert "rounds=7 uplink=feedback | topk(2%) | sign | golomb" in " ".join(wide.split())


def test_runs_as_json_and_nothing_to_list(run, place):
    result = command("runs", run.path, "--json", cwd=place)
    (only,) = json.loads(result.stdout)
    assert only["measure"] == "accuracy" and only["settings"]["rounds"] == 2
    assert only["energy_j"]["measured"] is None and only["energy_j"]["estimated"] > 0
    empty = command("runs", place / "pumps", cwd=place)
    assert empty.returncode == 8 and "there is no run in" in empty.stderr


def change(path, part, key, value):
    known = json.loads(path.read_text())
    known.pop("checksum", None)
    known[part][key] = value
    path.write_text(json.dumps(known))
