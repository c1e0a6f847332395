"""The files of runs that reports are made of in tests."""

from dataclasses import replace

from frugalfl.energy import EnergyRecord, Reading
from frugalfl_server.run import summary
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.records import RoundRecord

STAGES = ("pytorch", "litert_float", "litert_int8", "litert_int8_reference", "tflite_micro_int8")
EXPORT = {
    "paths": {"model_int8.tflite": "model/model_int8.tflite"},
    "float_bytes": 44112,
    "int8_bytes": 12608,
    "arena_bytes": 2896,
    "parameters": 9802,
    "macs": 31552,
    "verification": {
        "rows": 360,
        "accuracy": dict.fromkeys(STAGES, 0.944),
        "agreement": dict.fromkeys(STAGES, 0.997),
        "micro_max_lsb": 1,
        "micro_bytes_differing": 0.002,
        "sqnr_db": 34.15,
        "latency_us_host": {"litert_float": 2.9, "litert_int8": 2.6},
        "arena_bytes": 2896,
        "operators": ["CONV_2D", "FULLY_CONNECTED", "FULLY_CONNECTED"],
    },
}
TRAINED = [
    RoundRecord("frugalfl", "train", number, 0.1 * number + 0.45, 1.0, 4, 4, 2000, 90000 // number,
                None, 0.5, 0.2)
    for number in range(1, 6)
]  # fmt: skip
RECOVERED = [
    RoundRecord("frugalfl", "recover", number, 0.94, 1.0, 4, 4, 900, 8000, None, 0.3, 0.2)
    for number in (6, 7)
]
BASELINE = [
    replace(record, federation=summary.BASELINE, uplink_bytes=616_608, downlink_bytes=616_608)
    for record in TRAINED
]


def record(client, phase, joules, grid=None):
    reading = Reading("cpu", joules, None, False, "cpu-time", "generic 4 W per busy core",
                      "process", 0.5)  # fmt: skip
    return EnergyRecord("run", client, 1, phase, "generic", 0.0, 0.1, 0.1, (reading,), grid=grid)


def changed(one, **changes):
    """The record with its reading changed."""
    return replace(one, readings=(replace(one.readings[0], **changes),))


ENERGY = [
    record(str(client), phase, joules)
    for client in range(4)
    for phase, joules in (("decode", 0.01), ("train", 0.4 + client), ("encode", 0.05))
]


def fill(run: RunDirectory, rounds=(), energy=(), status="finished", reason=None, export=None):
    run.rounds, run.energy = list(rounds), list(energy)
    if export is not None:
        run.write_json("model/export.json", export)
        (run.path / "model" / "model_int8.tflite").write_bytes(b"int8")
    run.flush()
    run.write_json("summary.json", summary.of_run(run, status, reason))
