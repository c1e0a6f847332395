"""A device whose disk is full: its round is lost or its record is, nothing that was there."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from energy_records import RECORD

from frugalfl.energy import Ledger
from frugalfl.errors import RunError
from frugalfl.settings import Settings
from frugalfl_client import disk as keeping
from frugalfl_client.device import forget_devices
from frugalfl_client.held import Held
from frugalfl_client.store import Store

from .full_disk import LimitedFiles, SmallDisk
from .rounds import Rounds, digits


@pytest.fixture(params=[SmallDisk, LimitedFiles])
def disk(request, tmp_path):
    try:
        made = request.param(tmp_path / "disk")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file system is not allowed here")
    yield made
    forget_devices()
    made.close()


def held(version):
    rng = np.random.default_rng(version)
    return Held(version, {"w": rng.normal(size=(100, 400)).astype(np.float32)})


def test_the_store_keeps_what_it_had_and_goes_on_when_there_is_room(disk):
    store = Store(disk.folder / "store.sqlite")
    store.save("run", held(1))
    with disk.full():
        for _ in range(3):
            with pytest.raises(
                RunError, match=r"cannot use the device's store .*: (disk|database)"
            ):
                store.save("run", held(2))
            assert store.load("run").version == 1
    store.save("run", held(3))
    for again in (store, Store(disk.folder / "store.sqlite")):
        kept = again.load("run")
        assert (kept.version, kept.damage) == (3, "")
        assert np.array_equal(kept.model["w"], held(3).model["w"])
    assert not list(disk.folder.glob("*.damaged"))


def test_so_does_the_ledger(disk):
    ledger = Ledger(disk.folder / "ledger.sqlite")
    one = replace(RECORD, software="x" * 300)
    before = ledger.append([one] * 50)
    with disk.full():
        for _ in range(3):
            with pytest.raises(RunError, match="cannot write the energy ledger"):
                ledger.append([one] * 2000)
            assert ledger.head() == before
    ledger.append([one])
    assert len(ledger.records()) == 51
    assert ledger.verify({before.number: before.hash}).fault == ""


def test_a_round_goes_on_without_the_device_and_later_ones_with_it(disk, tmp_path):
    settings = Settings.of(clients=3, clients_per_round=3, rounds=4, local_epochs=1)
    devices = tmp_path / "devices"
    devices.mkdir()
    (devices / "client-2").symlink_to(disk.folder, target_is_directory=True)
    with digits():
        run = Rounds(settings, devices)
        run.next()
        with disk.full():
            run.next(only=(2,)) if isinstance(disk, LimitedFiles) else run.next()
        run.next()
        run.next()
    lost = 0 if isinstance(disk, LimitedFiles) else 2
    assert run.updates == [3, lost, 3, 3]
    (warning,) = run.warnings
    assert "node 1002: cannot use the device's store" in warning
    assert "full" in warning or "I/O" in warning
    assert run.quarantine.exclusions == []
    assert not list(disk.folder.glob("*.damaged"))
    assert Ledger(disk.folder / "ledger.sqlite").verify().fault == ""


def test_a_ledger_that_cannot_grow_costs_the_record_and_not_the_update(tmp_path, monkeypatch):
    try:
        disk = SmallDisk(tmp_path / "disk")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file system is not allowed here")
    devices = tmp_path / "devices"
    opened = keeping._ledger

    def on_the_small_disk(path):  # of one device; no link to it would be followed
        return opened(disk.folder / path.name if path.parent.name == "client-0" else path)

    monkeypatch.setattr(keeping, "_ledger", on_the_small_disk)
    settings = Settings.of(clients=2, clients_per_round=2, rounds=3, local_epochs=1)
    try:
        with digits():
            run = Rounds(settings, devices)
            run.next()
            with disk.full():
                while not run.warnings:  # until the pages that the file has are used up
                    run.next()
            run.next()
        ledger = Ledger(disk.folder / "ledger.sqlite")
        assert all(count == 2 for count in run.updates)
        clients = [{one.client for one in traffic.energy} for traffic in run.traffic]
        assert clients[-2:] == [{"1"}, {"0", "1"}]
        (warning,) = run.warnings
        assert "node 1000: this round has no energy records: cannot write the energy" in warning
        told = [one for traffic in run.traffic for one in traffic.energy if one.client == "0"]
        assert ledger.records() == told
        assert ledger.verify().fault == ""
        ledger.close()
    finally:
        forget_devices()
        disk.close()
