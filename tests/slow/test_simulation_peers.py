"""Environments of the simulation benchmark's peers, made by the real pip."""

import json

import pytest
from simulating.environments import CannotRunError, environment_of
from simulating.peers import Peer
from simulating.runs import measure_peer
from simulating.workload import write_workload

pytestmark = pytest.mark.slow


def test_a_peer_that_cannot_be_installed_says_why(tmp_path):
    data = tmp_path / "workload.npz"
    write_workload(data, 100, 20)
    step = ("--no-index", "--find-links", str(tmp_path), "no-such-package-at-all")
    peer = Peer("absent", "x.py", {"so": ()}, "absent", (step,))
    found = measure_peer(peer, data, 8, 0.0, tmp_path)
    assert "no-such-package-at-all" in found["why_not"]


def test_an_environment_is_made_anew_if_something_else_is_asked_for(tmp_path):
    place = tmp_path / "one"
    place.mkdir()
    kept = {"steps": [["a==1"]], "megabytes": 10.0, "seconds": 1.0, "versions": {"a": "1"}}
    (place / "installed.json").write_text(json.dumps(kept))
    with pytest.raises(CannotRunError, match="pip install"):
        environment_of(tmp_path, "one", (("--no-index", "no-such-package-at-all"),))
    assert not (place / "installed.json").exists()
