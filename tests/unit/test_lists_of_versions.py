"""What is installed is what was tried: lists of exact versions, with hashes on servers and devices."""

import re
import subprocess
import sys
import tomllib
from email.message import EmailMessage
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HASHED = {
    "constraints-server.txt": ("server", "client", "edge", "torch"),
    "constraints-device.txt": ("client", "edge"),
}
#: PyTorch stands in a list of its own, for each build of it.
TORCH = ("constraints-cpu.txt", "constraints-cuda.txt")


def versions_in(name):
    found = re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==([^ ;\\\n]+)", (ROOT / name).read_text(), re.M)
    return {canonicalize_name(one): version for one, version in found}


def needed(extras):
    """What FrugalFL's own lines ask for, without those that lead to other extras of it."""
    own = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in own[extra])]
    return [one for one in map(Requirement, lines) if one.name != PROJECT["name"]]


def closure(names):
    """Those packages and all that they need here, as their own metadata say."""
    todo, seen = list(names), set()
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for line in metadata.requires(name) or ():
            one = Requirement(line)
            wanted = any(
                one.marker is None or one.marker.evaluate({"extra": extra})
                for extra in (*extras, "")
            )
            if wanted:
                todo.append((canonicalize_name(one.name), tuple(sorted(one.extras))))
    return {name for name, _ in seen}


@pytest.mark.parametrize("name", [*HASHED, *TORCH])
def test_every_file_of_a_list_has_a_hash(name):
    entries = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
    assert entries
    for entry in entries:
        pin, *hashes = [line.strip(" \\") for line in entry.splitlines()]
        assert "==" in pin and hashes, pin
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), pin


@pytest.mark.parametrize("name", [*HASHED, *TORCH])
def test_no_index_is_named_and_no_version_differs_from_the_developers(name):
    assert not re.search(r"https?:|index-url|find-links|file:|@", (ROOT / name).read_text())
    ours = versions_in("constraints.txt")
    other = {one: (v, ours[one]) for one, v in versions_in(name).items() if ours.get(one, v) != v}
    assert not other


@pytest.mark.parametrize(("name", "extras"), HASHED.items())
def test_a_list_has_all_that_its_extras_need(name, extras):
    listed = versions_in(name) | (versions_in(TORCH[0]) if "server" in extras else {})
    wanted = needed(extras)
    for one in wanted:
        assert one.specifier.contains(listed[canonicalize_name(one.name)], prereleases=True), one
    tops = [(canonicalize_name(one.name), tuple(sorted(one.extras))) for one in wanted]
    assert closure(tops) <= listed.keys()


def test_the_two_builds_of_pytorch_are_one_version_and_share_no_file():
    cpu, cuda = ((ROOT / name).read_text() for name in TORCH)
    assert versions_in(TORCH[0])["torch"] == versions_in(TORCH[1])["torch"]
    assert "nvidia-cudnn" in cuda and "nvidia" not in cpu
    assert not set(re.findall("sha256:[0-9a-f]+", cpu)) & set(re.findall("sha256:[0-9a-f]+", cuda))


def test_a_pre_release_comes_only_where_the_check_runs():
    own = PROJECT["optional-dependencies"]
    assert [extra for extra, lines in own.items() if any("tflite-micro" in x for x in lines)] == [
        "micro"
    ]
    assert any("micro" in Requirement(line).extras for line in own["sim"])
    assert "tflite-micro" not in versions_in("constraints-server.txt")


def test_another_file_under_the_right_name_and_version_is_refused(tmp_path):
    """An index, or somebody on the way to it, that hands out other bytes."""
    version = versions_in("constraints-device.txt")["shellingham"]
    evil_wheel(tmp_path, "shellingham", version)
    line = re.search(
        r"^shellingham==.*(?:\n .*)*", (ROOT / "constraints-device.txt").read_text(), re.M
    )
    (tmp_path / "list.txt").write_text(line.group())
    result = pip_download(tmp_path, "--require-hashes", "-r", tmp_path / "list.txt")
    assert result.returncode != 0
    assert "DO NOT MATCH THE HASHES" in result.stderr
    assert not list((tmp_path / "got").glob("*"))
    # Without the hashes the same file is taken: it is the hashes that hold.
    assert pip_download(tmp_path, f"shellingham=={version}").returncode == 0


def evil_wheel(folder, name, version):
    about = EmailMessage()
    about["Metadata-Version"], about["Name"], about["Version"] = "2.1", name, version
    with ZipFile(folder / f"{name}-{version}-py2.py3-none-any.whl", "w") as wheel:
        inside = f"{name}-{version}.dist-info"
        wheel.writestr(f"{name}/__init__.py", "raise SystemExit('evil')\n")
        wheel.writestr(f"{inside}/METADATA", about.as_string())
        wheel.writestr(
            f"{inside}/WHEEL", "Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{inside}/RECORD", "")


def pip_download(folder, *arguments):
    command = [sys.executable, "-m", "pip", "--isolated", "download", "--quiet", "--no-deps"]
    where = ("--no-index", "--find-links", folder, "--dest", folder / "got")
    return subprocess.run(
        [*command, *where, *arguments], capture_output=True, text=True, check=False
    )
