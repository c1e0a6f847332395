"""Joules through real rounds: whose they are, and that they are counted once."""

import time
from dataclasses import replace

import pytest
from energy_records import RECORD
from flwr.app import Message

from frugalfl import wire
from frugalfl.energy import Head, Ledger, totals
from frugalfl.settings import Settings
from frugalfl_client.app import app as client_app

from .rounds import Rounds, digits

SETTINGS = Settings(
    clients=4, clients_per_round=4, rounds=2, local_epochs=1, evaluate_rows=16, grid="ES"
)


@pytest.fixture
def rounds(tmp_path):
    """Rounds with a given client app and settings."""
    with digits():
        yield lambda client=client_app, **changes: Rounds(
            replace(SETTINGS, **changes), tmp_path / "devices", client=client
        )


def test_simulated_clients_together_never_exceed_the_hosts_processor_time(rounds):
    run = rounds()
    before = time.process_time()
    run.next()
    run.next()
    host = time.process_time() - before
    records = [record for traffic in run.traffic for record in traffic.energy]
    total = totals(records)
    assert len(records) == 2 * 4 * 6
    assert 0 < total.cpu_s <= host
    assert total.estimated_j <= 4.0 * host * (1 + 1e-5)  # 4 W a busy core, six digits
    assert total.estimated_g == pytest.approx(total.estimated_j / 3.6e6 * 174)


def test_a_ledger_ends_where_the_server_was_told(rounds, tmp_path):
    run = rounds()
    run.next()
    run.next()
    for traffic in run.traffic:
        assert sorted(head.client for head in traffic.heads) == ["0", "1", "2", "3"]
    for client in range(4):
        seen = {
            head.number: bytes.fromhex(head.hash)
            for traffic in run.traffic
            for head in traffic.heads
            if head.client == str(client)
        }
        with Ledger(tmp_path / "devices" / f"client-{client}" / "ledger.sqlite") as ledger:
            assert ledger.verify(seen).fault == ""
            assert ledger.head() == Head(12, seen[12])


def test_what_a_client_gets_right_is_counted_on_its_own_rows(rounds):
    run = rounds()
    run.next()
    judged = [record for record in run.traffic[0].energy if record.phase == "evaluate"]
    assert len(judged) == 4
    for record in judged:
        assert record.samples == 16
        assert 0 <= record.correct <= 16


def test_without_rows_to_evaluate_there_is_no_such_record_and_the_model_is_the_same(
    rounds, tmp_path
):
    with_it, without = rounds(), Rounds(replace(SETTINGS, evaluate_rows=0), tmp_path / "others")
    with_it.next()
    without.next()
    assert "evaluate" not in {record.phase for record in without.traffic[0].energy}
    for name, tensor in with_it.model.items():
        assert (tensor == without.model[name]).all()


def test_private_rounds_count_what_the_clients_own_models_get_right(rounds):
    run = rounds(private="8", prune=0.0)
    run.next()
    judged = [record for record in run.traffic[0].energy if record.phase == "evaluate"]
    right = sum(record.correct for record in judged) / sum(record.samples for record in judged)
    assert run.traffic[0].clients_accuracy == pytest.approx(right)


@pytest.mark.parametrize(
    "change", [{"client": "server"}, {"run": "another"}, {"round": 7}], ids=lambda c: next(iter(c))
)
def test_records_that_are_not_the_clients_own_cost_its_contribution(rounds, change):
    def liar(message, context):
        reply = client_app(message, context)
        if context.node_config["partition-id"] != 0:
            return reply
        told = wire.unpack_reply(reply)
        false = tuple(replace(record, **change) for record in told.records)
        return Message(wire.pack_reply(replace(told, records=false)), reply_to=message)

    run = rounds(liar)
    run.next()
    assert run.updates == [3]
    assert "not its own of this round" in run.warnings[0]
    assert {record.client for record in run.traffic[0].energy} == {"1", "2", "3"}


def test_a_damaged_ledger_is_set_aside_and_the_device_trains_on(rounds, tmp_path):
    path = tmp_path / "devices" / "client-2" / "ledger.sqlite"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no longer a database, but long enough to be read as one" * 40)
    run = rounds()
    run.next()
    assert run.updates == [4]
    assert "ledger.sqlite.damaged" in run.warnings[0]
    with Ledger(path) as ledger:
        assert len(ledger.records()) == 6


def test_a_sound_ledger_of_a_newer_version_is_not_set_aside(rounds, tmp_path):
    path = tmp_path / "devices" / "client-2" / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.append([RECORD])
        ledger._file.db.execute("PRAGMA user_version = 99")
    run = rounds()
    run.next()
    assert run.updates == [3]
    assert "schema 99" in run.warnings[0]
    assert not path.with_name("ledger.sqlite.damaged").exists()
