"""Everything of a federation is killed at random moments: nothing is lost, and the bits are the same.

FRUGALFL_KILLS=300 FRUGALFL_SEED=1 python -m pytest -m slow tests/slow/test_kills.py -s
"""

import os
import re

import pytest
from kills import Killing

from frugalfl.energy.verify_ledgers import verify_ledger

KILLS = int(os.environ.get("FRUGALFL_KILLS", "300"))
SEED = int(os.environ.get("FRUGALFL_SEED", "1"))


def facts(run):
    return [(r.phase, r.round, r.updates, r.accuracy, r.loss, r.uplink_bytes) for r in run.rounds]


def bits(run):
    files = sorted(run.path.glob("model/*.tflite"))
    model = run.load_checkpoint()
    return {p.name: p.read_bytes() for p in files}, {n: t.tobytes() for n, t in model.items()}


@pytest.mark.slow
def test_random_kills_lose_nothing_and_change_no_bit(machines):
    killing = Killing(machines, rounds=2 * KILLS + 10)
    plain = killing.undisturbed()
    broken = killing.disturbed(KILLS, SEED)
    print(dict(killing.killed), "serve gave up:", killing.gave_up)
    assert killing.killed.total() == KILLS
    assert broken.path != plain.path

    log = (broken.path / "progress.log").read_text()
    done = 0
    for word, number in re.findall(r"(train|resume after) +(\d+)", log):
        if word == "train":
            done = max(done, int(number))
        else:
            assert int(number) >= done, "a finished round was lost"
    # SuperLink gives a message once. A node that is killed before it has it on its disk has lost it,
    # is silent, and is asked once more: no round goes without it.
    whole = next((n for n, r in enumerate(broken.rounds) if r.updates == 2), len(broken.rounds))
    print("rounds that are the same:", whole, "of", len(plain.rounds))
    assert facts(broken) == facts(plain)
    assert bits(broken) == bits(plain)

    assert len({(head.client, head.round) for head in broken.heads}) == len(broken.heads)
    rows = [(e.client, e.round, e.phase) for e in broken.energy if e.client != "server"]
    assert len(set(rows)) == len(rows), "an update was counted twice"
    for number in range(3):
        ledger = machines.folder / f"device-{number}" / "ledger.sqlite"
        assert not verify_ledger(ledger, broken.path).faults
    assert "Traceback" not in "".join(killing.said)
