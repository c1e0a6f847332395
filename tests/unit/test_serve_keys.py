"""The folder of public keys, followed while a server runs."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from frugalfl.errors import RunError
from frugalfl_server.serve.key_folder import Keys, read_public_key
from frugalfl_server.serve.lines import show_lines


class Follow:
    """A folder, and what was registered and said of it; time passes by ``look``."""

    def __init__(self, folder):
        self.folder, self.registered, self.lines, self.now, self.refuses = (
            folder,
            [],
            [],
            0.0,
            False,
        )
        self.keys = Keys(folder, self.register, lambda: self.now)

    def register(self, path):
        if self.refuses:
            raise RunError("the SuperLink is away")
        self.registered.append(path.name)

    def look(self):
        self.now += 1.5
        return self.keys.look()

    def put(self, name):
        key = ec.generate_private_key(ec.SECP384R1()).public_key()
        (self.folder / name).write_bytes(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
        return read_public_key(self.folder / name)


@pytest.fixture
def follow(tmp_path):
    followed = Follow(tmp_path)
    with show_lines(followed.lines.append):
        yield followed


def test_keys_come_and_go(follow):
    first = follow.put("a.pub")
    assert follow.keys.begin() == {first}
    second = follow.put("b.pub")
    assert [follow.look(), follow.look()] == [None, {first, second}]
    assert follow.registered == ["a.pub", "b.pub"]
    (follow.folder / "a.pub").rename(follow.folder / "a.txt")
    assert follow.look() == {second}
    assert follow.lines[-1] == "node a: its key is gone, it may not join any more"
    (follow.folder / "a.txt").rename(follow.folder / "a.pub")
    assert [follow.look(), follow.look()] == [None, {first, second}]
    assert follow.registered == ["a.pub", "b.pub"]
    assert follow.look() is None


def test_a_key_in_two_files_goes_with_the_second(follow):
    key = follow.put("a.pub")
    (follow.folder / "b.pub").write_bytes((follow.folder / "a.pub").read_bytes())
    assert follow.keys.begin() == {key}
    (follow.folder / "a.pub").unlink()
    assert follow.look() is None
    (follow.folder / "b.pub").unlink()
    assert follow.look() == frozenset()


@pytest.mark.parametrize(
    "text", [b"", b"no key", b"ssh-ed25519 AAAA", bytes(10**6), b"\xff\x1b[2J"]
)
def test_a_broken_file_is_one_line_and_nobody_elses_matter(follow, text):
    key = follow.put("a.pub")
    follow.keys.begin()
    (follow.folder / "b\x1b[2J.pub").write_bytes(text)
    before = len(follow.lines)
    assert [follow.look() for _ in range(4)] == [None] * 4
    (line,) = follow.lines[before:]
    assert "is no public key" in line and "ssh-keygen -t ecdsa -b 384" in line
    assert line.isprintable()
    assert follow.put("c.pub") != key
    assert len([follow.look(), follow.look()][1]) == 2


def test_a_file_that_is_still_written_is_waited_for(follow):
    follow.keys.begin()
    whole = follow.put("a.pub")
    text = (follow.folder / "a.pub").read_bytes()
    for length in range(10, len(text), 60):
        (follow.folder / "a.pub").write_bytes(text[:length])
        assert follow.look() is None
    (follow.folder / "a.pub").write_bytes(text)
    assert [follow.look(), follow.look()] == [None, {whole}]
    assert follow.lines == ["node a: may join"]


def test_a_superlink_that_is_away_is_asked_again(follow):
    follow.keys.begin()
    follow.refuses = True
    key = follow.put("a.pub")
    assert [follow.look() for _ in range(4)] == [None] * 4
    assert follow.lines == ["the SuperLink is away; tried again until it can be"]
    follow.refuses = False
    assert follow.look() == {key}


def test_a_folder_that_cannot_be_read_just_now_puts_nobody_out(follow, monkeypatch):
    follow.put("a.pub")
    follow.keys.begin()

    def fails(path):
        raise PermissionError

    monkeypatch.setattr(os, "scandir", fails)
    assert follow.look() is None
