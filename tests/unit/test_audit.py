"""`make audit` finds what it says that it looks for, and says so where it could not look."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def loaded():
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


audit = loaded()


@pytest.fixture
def repository(tmp_path):
    """A repository with our rules: ``repository(name, text)`` adds a tracked file."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    for package in audit.PACKAGES:
        (tmp_path / package).mkdir()

    def add(name, text, mode=0o644):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
        subprocess.run(["git", "add", "--all"], cwd=tmp_path, check=True)
        return tmp_path

    return add


def test_a_key_and_a_password_are_found(repository):
    begin = "-----BEGIN EC PRIVATE " + "KEY-----"
    root = repository("server/left_here.py", f'KEY = """{begin}\nMHcCAQEEIB\n"""\n')
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    repository("notes.md", f"use {token}\n")
    found = list(audit.find_secrets(root))
    assert any("server/left_here.py" in line and "Private Key" in line for line in found)
    assert any("notes.md" in line for line in found)


def test_what_is_not_tracked_is_not_the_repositorys(repository):
    root = repository("fine.md", "nothing\n")
    (root / "mine.pem").write_text("-----BEGIN EC PRIVATE " + "KEY-----\n")
    assert not list(audit.find_secrets(root))


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("import pickle, sys\npickle.loads(sys.stdin.buffer.read())", "S301"),
        ("import tempfile\ntempfile.mktemp()", "S306"),
        ("import subprocess\nsubprocess.run('ls', shell=True)", "S602"),
        ("eval(input())", "S307"),
    ],
)
def test_bandits_rules_hold_in_the_packages(repository, line, rule):
    root = repository("server/bad.py", f"{line}\n")
    assert any(rule in found for found in audit.find_rules(root))


def test_a_shell_is_found_in_tests_too(repository):
    (repository("x.md", "") / "tests").mkdir()
    root = repository("tests/test_x.py", "import os\nos.system('ls')  # noqa: E501\n")
    assert not list(audit.find_rules(root))
    assert any("S605" in found for found in audit.find_shells(root))


def test_links_and_programs_without_a_first_line_are_found(repository):
    root = repository("run", "#!/bin/sh\n", 0o755)
    assert not list(audit.find_modes(root))
    repository("data.csv", "1,2\n", 0o755)
    (root / "link").symlink_to("/etc/passwd")
    repository("x.md", "")
    found = "\n".join(audit.find_modes(root))
    assert "data.csv: executable" in found and "link: mode 120000" in found


def test_our_own_files_have_no_odd_modes_and_no_shell():
    assert not [*audit.find_modes(ROOT), *audit.find_shells(ROOT)]


def test_a_service_that_nobody_can_reach_is_said_and_is_no_clean_bill(repository, monkeypatch):
    root = repository("constraints.txt", "numpy==2.4.6\n")
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(audit.NotAskedError, match="no vulnerability service can be reached"):
        list(audit.find_vulnerabilities(root))


def test_a_failure_of_another_kind_is_not_taken_for_silence(repository):
    root = repository("constraints.txt", "numpy==not a version\n")
    with pytest.raises(SystemExit, match="pip-audit failed"):
        list(audit.find_vulnerabilities(root))


def test_what_was_not_asked_stands_in_the_output(capsys, monkeypatch):
    def nobody(_):
        raise audit.NotAskedError("no service")
        yield

    monkeypatch.setattr(audit, "CHECKS", {"a": lambda _: iter(()), "b": nobody})
    with pytest.raises(SystemExit) as ended:
        audit.main()
    assert not ended.value.code
    assert "b                NOT CHECKED: no service" in capsys.readouterr().out
    monkeypatch.setattr(audit, "CHECKS", {"a": lambda _: iter(["x.py: bad"]), "b": nobody})
    with pytest.raises(SystemExit) as ended:
        audit.main()
    assert ended.value.code
    assert "  x.py: bad" in capsys.readouterr().out
