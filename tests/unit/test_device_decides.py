"""Which apps and training programs a device runs: named, signed, listed, or the first ones."""

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from attacking.device import listed, on_bundles
from attacking.signed import entities_of, signed
from attacking.zips import CODE, honest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from frugalfl.approved import Approved, ApprovedApp, ApprovedProgram, read_approved, to_text
from frugalfl.cli import root
from frugalfl.errors import ProgramError, RunError, UsageError
from frugalfl_client.approvals import Approvals
from frugalfl_client.node.app_error import AppError
from frugalfl_client.node.apps import Apps
from frugalfl_client.node.bundle import unpack
from frugalfl_client.node.flower import Bundle
from frugalfl_client.node.signatures import is_signed, read_entities
from frugalfl_client.node.trust import Trust
from frugalfl_client.pins import Pins

ONE = honest()
OTHER = honest(CODE + "changed = True\n")
A, B, C = "a" * 64, "b" * 64, "c" * 64


def hash_of(data):
    return hashlib.sha256(data).hexdigest()


class Device:
    """A node's apps, and what was fetched for them."""

    def __init__(self, folder, superlink="here:1", **trust):
        self.folder, self.fetched, self.said = folder, 0, []
        self.apps = Apps(
            folder / "apps", Trust(superlink, Pins(folder), **trust), say=self.said.append
        )

    def runs(self, data, verifications=(), name="me/mine", digest=None):
        def fetch():
            self.fetched += 1
            return Bundle(data, dict(verifications))

        run = SimpleNamespace(fab_hash=digest or hash_of(data), fab_id=name, fab_version="1.0")
        return self.apps.of(run, fetch).client

    def accept(self, digest):
        arguments = ["accept", digest, "--state-dir", str(self.folder)]
        return CliRunner().invoke(root, arguments)


@pytest.fixture
def device(tmp_path):
    made = Device(tmp_path)
    yield made
    made.apps._unload()


def test_the_first_app_is_pinned_and_another_runs_once_its_owner_accepts_it(device):
    device.runs(ONE)
    with pytest.raises(AppError) as refusal:
        device.runs(OTHER, name="me/\x1b[2Jelse")
    line = str(refusal.value)
    assert line.isprintable()
    assert hash_of(ONE) in line
    assert f"frugalfl accept {hash_of(OTHER)} --state-dir {device.folder}" in line
    assert device.fetched == 1  # what is refused is not even fetched
    listed = CliRunner().invoke(root, ["accept", "--state-dir", str(device.folder)]).output
    assert listed.startswith(f"{hash_of(OTHER)}  the app me/")
    assert device.accept(hash_of(OTHER)).exit_code == 0
    assert device.runs(OTHER) is not device.runs(ONE)


def test_each_superlink_has_a_first_app_and_one_that_does_not_unpack_is_none(device):
    broken = ONE[:-30]
    with pytest.raises(AppError, match="damaged"):
        device.runs(broken)
    device.runs(ONE)
    elsewhere = Device(device.folder, "there:1")
    elsewhere.runs(OTHER)
    with pytest.raises(AppError, match="is not run"):
        device.runs(OTHER)
    elsewhere.apps._unload()


def test_named_hashes_and_lists_leave_no_room_for_a_first_one(tmp_path):
    file = tmp_path / "approved.json"
    file.write_text(to_text(Approved((ApprovedApp("x", A),), ())))
    device = Device(tmp_path, hashes=frozenset([B]), listed=file)
    with pytest.raises(AppError, match="none of --app-hash, it is not on the list of --approved"):
        device.runs(ONE)
    file.write_text(to_text(Approved((ApprovedApp("x", hash_of(ONE)),), ())))
    device.runs(ONE)
    file.write_text("{}")
    with pytest.raises(AppError, match="no list of what may run"):
        device.runs(ONE)
    device.apps._unload()


