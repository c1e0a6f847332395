"""What of an app goes out to devices, and what stays."""

import shutil
import subprocess
import tomllib
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from flwr.cli.build import build_fab_from_disk

from frugalfl.errors import UsageError
from frugalfl_server.run.ignored import Ignored
from frugalfl_server.run.pack_app import pack

DIGITS = Path(__file__).parents[2] / "simulations" / "digits"


@pytest.fixture
def app(tmp_path):
    """A copy of digits with things beside it that are nobody's business."""
    folder = tmp_path / "app"
    shutil.copytree(DIGITS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".gitignore").write_text("secrets.json\n*.jsonl\nlocal_*.py\n/private/\n")
    for name in (
        "secrets.json", "customers.jsonl", "local_settings.py", "data.json", "notes.md",
        ".env.py", "helpers/net.py", "helpers/.hidden.py", "private/keys.py", ".secret/x.py",
        "helpers/more/deep.py",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name}")
    (tmp_path / "passwords.py").write_text("# elsewhere")
    (folder / "linked.py").symlink_to(tmp_path / "passwords.py")
    (folder / "linked").symlink_to(tmp_path)
    return folder


def listing(app, *lines):
    project = app / "pyproject.toml"
    text = project.read_text()
    project.write_text(
        text.replace('publisher = "frugalfl"', "\n".join(['publisher = "frugalfl"', *lines]))
    )


def test_code_goes_and_nothing_else(app, tmp_path):
    packed = pack(app, tmp_path / "state" / "app")
    names = ("helpers/more/deep.py", "helpers/net.py", "pyproject.toml", "task.py")
    assert sorted(packed.files) == sorted(names)
    assert {"secrets.json", "customers.jsonl", "local_settings.py", "linked.py"} <= {*packed.left}
    assert {"data.json", "notes.md"} <= {*packed.left}
    bundle = build_fab_from_disk(packed.folder)
    with zipfile.ZipFile(BytesIO(bundle)) as inside:
        everything = b"".join(inside.read(name) for name in inside.namelist())
    for word in (b"secrets", b"customers", b"local_", b"elsewhere", b"hidden", b"keys.py"):
        assert word not in everything
    assert packed.size == len(bundle)
    assert f"4 files, {packed.size:,} B, SHA-256 {packed.digest}" in packed.line
    assert "stays here: customers.jsonl, data.json" in packed.line


def test_what_an_app_lists_goes_but_never_what_git_ignores(app, tmp_path):
    listing(app, 'fab-include = ["task.py", "data.json"]')
    packed = pack(app, tmp_path / "state" / "app")
    assert sorted(packed.files) == ["data.json", "pyproject.toml", "task.py"]
    listing(app, 'fab-exclude = ["data.json"]')
    assert "data.json" not in pack(app, tmp_path / "state" / "app").files


@pytest.mark.parametrize(
    "name", ["secrets.json", ".env.py", "linked.py", "private/keys.py", "x.py"]
)
def test_a_list_that_names_what_may_not_go_is_refused(app, tmp_path, name):
    listing(app, f'fab-include = ["{name}"]')
    with pytest.raises(UsageError, match=rf"fab-include .*'{name}'.*never are"):
        pack(app, tmp_path / "state" / "app")


def test_a_list_that_is_none(app, tmp_path):
    listing(app, 'fab-include = "task.py"')
    with pytest.raises(UsageError, match="fab-include in .* is 'task.py'; write a list"):
        pack(app, tmp_path / "state" / "app")


def test_the_same_files_give_the_same_bytes(app, tmp_path):
    first = pack(app, tmp_path / "state" / "app")
    other = shutil.copytree(app, tmp_path / "elsewhere", symlinks=True)
    (other / "data.json").write_text("something else, which does not go")
    assert pack(Path(other), tmp_path / "there" / "app").digest == first.digest
    (other / "task.py").write_text("# another task")
    assert pack(Path(other), tmp_path / "there" / "app").digest != first.digest


def test_the_servers_own_folder_inside_the_app_does_not_go(app):
    pack(app, app / "superlink" / "app")
    assert "superlink/app/task.py" not in pack(app, app / "superlink" / "app").files


def test_all_settings_are_in_it_so_that_a_run_may_change_each(app, tmp_path):
    from frugalfl.settings import Settings

    folder = pack(app, tmp_path / "state" / "app").folder
    config = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    assert config.keys() == Settings.of(task="task:task").as_config().keys()
    assert config["resume"] == ""


@pytest.mark.skipif(shutil.which("git") is None, reason="no git to compare with")
def test_ignored_is_what_git_says(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    files = {
        ".gitignore": "*.json\n!kept.json\n/top.py\nbuild/\n**/deep/*.md\n\\#odd\nspaced\\ \n",
        "app/.gitignore": "!again.json\nonly.py\nsub/*\n!sub/yes.py\n",
        "app/sub/.gitignore": "no.py\n", ".git/info/exclude": "excluded.py\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    names = [
        "a.json", "kept.json", "again.json", "top.py", "only.py", "excluded.py", "#odd", "x.py",
        "sub/yes.py", "sub/no.py", "sub/other.py", "deep/a.md", "deep/b/a.md",
    ]  # fmt: skip
    app = tmp_path / "app"
    ignored = Ignored(app)
    for folder in (app, app / "sub", app / "deep", app / "deep" / "b"):
        ignored.enter(folder)
    for name in names:
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).touch()
        git = subprocess.run(
            ["git", "-C", tmp_path, "check-ignore", "-q", f"app/{name}"], check=False
        )
        assert ignored.has(app / name) == (git.returncode == 0), name
