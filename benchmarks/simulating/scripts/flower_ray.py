"""Flower's simulation on Ray, called from Python: ``run_simulation``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measured import Workload, parser, show_file, tell

HERE = Path(__file__).parent


def main() -> None:
    made = parser()
    made.add_argument("--actors", type=int, default=2, help="on 2 cores")
    options = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        tell(options, answer)
        sys.path.insert(0, str(HERE / "flower_app"))
        import flower_digits
        from flwr.simulation import run_simulation

        run_simulation(
            flower_digits.server, flower_digits.client, Workload(options.data).clients,
            backend_config={
                "client_resources": {"num_cpus": 2 // options.actors, "num_gpus": 0.0},
                "init_args": {"num_cpus": 2, "log_to_driver": False},
            },
        )  # fmt: skip
        show_file(answer)


if __name__ == "__main__":
    main()