@pytest.mark.parametrize(
    "digest", [A[:-1], A + "a", A.upper(), "../" + A, A[:-1] + "\n", "", "é" * 64]
)
def test_a_digest_is_64_digits(device, digest):
    with pytest.raises(AppError, match="names no app bundle") as refusal:
        device.runs(ONE, digest=digest or " ")
    assert str(refusal.value).isprintable()
    assert device.accept(digest or "x").exit_code != 0


def test_a_signed_app_runs_and_no_other(tmp_path):
    ann, eve = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    file = entities_of(tmp_path / "entities.yaml", ann=ann)
    device = Device(tmp_path, entities=read_entities(file))
    good = signed(ONE, ann)
    for bad in (
        {}, signed(ONE, eve), signed(OTHER, ann), {"ann": good["ann"]},
        {"valid_license": "true", "eve": good["ann"]},
        {"valid_license": "true", "ann": "{"}, {"valid_license": "true", "ann": "[]"},
        signed(ONE, ann, signed_at=-1), signed(ONE, ann, signed_at=1 << 80),
        signed(ONE, ann, signature=5), signed(ONE, ann, signature="\udcff"),
    ):  # fmt: skip
        with pytest.raises(AppError, match="nobody of --trusted-entities signed it"):
            device.runs(ONE, bad)
    device.runs(ONE, good)
    device.apps._unload()
    again = Device(tmp_path, entities=read_entities(file))
    again.runs(ONE)  # its signature is kept with it
    assert again.fetched == 0
    again.apps._unload()


def test_the_flower_node_agrees_about_every_signature(tmp_path):
    from flwr.supercore.fab import Fab
    from flwr.supernode.start_client_internal import _verify_fab

    ann, eve = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    file = entities_of(tmp_path / "entities.yaml", ann=ann)
    theirs = dict(line.split(": ", 1) for line in file.read_text().splitlines())
    for verifications in (signed(ONE, ann), signed(ONE, eve), signed(OTHER, ann)):
        ours = is_signed(Bundle(ONE, verifications), read_entities(file))
        assert ours == _verify_fab(Fab("", ONE, verifications), theirs)


@pytest.mark.parametrize("text", ["", "ann: x", "- 1", "ann: [", "ann: ssh-ed25519 AAAA", "\x00"])
def test_a_file_of_entities_that_is_none_is_refused_in_a_line(tmp_path, text):
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(UsageError, match="--trusted-entities") as refusal:
        read_entities(tmp_path / "e.yaml")
    assert "\n" not in str(refusal.value)


def test_only_ed25519_keys_sign_apps(tmp_path):
    with pytest.raises(UsageError, match="not Ed25519"):
        read_entities(entities_of(tmp_path / "e.yaml", ann=generate_private_key(SECP384R1())))


