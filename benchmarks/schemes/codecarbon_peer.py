"""CodeCarbon and FrugalFL around the same work; run by energy_meter.py in CodeCarbon's interpreter.

Prints one line of JSON: joules of both, and the processor time that the work took.
"""

from __future__ import annotations

import json
import os
import sys
import time

import codecarbon  # type: ignore[import-not-found]

from frugalfl.energy import choose_meter, profile_named

_J_PER_KWH = 3.6e6


def main(mode: str, cpu_s: float, core_w: float) -> None:
    tracker = codecarbon.OfflineEmissionsTracker(
        country_iso_code="ESP",
        tracking_mode=mode,
        measure_power_secs=1,
        force_cpu_power=core_w * (os.cpu_count() or 1),
        force_mode_cpu_load=True,
        save_to_file=False,
        log_level="error",
        allow_multiple_runs=True,
    )
    meter = choose_meter(profile_named("generic"))
    tracker.start()
    with meter.window("work") as window:
        end = time.process_time() + cpu_s
        while time.process_time() < end:
            sum(range(10_000))
    tracker.stop()
    data = tracker.final_emissions_data
    (reading,) = window.readings
    print(
        json.dumps(
            {
                "version": codecarbon.__version__,
                "cpu_s": window.cpu_s,
                "wall_s": window.wall_s,
                "frugalfl_j": reading.energy_j,
                "codecarbon_cpu_j": data.cpu_energy * _J_PER_KWH,
                "codecarbon_ram_j": data.ram_energy * _J_PER_KWH,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
