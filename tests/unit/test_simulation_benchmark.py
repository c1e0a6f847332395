"""The simulation benchmark: the same work for every peer, and no figure that was not measured."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from rendering.simulation_table import glance, render
from simulating.environments import CannotRunError, environment_of, last_line
from simulating.peers import PEERS, SCRIPTS, Peer
from simulating.runs import figures_in, measure_peer, run_apart
from simulating.watched import Watched, watch
from simulating.workload import app_task, write_workload
from simulation import PARTS, WORKLOADS, run_part, summary_of, with_earlier

sys.path.insert(0, str(SCRIPTS))
from measured import Workload


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    file = tmp_path_factory.mktemp("workload") / "workload.npz"
    write_workload(file, 100, 20)
    return file


def test_every_image_is_one_clients_and_every_client_makes_two_steps(data):
    workload = Workload(data)
    rows = [workload.rows_of(client) for client in range(workload.clients)]
    assert sorted(np.concatenate(rows).tolist()) == list(range(1797))
    assert {len(one) for one in rows} == {17, 18}
    assert workload.x.dtype == np.float32 and workload.x.shape == (1797, 64)


def test_more_clients_have_as_many_rows_each():
    parts = app_task().split(1797, 1000)
    assert len(parts) == 1000 and {len(one) for one in parts} == {17, 18}
    assert not np.array_equal(parts[0], parts[100])


def test_the_app_and_the_scripts_have_the_same_rows(data):
    workload, task = Workload(data), app_task().task
    for client in (0, 57, 99):
        x, y = workload.data_of(client)
        mine = task.client_data(client, 100)
        assert np.array_equal(mine.x, x) and np.array_equal(mine.y, y)


def test_a_round_asks_different_clients_and_the_same_ones_every_time(data):
    workload = Workload(data)
    first = workload.picked(0)
    assert len(set(first)) == 20 and first != workload.picked(1)
    assert first == workload.picked(200)


def test_the_plain_loop_trains_and_tells(data):
    peer = PEERS["loop"]
    found = measure_peer(peer, data, 8, 0.0, Path("nowhere"))
    assert found["accuracy"] > 0.2 and found["updates_per_s"] > 0
    assert found["way"] in peer.ways and found["counted_rounds"] == 3


def test_a_peer_that_crashes_says_why_and_has_no_figure(data, tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no such thing as a free lunch')")
    found = measure_peer(Peer("broken", str(script), {"so": ()}), data, 8, 0.0, tmp_path)
    assert "free lunch" in found["why_not"] and "updates_per_s" not in found


def test_of_two_ways_the_one_that_runs_counts(data, tmp_path):
    line = json.dumps({"updates_per_s": 5.0, "accuracy": 0.8})
    script = tmp_path / "half.py"
    script.write_text(f"import sys\nassert 'bad' not in sys.argv, 'so it goes'\nprint({line!r})")
    peer = Peer("half", str(script), {"bad": ("bad",), "good": ()})
    found = measure_peer(peer, data, 8, 0.0, tmp_path)
    assert (found["way"], found["ways"]) == ("good", {"good": 5.0})
    assert "so it goes" in found["failed"]["bad"]


def test_peers_that_are_not_run_again_keep_their_figures():
    found = with_earlier("engines", {"loop": {"a": 1}, "pfl": {"a": 1}}, {"pfl": {"a": 2}})
    assert list(found.items()) == [("pfl", {"a": 2}), ("loop", {"a": 1})]
    assert with_earlier("demo", {"rounds_s": 1}, {"why_not": "x"}) == {"why_not": "x"}


def test_an_environment_is_kept(tmp_path):
    place = tmp_path / "one"
    place.mkdir()
    kept = {"steps": [["a==1"]], "megabytes": 10.0, "seconds": 1.0, "versions": {"a": "1"}}
    (place / "installed.json").write_text(json.dumps(kept))
    assert environment_of(tmp_path, "one", (("a==1",),)).versions == {"a": "1"}


def test_an_environment_that_is_too_large_is_refused(tmp_path):
    place = tmp_path / "one"
    place.mkdir()
    kept = {"steps": [["a==1"]], "megabytes": 2001.0, "seconds": 1.0, "versions": {}}
    (place / "installed.json").write_text(json.dumps(kept))
    with pytest.raises(CannotRunError, match="2,001 MB"):
        environment_of(tmp_path, "one", (("a==1",),))


def test_only_the_last_line_of_figures_counts_and_only_if_it_trained():
    line = {"updates_per_s": 5.0, "accuracy": 0.8}
    assert figures_in(f'{{"a": 1}}\nnoise\n{json.dumps(line)}\nbye\n') == line
    for said in ("", "noise\n", json.dumps(line | {"accuracy": 0.1}), '{"accuracy": null}'):
        with pytest.raises(CannotRunError):
            figures_in(said)


def test_a_program_that_hangs_is_ended_with_what_it_started():
    words = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(CannotRunError, match=r"more than 0\.2 s"):
        run_apart(words, 0.2)
    assert last_line("a\n\nb\n\n") == "b"


def test_the_first_rounds_of_a_watched_run_do_not_count():
    slow_start = [9.0, 18.0, 27.0, 36.0, 45.0]
    seen = Watched(rounds_s=[*slow_start, 46.0, 47.0, 51.0])
    assert seen.round_s == pytest.approx(2.0) and seen.middle_round_s == pytest.approx(1.0)


def test_what_was_not_measured_is_a_dash_with_a_reason():
    rows = {
        "flower-ray": {"title": "Flower on Ray", "why_not": "it ended with 1: no Ray"},
        "frugalfl": {
            "title": "FrugalFL", "updates_per_s": 40000.0, "accuracy": 0.81, "way": "1 thread",
            "version": "0.1.0",
        },
    }  # fmt: skip
    parts = {"engines": rows, "codec": {"why_not": "no frugalfl"}}
    figures = {**summary_of(parts), "parts": parts}
    text = render(figures)
    assert "| Flower on Ray | – | – | – | – |" in text
    assert "- Flower on Ray: it ended with 1: no Ray." in text
    assert "40,000 (1 thread)" in text and "– (no frugalfl)" in text
    speeds = figures["updates_per_s"]["100 clients, 20 a round"]
    assert speeds == {"flower-ray": None, "frugalfl": 40000.0}
    assert figures["ten_thousand_s"] is None and figures["cnn_times_faster_than_loop"] is None


def test_the_summary_has_the_figures_that_are_promised():
    row = {"updates_per_s": 10.0}
    parts = {
        "codec": {part: row for part in WORKLOADS},
        "cnn": {"loop": row, "frugalfl": {"updates_per_s": 35.0}},
        "ten_thousand": {"seconds": 170.0, "peak_mb": 1900.0},
        "start": {"first_round_s": 3.5},
        "demo": {"rounds_s": 7.5},
    }
    found = summary_of(parts)
    assert found["updates_per_s_with_codec"] == 10.0
    assert found["cnn_times_faster_than_loop"] == 3.5
    assert (found["ten_thousand_s"], found["ten_thousand_mb"]) == (170.0, 1900.0)
    assert (found["first_round_s"], found["demo_rounds_s"]) == (3.5, 7.5)


def test_at_a_glance_it_stands_beside_flower():
    engines = {"frugalfl": {"updates_per_s": 40000.0}, "flower-ray": {"updates_per_s": 200.0}}
    assert glance({"parts": {"engines": engines}})[3] == "200 times more"


def test_a_run_that_fails_says_why():
    with pytest.raises(CannotRunError, match="no-such-app"):
        watch(["simulate", "no-such-app"], Path("."))


def test_a_mistake_in_one_part_does_not_end_the_others(monkeypatch, capsys):
    monkeypatch.setitem(PARTS, "demo", lambda options: {}["rounds"])
    assert run_part("demo", None) == {"why_not": "KeyError: 'rounds'"}
    assert "KeyError" in capsys.readouterr().err