def test_what_was_altered_on_the_disk_is_noticed(device, tmp_path):
    first = device.runs(ONE)
    assert device.runs(ONE) is first
    tree = tmp_path / "apps" / hash_of(ONE) / "app"
    (tree / "rows.npz").write_bytes(b"data that the app keeps")
    assert device.runs(ONE) is first
    for name in ("part.py", "numpy.py", "json/__init__.py", "__pycache__/part.cpython-311.pyc"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(b"evil = True\n")
        device.said.clear()
        device.runs(ONE)
        assert "altered" in device.said[0]
        assert not list(tree.rglob("numpy.py"))
        assert (tree / "part.py").read_text() == CODE
    (tree / "part.py").unlink()
    (tree / "part.py").symlink_to(tmp_path / "elsewhere.py")
    (tmp_path / "elsewhere.py").write_text(CODE)
    device.runs(ONE)
    assert not (tree / "part.py").is_symlink()
    assert device.fetched == 1
    device.apps._unload()
    (tree.parent / "bundle.fab").write_bytes(OTHER)
    device.said.clear()
    device.runs(ONE)
    assert device.fetched == 2
    assert "fetched anew" in device.said[0]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_hostile_bundle_is_unpacked(tmp_path):
    outcomes = list(on_bundles(tmp_path / "bundles"))
    assert len(outcomes) > 15
    for outcome in outcomes:
        assert outcome.refused, outcome


@settings(max_examples=30)
@given(data=st.data())
def test_a_mutated_bundle_is_refused_or_stays_inside(tmp_path_factory, data):
    bundle = bytearray(ONE)
    for _ in range(data.draw(st.integers(1, 4))):
        bundle[data.draw(st.integers(0, len(bundle) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("mutated")
    try:
        unpack(bytes(bundle), folder / "app")
    except AppError as error:
        assert str(error).isprintable()
    assert {path.name for path in folder.iterdir()} <= {"app"}


def test_programs_are_pinned_by_role_and_app(tmp_path, capsys):
    pins = Pins(tmp_path)
    device = Approvals(pins, app=A)
    device.check_role(B, "role")
    device.check_role(C, "role")  # none has run yet
    device.pin_role(B, "role")
    device.pin_role(C, "another role")
    for check in (device.check_role, device.pin_role):
        with pytest.raises(ProgramError, match=f"{C}, the first one for this was {B}"):
            check(C, "role")
    assert capsys.readouterr().err == ""
    Approvals(pins, app=C).pin_role(C, "role")  # another app begins anew
    with pytest.raises(ProgramError):  # Flower's own node names no app, and shows no answers
        stock = Approvals(pins)
        stock.pin_role(B, "role")
        stock.pin_role(C, "role")
    assert capsys.readouterr().err.startswith("refused: the training program")
    pins.accept(C)
    device.pin_role(C, "role")
    Approvals.of({"approved": "any"}, tmp_path).pin_role(A, "role")


def test_a_server_cannot_fill_the_disk_with_roles(tmp_path, monkeypatch):
    monkeypatch.setattr("frugalfl_client.pins._MOST_FIRST", 8)
    device = Approvals(Pins(tmp_path), app=A)
    with pytest.raises(ProgramError, match="one role too many"):
        for number in range(9):
            device.pin_role(B, f"role {number}")
    for number in range(100):
        Pins(tmp_path).refuse(f"{number:064}", "x")
    assert (tmp_path / "accepted.json").stat().st_size < 100_000


def test_a_list_leaves_nothing_to_roles(tmp_path):
    device = Approvals(Pins(tmp_path), tmp_path / "approved.json", A)
    with pytest.raises(RunError, match="make one with frugalfl approve"):
        device.check_listed(B)
    listed(tmp_path / "approved.json", b"program")
    device.check_listed(hash_of(b"program"))
    with pytest.raises(ProgramError, match="none of the 1 that this device's owner approved"):
        device.check_listed(B)


def test_what_was_accepted_is_never_forgotten_in_silence(device, tmp_path):
    device.runs(ONE)
    for text in ("", "{", "[]", '{"first": {"x": 1}, "accepted": [], "refused": {}}'):
        (tmp_path / "accepted.json").write_text(text)
        with pytest.raises(AppError, match="nothing is known to be accepted"):
            device.runs(ONE)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["kind", "format", "apps", "programs", "hash", "digest", "name"]), inner
    ),
)  # fmt: skip


@settings(max_examples=30)
@given(_JSON)
def test_a_list_is_read_whole_or_refused(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("list") / "approved.json"
    about = value if isinstance(value, dict) else {"apps": value}
    path.write_text(json.dumps({"kind": "frugalfl-approved", "format": 1, "programs": []} | about))
    try:
        assert all(len(digest) == 64 for digest in read_approved(path).hashes)
    except UsageError as error:
        assert "frugalfl approve" in str(error)


def test_a_list_is_read_as_it_was_written(tmp_path):
    whole = Approved((ApprovedApp("me/mine 1.0", A),), (ApprovedProgram("train: all", B),))
    (tmp_path / "a.json").write_text(to_text(whole))
    assert read_approved(tmp_path / "a.json") == whole


def test_importing_an_app_leaves_no_bytecode(device):
    before = sys.dont_write_bytecode
    device.runs(ONE)
    assert sys.dont_write_bytecode == before
    assert not list(Path(device.folder).rglob("*.pyc"))
