"""Twenty thousand damaged inputs over all decoders; `tests/slow/test_fuzz.py` throws a million."""

from fuzzing import every_decoder, throw

INPUTS, SEED = 20_000, 7


def test_damaged_inputs_are_refused_in_one_line():
    faults = [
        fault
        for decoder, count in every_decoder(INPUTS)
        for fault in throw(decoder, count, SEED).faults.values()
    ]
    assert not faults
