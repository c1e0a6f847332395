"""What devices refuse, in real federations: other apps, unsigned apps, altered programs."""

import json
import sqlite3

import pytest
from attacking.device import ECHO, REFUSED, answers, changed, on_apps, run_of
from attacking.signed import entities_of, signed
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from federations import DIGITS, SETTINGS, digits, rounds_of
from machines import Machines

from frugalfl_server.run.directory import RunDirectory

pytestmark = pytest.mark.slow
#: Python of the SuperLink imports this first: each program that is compiled there comes out altered
#: by one byte, under a digest of its own.
ALTERING = """
import dataclasses
from frugalfl import program_file

def pack(program, before=program_file.pack):
    last = bytes([program.model[-1] ^ 1])
    return before(dataclasses.replace(program, model=program.model[:-1] + last))

program_file.pack = pack
"""
CHANGES = {"rounds": 2, "local-epochs": 1}


def test_other_apps_are_refused_and_altered_caches_noticed(machines):
    for outcome in on_apps(machines):
        assert outcome.refused, outcome
        assert outcome.run_went_on, outcome


def test_an_accepted_app_runs_while_the_node_goes_on(machines, tmp_path):
    machines.superlink()
    nodes = [machines.lean(number) for number in range(2)]
    assert answers(machines, ECHO)
    newer = changed(tmp_path / "newer", "\n# a comment\n")
    run_of(machines, newer).wait_for("echo 1: .* 2 answers")
    for node in nodes:
        words = node.wait_for(REFUSED).split("frugalfl accept ")[1].split()
        assert machines.start("frugalfl", "accept", *words).wait() == 0
    assert answers(machines, newer)
    assert answers(machines, ECHO)


def test_signed_apps_run_and_no_others(tmp_path):
    """A platform's signatures, as the SuperLink keeps and hands them out."""
    links = Machines(tmp_path / "machines", database=True)
    try:
        links.superlink()
        ann, eve = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        file = entities_of(tmp_path / "entities.yaml", ann=ann)
        for signer, told in {
            eve: "nobody of --trusted-entities signed it",
            ann: r"errors \[\]",
        }.items():
            run = links.run(ECHO, nodes=1, rounds=1)
            run.wait_for("Starting|Successfully")
            sign(links, signer)
            node = links.lean(0, 2, None, "--trusted-entities", file)
            run.wait_for(f"echo 1: .*{told}", 120)
            node.kill()
    finally:
        links.stop()


def sign(links, key):
    database = sqlite3.connect(links.folder / "link.db")
    with database:
        rows = database.execute("SELECT fab_hash, content FROM fab").fetchall()
        assert rows
        for name, data in rows:
            told = json.dumps(signed(data, key))
            database.execute("UPDATE fab SET verifications = ? WHERE fab_hash = ?", (told, name))
    database.close()


def test_an_approved_federation_trains_and_an_altered_program_does_not(tmp_path):
    settings = [f"{key}={value!r}" for key, value in (SETTINGS | CHANGES).items()]
    honest = Machines(tmp_path / "honest")
    try:
        approving = honest.start("frugalfl", "approve", DIGITS, *settings)
        assert approving.wait(900) == 0, approving.said
        approved = honest.folder / "approved.json"
        assert len(json.loads(approved.read_text())["programs"]) == 1
        honest.superlink()
        assert updates_of(honest, approved) == [2, 2]
    finally:
        honest.stop()

    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(ALTERING)
    altering = Machines(tmp_path / "altering")
    altering.environment["PYTHONPATH"] = str(tmp_path / "first")
    altering.superlink()
    del altering.environment["PYTHONPATH"]
    try:
        assert updates_of(altering, approved, stock=True) == [1, 1]
    finally:
        altering.stop()


def updates_of(links, approved, stock=False):
    """Run two rounds on a client with PyTorch and one with LiteRT; return the updates of both."""
    links.lean(0, 2, None, "--approved", approved, config='trainer="torch"')
    kind = f'trainer="litert" approved="{approved}"'
    litert = links.stock(1, config=kind) if stock else links.lean(1, config=kind)
    run = digits(links, **CHANGES)
    assert run.wait(900) == 0, run.said
    if stock:
        litert.wait_for("refused: the training program has the digest .* frugalfl accept")
        assert "which is none of the 1 that this device's owner approved" in run.said
    return [one.updates for one in rounds_of(links) if one.phase == "train"]


def test_an_owners_own_copy_of_the_app_trains_beside_the_servers(machines):
    machines.lean(0, 2, None, "--app", DIGITS)
    machines.lean(1)
    settings = ("clients=2", "clients-per-round=2", "rounds=2", "local-epochs=1", "prune=0.0")
    serving = machines.serve(DIGITS, *settings, "export=false", "evaluate-rows=0")
    assert serving.wait(600) == 0, serving.said
    run = RunDirectory.open(machines.folder / "runs" / "latest")
    assert [one.updates for one in run.rounds] == [2, 2]
