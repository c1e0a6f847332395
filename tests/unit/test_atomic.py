"""Files that FrugalFL writes: whole, its owner's only, and through no link."""

import os
import stat

import pytest
from attacking import files
from hypothesis import given
from hypothesis import strategies as st

from frugalfl.atomic import (
    append_line,
    check_private_key,
    make_private_folder,
    open_private,
    open_to_others,
    write_atomically,
)
from frugalfl.errors import UsageError


@pytest.fixture(autouse=True)
def open_umask():
    """A system on which everybody may read what nobody thought of."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_links_and_second_names_are_not_followed(tmp_path):
    for outcome in files.links(tmp_path):
        assert outcome.refused, outcome


def test_nobody_else_can_read_a_run_or_a_device(tmp_path):
    outcome = files.wide_umask(tmp_path)
    assert outcome.refused, outcome


def test_archives_are_no_code_and_no_larger_than_they_are(tmp_path):
    for outcome in files.archives(tmp_path / "a", quick=True):
        assert outcome.refused, outcome


@given(st.binary(max_size=200))
def test_a_file_is_there_whole(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("w") / "new" / "file"
    write_atomically(path, data, durable=True)
    assert path.read_bytes() == data
    assert [one.name for one in path.parent.iterdir()] == ["file"]
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_what_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(file):
        file.write(b"half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_another_process_put_in_its_place_is_not_given_the_name(tmp_path):
    path = tmp_path / "file"

    def swap(file):
        file.write(b"ours")
        (tmp_path / ".file.part").unlink()
        (tmp_path / ".file.part").write_bytes(b"theirs")

    with pytest.raises(OSError, match="another process"):
        write_atomically(path, swap)
    assert not path.exists()


def test_what_was_asked_for_is_shared_as_the_umask_says(tmp_path):
    os.umask(0o022)
    write_atomically(tmp_path / "out" / "model.tflite", b"x", shared=True)
    assert mode(tmp_path / "out" / "model.tflite") == 0o644


def test_a_log_that_others_could_read_is_narrowed_and_goes_on(tmp_path):
    log = tmp_path / "log"
    log.write_text("first\n")
    log.chmod(0o644)
    append_line(log, "second")
    assert (log.read_text(), mode(log)) == ("first\nsecond\n", 0o600)


@pytest.mark.parametrize("plant", ["fifo", "folder"])
def test_no_log_is_waited_for(tmp_path, plant):
    path = tmp_path / "log"
    os.mkfifo(path) if plant == "fifo" else path.mkdir()
    with pytest.raises(OSError):
        append_line(path, "x")


def test_a_second_name_is_not_emptied(tmp_path):
    (tmp_path / "precious").write_text("precious")
    os.link(tmp_path / "precious", tmp_path / "log")
    with pytest.raises(OSError, match="one name"):
        open_private(tmp_path / "log", os.O_WRONLY | os.O_TRUNC)
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_folder_that_is_there_keeps_its_rights_and_is_named(tmp_path):
    tmp_path.chmod(0o755)
    make_private_folder(tmp_path)
    assert f"chmod 700 {tmp_path}" in open_to_others(tmp_path)
    make_private_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700
    assert open_to_others(tmp_path / "a" / "b") == ""


@pytest.mark.parametrize(("rights", "refused"), [(0o600, False), (0o400, False), (0o640, True)])
def test_a_key_is_its_owners_only(tmp_path, rights, refused):
    key = tmp_path / "key"
    key.touch(rights)
    if not refused:
        check_private_key(key)
        return
    with pytest.raises(UsageError, match=f"chmod 600 {key}"):
        check_private_key(key)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_of_another_user_is_refused(tmp_path):
    key = tmp_path / "key"
    key.touch(0o600)
    os.chown(key, 12345, 12345)
    with pytest.raises(UsageError, match="belongs to another user"):
        check_private_key(key)
