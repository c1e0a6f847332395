"""Made-up comparisons, for tests of what is made of them."""

import numpy as np

from frugalfl.energy import parse_electricity
from frugalfl_sim.comparison.estimates import Joules
from frugalfl_sim.comparison.notes import Disclosure, Notes, Preparation
from frugalfl_sim.comparison.rows import Bytes, Row
from frugalfl_sim.rare_cases.evaluation import HeldOut, evaluate

BRANCHES = ("north", "south", "west")
#: How far scores of frauds lie above those of others.
SKILL = {
    "alone": 1.8, "central": 3.2, "central_all": 3.15, "bagging": 2.8, "refit": 2.75, "cyclic": 2.3,
    "histogram": 3.19, "mlp": 2.9, "mlp_int8": 2.9, "central_mlp": 3.1,
}  # fmt: skip
FEDERATED = ("bagging", "refit", "cyclic", "histogram", "mlp", "mlp_int8")


def held_out(seed: int, rows: int = 3000, share: float = 0.03) -> HeldOut:
    rng = np.random.default_rng(seed)
    return HeldOut(
        y=(rng.random(rows) < share).astype(np.int8),
        time=np.sort(rng.integers(1_600_000_000, 1_600_000_000 + 6 * 86400, rows)),
        card=rng.integers(0, 900, rows),
        amount=rng.gamma(2, 40, rows).round(2),
        branch=rng.integers(0, len(BRANCHES), rows),
        branches=BRANCHES,
    )


def logits(rows: HeldOut, skill: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, len(rows.y))
    scores = skill * rows.y + noise
    if skill == SKILL["mlp_int8"]:
        scores = scores.round(1)
    return 1.4 * scores - 6


def made_up(seeds=(1, 2, 3), splits=("geography", "segment"), rows: int = 3000) -> list[Row]:
    """Rows of every method under every condition."""
    made = []
    for seed in seeds:
        data = held_out(seed, rows)
        for split in splits:
            for counters in ("local", "shared"):
                worse = 0.8 if (split, counters) == ("segment", "local") else 0.0
                for number, (method, skill) in enumerate(SKILL.items()):
                    for branch in (None, *BRANCHES) if method == "alone" else (None,):
                        less = worse + (0.4 if branch else 0)
                        made.append(
                            one(seed, split, counters, method, branch,
                                evaluate(data, logits(data, skill - less, 10 * seed + number)))
                        )  # fmt: skip
    return made


def one(seed, split, counters, method, branch, evaluation) -> Row:
    kinds = {"histogram": 2_400_000, "mlp": 540_000, "mlp_int8": 540_000}
    sent = Bytes()
    if method in FEDERATED:
        sent = Bytes(kinds.get(method, 420_000), 16_000, 48_000 if counters == "shared" else 0)
    forbidden = method.startswith("central")
    return Row(
        seed, split, counters, method, branch, evaluation,
        None if forbidden else sent, None if forbidden else sent,
        5 if method in FEDERATED else 0,
        Joules(estimated={"central_all": 28.0, "mlp": 70.0, "mlp_int8": 70.0}.get(method, 9.0) + seed),
        Joules(estimated=0.4), {"mlp": 12_548, "mlp_int8": 8_144}.get(method, 24_200), 3.0,
    )  # fmt: skip


def notes(**changes) -> Notes:
    """Notes with something in every part."""
    given = {
        "title": "Card fraud over three branches",
        "data": "Simulated card transactions, 3,000 test rows.",
        "command": "make fraud",
        "disclosures": (
            Disclosure("trees without leaf counts", "each branch", "server", "each round", 420_000, "always"),
            Disclosure("sums of hashed terminals", "each branch", "server", "before training", None,
                       "with shared counters"),
        ),
        "checks": ("A terminal planted in one branch is seen by no other.",),
        "preparation": (
            Preparation("north", {"read": 5400, "duplicates": 12, "training rows": 800}),
            Preparation("south", {"read": 5100, "training rows": 700}, ("no fraud before day 30",)),
        ),
        "settings": {"negatives kept": "10 %", "label delay": "7 days"},
        "energy": "Joules are estimated from CPU time, 4 W per busy core, ± 50 % (k = 2).",
        "currency": "EUR",
        "grid": parse_electricity("ES"),
    }  # fmt: skip
    return Notes(**(given | changes))
