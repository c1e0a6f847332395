"""A run keeps its app, and runs what it keeps only for the user who put it there."""

import shutil
from pathlib import Path

import pytest

from frugalfl.errors import RunError
from frugalfl.settings import Settings
from frugalfl_server.run.app_of_run import app_of
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.kept_app import keep_app, why_not

DIGITS = Path(__file__).parents[2] / "simulations" / "digits"


@pytest.fixture
def moved(tmp_path):
    """A run in another place than it was made in, whose app is gone."""
    app = tmp_path / "app"
    shutil.copytree(DIGITS, app, ignore=shutil.ignore_patterns("__pycache__"))
    (app / ".gitignore").write_text("mine.py\n")
    (app / "mine.py").write_text("key = 'private'\n")
    (app / ".env").write_text("KEY=private\n")
    (app / "rows.csv").write_text("1,2\n")
    run = RunDirectory.create(tmp_path / "runs", "digits", Settings(), app)
    keep_app(run, app)
    assert app_of(run) == app.resolve()
    shutil.move(run.path, tmp_path / "elsewhere")
    shutil.rmtree(app)
    return RunDirectory.open(tmp_path / "elsewhere")


def test_a_moved_run_has_its_app_as_devices_get_it_and_nothing_private(moved):
    folder = app_of(moved)
    assert folder == moved.path / "app"
    assert sorted(path.name for path in folder.iterdir()) == ["pyproject.toml", "task.py"]
    assert (folder / "task.py").read_bytes() == (DIGITS / "task.py").read_bytes()
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())} == {0}


@pytest.mark.parametrize("what", ["changed", "added", "compiled", "linked"])
def test_what_somebody_else_put_into_a_run_is_not_run(moved, what):
    folder = moved.path / "app"
    if what == "changed":
        (folder / "task.py").write_text("raise SystemExit('run')\n")
    elif what == "added":
        (folder / "numpy.py").write_text("raise SystemExit('run')\n")
    elif what == "compiled":
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__" / "task.cpython-311.pyc").write_bytes(b"x")
    else:
        (folder / "data").symlink_to("/etc")
    assert app_of(moved) is None
    assert "was not kept there by this user" in why_not(moved)


def test_another_users_run_is_not_run_and_a_linked_folder_is_no_app(moved, monkeypatch, tmp_path):
    monkeypatch.setenv("FRUGALFL_HOME", str(tmp_path / "another"))
    assert app_of(moved) is None
    shutil.move(moved.path / "app", tmp_path / "app")
    (moved.path / "app").symlink_to(tmp_path / "app")
    with pytest.raises(RunError, match="is a link to another place"):
        RunDirectory.open(moved.path)


def test_an_app_that_is_too_large_to_keep_says_so_and_is_no_reason_to_fail(tmp_path):
    app = tmp_path / "app"
    shutil.copytree(DIGITS, app)
    (app / "table.py").write_bytes(b"#" * (17 << 20))
    run = RunDirectory.create(tmp_path / "runs", "digits", Settings(), app)
    keep_app(run, app)
    assert not (run.path / "app").exists()
    shutil.rmtree(app)
    assert app_of(run) is None
    assert "the run keeps none (" in why_not(run) and "larger than" in why_not(run)
