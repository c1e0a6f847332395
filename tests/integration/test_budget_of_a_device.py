"""From a finished run that is too large for its device to a model that fits, by command line."""

import json
import shlex

import pyarrow.parquet as pq
import pytest

from .conftest import DIGITS, SMALL, frugalfl


@pytest.mark.slow
def test_an_export_that_does_not_fit_says_how_to_get_one_that_does(finished, tmp_path):
    run, _ = finished
    refused = frugalfl("export", run, "--flash", "6KiB", cwd=tmp_path)
    assert refused.returncode == 7
    error = refused.stderr.strip().splitlines()[-1]
    assert error.startswith("error: the model needs 12,144 B of flash; 6,144 B were given, 6,000 B")
    words = shlex.split(error.partition("it fits: ")[2])
    assert words[:2] == ["frugalfl", "simulate"]
    assert {"rounds=0", "flash=6KiB", "clients=8"} < set(words)

    done = frugalfl(*words[1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "runs" / "latest"
    assert (made / "model" / "model_int8.tflite").stat().st_size <= 6 * 1024
    card = json.loads((made / "model" / "model_card.json").read_text())
    gates = {gate["name"]: gate for gate in card["gates"]}
    assert gates["flash"]["value"] == card["int8_bytes"] <= gates["flash"]["limit"] == 6144
    assert gates["TFLite-Micro against LiteRT"]["value"] <= 2
    assert all(gate["reason"] is None for gate in gates.values())
    rounds = pq.read_table(made / "rounds.parquet").to_pylist()
    assert {row["phase"] for row in rounds} == {"recover", "calibrate"}
    assert "Finished: 3 of 3 rounds." in done.stdout
    assert json.loads((made / "fit.json").read_text())["cost"]["file_bytes"] == card["int8_bytes"]

    again = frugalfl("export", made, "--target", "cortex-m0", "--out", "m", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "operators in float32" in again.stdout and "flash" in again.stdout


def test_an_impossible_budget_is_found_before_the_first_round(tmp_path):
    result = frugalfl("simulate", DIGITS, *SMALL, "flash=2KiB", cwd=tmp_path)
    assert result.returncode == 7
    assert "the smallest model, 4 channels a layer, needs 2,528 B of flash" in result.stderr
    assert "480 B too few" in result.stderr
    assert "  train " not in result.stderr  # as a round begins its line
    assert json.loads((tmp_path / "runs/latest/summary.json").read_text())["status"] == "failed"


@pytest.mark.slow
def test_a_slim_model_from_scratch_stands_beside_the_pruned_one(tmp_path):
    result = frugalfl(
        "simulate", DIGITS, *SMALL, "rounds=3", "recover-rounds=2", "--slim", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert "slim from scratch" in result.stdout
    run = tmp_path / "runs" / "latest"
    summary = json.loads((run / "summary.json").read_text())
    slim = summary["slim"]
    assert slim["rounds"] == summary["rounds"] + summary["recover_rounds"] == 5
    assert slim["model"]["parameters"] == summary["model"]["parameters"]
    assert slim["model"]["int8_bytes"] == summary["model"]["int8_bytes"]
    rows = pq.read_table(run / "rounds.parquet").to_pylist()
    assert [row["round"] for row in rows if row["federation"] == "slim"][:5] == [1, 2, 3, 4, 5]
    energy = pq.read_table(run / "energy.parquet").to_pylist()
    trained = [row for row in energy if row["phase"] == "train"]
    assert len(trained) == 4 * 5  # the pruned model's clients only
    assert "table-slim" in (run / "report.html").read_text()


def test_mistakes_with_budgets_and_starts(finished, tmp_path):
    run, _ = finished
    for words, says in (
        (("export", run, "--target", "cortex-m8"), "did you mean 'cortex-m"),
        (("export", run, "--flash", "6K"), "write 6KiB"),
        (("export", run, "--macs=-1"), "macs is -1"),
        (("simulate", DIGITS, "prune=0", "--slim"), "set prune, or a budget"),
        (("simulate", DIGITS, f"start-from={run}", "--slim"), "leave one of the two out"),
        (("simulate", DIGITS, f"start-from={run}", "rounds=0", "--baseline"), "leave it out"),
        (("simulate", DIGITS, "rounds=0"), "0 only with start-from"),
    ):
        result = frugalfl(*words, cwd=tmp_path)
        assert result.returncode == 2, (words, result.stderr)
        assert says in result.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "runs").exists()
