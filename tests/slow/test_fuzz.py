"""A million damaged inputs over all decoders: each is read, or refused in one line.

FRUGALFL_INPUTS=1000000 FRUGALFL_SEED=1 python -m pytest -m slow tests/slow/test_fuzz.py -s
"""

import os
import resource

import pytest
from fuzzing import every_decoder, throw

INPUTS = int(os.environ.get("FRUGALFL_INPUTS", "1000000"))
SEED = int(os.environ.get("FRUGALFL_SEED", "1"))
#: Memory of the whole process may grow by so much (B), whatever is thrown at it.
MOST_GROWN = 300_000_000


@pytest.mark.slow
def test_no_input_gets_more_out_of_a_decoder_than_a_refusal():
    faults, thrown_in_all = [], 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for decoder, count in every_decoder(INPUTS):
        thrown = throw(decoder, count, SEED)
        thrown_in_all += thrown.inputs
        faults += thrown.faults.values()
        print(
            f"{decoder.name:<55} {count:>7,} thrown  {thrown.refused:>7,} refused  "
            f"{thrown.peak_bytes:>10,} B at most  {thrown.slowest_s:.2f} s at most", flush=True,
        )  # fmt: skip
        assert thrown.refused > 0 or decoder.name in NEVER_REFUSE
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    print(f"{thrown_in_all:,} inputs, {len(faults)} faults, memory grew by {grown:,} B")
    assert not faults
    assert thrown_in_all >= INPUTS
    assert grown < MOST_GROWN


#: What a device reads of its own is dropped if it is damaged: an answer to nobody, an old number.
NEVER_REFUSE = {"device's kept file", "node.json", "undelivered answer"}
