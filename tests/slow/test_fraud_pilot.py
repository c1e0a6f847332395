"""The fraud pilot as a user starts it: a small bank, its files, and what they say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PILOT = Path(__file__).parents[2] / "simulations" / "fraud" / "pilot.py"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """What ``pilot.py --quick`` left, and what it printed."""
    folder = tmp_path_factory.mktemp("quick")
    result = subprocess.run(
        [sys.executable, PILOT, "--quick", "--ways", "refit,mlp", "--json", folder / "figures.json",
         "--out", folder / "out", "--grid", "ES", "--jobs", "1"],
        cwd=folder, capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder, result


def test_the_summary_has_the_figures_by_method(quick):
    folder, _ = quick
    figures = json.loads((folder / "figures.json").read_text())
    assert figures == json.loads((folder / "out" / "summary.json").read_text())
    methods = {"central", "central_all", "central_mlp", "alone", "refit", "mlp", "mlp_int8"}
    precision = figures["average_precision"]
    assert precision.keys() == methods
    assert all(0 < value < 1 for value in precision.values())
    assert precision["central"] > precision["refit"] > precision["alone"]
    for name in ("roc_auc", "energy_j", "models", "uplink_bytes", "rounds", "brier"):
        assert figures[name].keys() == methods
    for method in ("refit", "mlp"):
        assert figures["gap_closed"][method].keys() == set(figures["bases"])
        assert figures["uplink_bytes"][method] > 0
        assert sum(value or 0 for value in figures["energy_j"][method].values()) > 0
        assert figures["models"][method]["bytes"] > 0
    assert figures["headline"] == {"split": "geography", "counters": "shared", "method": "refit"}
    assert figures["uplink_bytes"]["refit"] <= 600_000 and figures["rounds"]["refit"] <= 5
    found = {(one["split"], one["counters"]) for one in figures["conditions"]}
    assert found == {(s, c) for s in ("geography", "spend") for c in ("local", "shared")}
    assert figures["seconds"] > 0


def test_int8_ranks_as_the_network_does(quick):
    precision = json.loads((quick[0] / "figures.json").read_text())["average_precision"]
    assert abs(precision["mlp_int8"] - precision["mlp"]) <= 0.005


def test_the_report_and_the_terminal_show_trees_and_network_side_by_side(quick):
    folder, result = quick
    page = (folder / "out" / "report.html").read_text()
    for words in ("shapes of trees", "coded updates of the network", "hashes of its terminals"):
        assert words in page
    assert "<svg" in page and page.rstrip().endswith("</html>")
    for method in ("refit", "mlp"):
        assert method in result.stdout.lower() or method in result.stderr.lower()
    assert "Traceback" not in result.stderr
    logs = list((folder / "out").glob("*/log.txt"))
    assert len(logs) == 2
    assert not any("Traceback" in log.read_text() for log in logs)
