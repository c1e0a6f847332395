"""Byte budgets, through real rounds."""

from frugalfl.settings import Settings

from .rounds import Rounds, digits

CLIENTS = 4


def settings(**changes):
    return Settings.of(
        **{"clients": CLIENTS, "clients_per_round": CLIENTS, "local_epochs": 1, "prune": 0.0}
        | changes
    )


def run(folder, **changes):
    with digits():
        rounds = Rounds(settings(**changes), folder)
        for _ in range(5):
            rounds.next()
    last = rounds.traffic[-1]
    return rounds.warnings, last.uplink_bytes / CLIENTS, last.downlink_bytes / CLIENTS


def test_a_budget_makes_uploads_and_downloads_shorter_and_says_when_it_cannot(tmp_path):
    warnings, up, down = run(tmp_path / "free")
    assert warnings == []
    warnings, tight_up, tight_down = run(
        tmp_path / "tight", uplink_budget=int(up * 0.7), downlink_budget=int(down * 0.6)
    )
    assert tight_up < 0.85 * up
    assert tight_down < 0.8 * down
    assert any("uploads took" in line and "round" in line for line in warnings)
    assert any("downloads took" in line for line in warnings)
    warnings, _, _ = run(tmp_path / "impossible", uplink_budget=45)
    assert any("coarser would endanger training" in line for line in warnings)
