"""What a user sees when something is wrong: one line that says what to do, and an exit code."""

import pytest

from frugalfl.errors import TaskError, UsageError
from frugalfl_sim.apps import read_settings
from frugalfl_sim.simulate import simulate_app

from .conftest import DIGITS, SMALL, frugalfl


def check(result, code, *parts):
    assert result.returncode == code, result.stderr
    error = result.stderr.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert all(part in error for part in parts), error
    assert "Traceback" not in result.stderr


def test_no_such_folder(tmp_path):
    check(frugalfl("simulate", "nowhere", cwd=tmp_path), 2, "'nowhere'", "frugalfl new digits")


def test_a_folder_that_is_no_app(tmp_path):
    check(frugalfl("simulate", tmp_path, cwd=tmp_path), 2, "no pyproject.toml")


def test_unknown_key_on_the_command_line(tmp_path):
    result = frugalfl("simulate", DIGITS, "learnig-rate=1", cwd=tmp_path)
    check(result, 2, "'learnig-rate'", "did you mean 'learning-rate'?")


def test_unknown_key_in_the_config(app, tmp_path):
    folder = app()
    config = folder / "pyproject.toml"
    config.write_text(config.read_text() + "cleints = 3\n")
    check(frugalfl("simulate", folder, cwd=tmp_path), 2, "'cleints'", "did you mean 'clients'?")


def test_broken_toml(app, tmp_path):
    folder = app()
    (folder / "pyproject.toml").write_text("[tool.flwr")
    check(frugalfl("simulate", folder, cwd=tmp_path), 2, "not valid TOML")


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("    private = rows", "    raise OSError('disk on fire')\n    private = rows",
         ("'digits'", "client_data(0, 8)", "OSError", "disk on fire")),
        ("    from torch import nn", "    raise RuntimeError('no layers today')\n    from torch import nn",
         ("model()", "RuntimeError", "no layers today")),
        ("mine = dirichlet(private.y, clients, alpha=0.5, seed=SPLIT_SEED)[client]",
         "mine = slice(0, 0)", ("client 0 of 8", "no data")),
        ("nn.Linear(64, 10)", "nn.Linear(64, 3)", ("classes go from 0 to 9", "0 to 2")),
        ("    return Examples(private.x[mine], private.y[mine])",
         "    return Examples(private.x[mine] * float('nan'), private.y[mine])", ("client 0 of 8", "NaN")),
        ('task = Task("digits"', 'tusk = Task("digits"', ("no Task called 'task'",)),
        ("import numpy as np", "import numpy as np\nimport no_such_module", ("'no_such_module'",)),
    ],
    ids=["data raises", "model raises", "no data", "too few outputs", "nan", "no task", "import"],
)  # fmt: skip
def test_a_broken_task(app, tmp_path, old, new, parts):
    result = frugalfl("simulate", app(old, new), *SMALL, cwd=tmp_path)
    code = 2 if "no Task" in parts[0] else 3
    check(result, code, *parts)
    assert not (tmp_path / "runs").exists()


_REMEMBERS = """
def remembering(settings):
    from flwr.serverapp.strategy import FedAvg

    found = FedAvg()
    found.seen = {1}
    return found


task = Task("digits", strategy=remembering, """
_HOOK = 'task = Task("digits", strategy=lambda settings: "fedavg", '


@pytest.mark.parametrize(
    ("old", "new", "setting", "parts"),
    [
        ("", "", "private=head*", ("no block matches 'head*'",)),
        ("", "", "private=*", ("'*' matches every block",)),
        ("", "", "refresh=frozen(stem*)", ("no block matches 'stem*'",)),
        ("", "", "refresh=last(9)", ("last(9)",)),
        ('task = Task("digits", ', _HOOK, "seed=1", ("strategy()", "gives a str")),
        (
            'task = Task("digits", ',
            _REMEMBERS,
            "refresh=subspace(64)",
            ("FedAvg.seen is a set", "set refresh = full"),
        ),
        ("", "", "calibration=public", ('calibration is "public"',)),
        ("", "", "trees=bagging(2)", ("trees need targets 0 and 1",)),
    ],
)
def test_what_the_first_round_would_refuse_leaves_no_run(app, tmp_path, old, new, setting, parts):
    folder = app(old, new)
    plain = (*SMALL[:-1], "prune=0", "recover-rounds=0", "refresh=full", "initial=exact")
    settings = read_settings(folder, [*plain, "evaluate-rows=0", setting])
    with pytest.raises((UsageError, TaskError)) as error:
        simulate_app(folder, settings, tmp_path / "runs", baseline=False)
    assert all(part in str(error.value) for part in parts), error.value
    assert not (tmp_path / "runs").exists()


def test_debug_shows_where(app, tmp_path):
    folder = app("    private = rows", "    raise OSError('disk on fire')\n    private = rows")
    result = frugalfl("simulate", folder, *SMALL, "--debug", cwd=tmp_path)
    assert result.returncode != 0
    assert "Traceback" in result.stderr
    assert "task.py" in result.stderr


def test_a_training_that_diverges(tmp_path):
    result = frugalfl(
        "simulate", DIGITS, *SMALL, "learning-rate=1e9", "final-learning-rate=1e9", cwd=tmp_path
    )
    check(result, 3, "lower learning-rate")
    assert '"status": "failed"' in (tmp_path / "runs" / "latest" / "summary.json").read_text()


@pytest.mark.parametrize("verb", ["report", "export", "energy"])
def test_no_such_run(verb, tmp_path):
    check(frugalfl(verb, tmp_path / "nothing", cwd=tmp_path), 8, "nothing")


def test_energy_of_a_run_that_is_not_here_says_what_to_do(finished, tmp_path):
    """``latest`` alone is how ``--resume`` calls it."""
    check(frugalfl("energy", "latest", cwd=tmp_path), 8, "no folder 'runs'", "frugalfl simulate")
    (tmp_path / "runs").symlink_to(finished[0].parent)
    check(frugalfl("energy", finished[0].name, cwd=tmp_path), 8, "did you mean", "energy runs/")
    check(frugalfl("energy", "newest", cwd=tmp_path), 8, "`frugalfl runs` lists the runs")


def test_a_damaged_table(finished, tmp_path):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    (run / "rounds.parquet").write_bytes(b"PAR1 no longer")
    check(frugalfl("report", run, cwd=tmp_path), 8, "rounds.parquet")


def test_runs_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    result = frugalfl("simulate", DIGITS, *SMALL, "--runs", tmp_path / "file", cwd=tmp_path)
    check(result, 8, "cannot write a run")


def test_a_model_that_cannot_be_exported_ends_before_the_first_round(tmp_path, app):
    folder = app(
        "nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()", "nn.Conv2d(1, 16, 3, padding=1), nn.GELU()"
    )
    few = ("rounds=1", "recover-rounds=0", "clients=2", "clients-per-round=2", "local-epochs=1")
    result = frugalfl("simulate", folder, *few, cwd=tmp_path)
    check(result, 7, "cannot be exported", "1 (GELU)", "use ReLU", "export=false to go on")
    assert "train " not in result.stderr
    result = frugalfl("simulate", folder, *few, "export=false", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    run = tmp_path / "runs" / "latest"
    assert (run / "report.html").is_file()
    assert not list((run / "model").glob("*.tflite"))
    assert (run / "checkpoints" / "model.npz").is_file()
