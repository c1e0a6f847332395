"""The settings of a federation: the keys under ``[tool.flwr.app.config]`` of an app.

Both ends read the same settings: Flower hands them to the ServerApp and to every ClientApp as the
run config. A field ``learning_rate`` here is the key ``learning-rate`` there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from frugalfl.asynchronous import needs_whole_rounds, parse_asynchronous
from frugalfl.calls import unknown
from frugalfl.codec import parse_codec
from frugalfl.codec.trial import check_works
from frugalfl.delays import parse_delays
from frugalfl.energy import parse_grid
from frugalfl.energy.fleet import parse_fleet
from frugalfl.errors import UsageError
from frugalfl.optimizers import LocalOptimizer, parse_optimizer
from frugalfl.patience import parse_patience
from frugalfl.plans import parse_plan
from frugalfl.sampling import parse_sampling
from frugalfl.schedule import Plateau, parse_schedule
from frugalfl.sizes import parse_size
from frugalfl.strategies import parse_strategy
from frugalfl.sums import AT_LEAST
from frugalfl.targets import target_named
from frugalfl.trees.ways import parse_way

#: What may train on clients.
TRAINERS = ("auto", "torch", "litert")
#: Whose counters a task's rows are made with.
COUNTERS = ("own", "shared")
#: Keys of an app's own, in a table ``app``, come with this in front.
OWN = "app."


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Settings:
    """Every setting, with its default; the ``help`` of each is in its field's metadata."""

    task: str = _setting("task:task", "module:attribute of the Task")
    seed: int = _setting(
        0, "seed of the model, the sampling of clients and, in simulations, the local shuffling"
    )
    initial: str = _setting(
        "exact", "first weights: exact (as the task makes them) or seeded (drawn from the seed)"
    )
    rounds: int = _setting(80, "federated rounds before pruning")
    clients: int = _setting(40, "clients of a simulation")
    clients_per_round: int = _setting(10, "clients that train in each round")
    local_epochs: int = _setting(5, "passes over a client's own data in a round")
    batch_size: int = _setting(16, "rows per training step")
    learning_rate: float = _setting(0.05, "step size of the local steps in the first round")
    final_learning_rate: float = _setting(
        0.01, "step size in the last round of cosine and linear; plateau goes no lower"
    )
    schedule: str = _setting(
        "cosine", "step size between: cosine, linear, constant, step(factor, rounds), plateau(...)"
    )
    optimizer: str = _setting("sgd", "rule of the local steps: sgd, nesterov, adam, adamw (below)")
    momentum: float = _setting(0.9, "momentum of sgd and nesterov, 0 for none")
    weight_decay: float = _setting(0.0, "times the weights, added to their gradient; 0: none")
    clip_norm: float = _setting(
        0.0, "longest gradient of a local step, all tensors together; 0: any length"
    )
    trainer: str = _setting(
        "auto", "what trains on clients: torch, litert, or auto (PyTorch where it is installed)"
    )
    uplink: str = _setting("stochastic(auto) | range", "codec of updates, client to server")
    downlink: str = _setting("dyadic(auto) | range", "codec of updates, server to client")
    uplink_budget: int = _setting(
        0, "most bytes of an update, on average over a round; 0: none; needs stochastic(auto)"
    )
    downlink_budget: int = _setting(
        0, "most bytes to a client in a round, on average; 0: none; needs a codec with a share"
    )
    strategy: str = _setting("fedavg", "how the server turns updates into the next model (below)")
    trees: str = _setting(
        "", "federated trees in place of the network, such as bagging(20); empty: none"
    )
    counters: str = _setting(
        "own", "counters of a task by keys: own (of each client), or shared (sums over all clients)"
    )
    counters_at_least: int = _setting(
        AT_LEAST,
        "clients that must have a key for its shared sum to be handed back; others keep their own",
    )
    norm_bound: float = _setting(
        8.0, "how many times as long as usual an update may be; beyond, it does not count; 0: any"
    )
    set_aside: str = _setting(
        "after(3, 10)",
        "wrong replies in a row after which a client is not asked for so many rounds; or never",
    )
    sampling: str = _setting("uniform", "which clients train in a round (below)")
    round_deadline: float = _setting(
        0.0, "longest time of a round (s); late devices are left out; 0: none"
    )
    quorum: float = _setting(
        0.0, "least updates of a round: below 1 a share of the clients asked, else a count; 0: any"
    )
    over_select: float = _setting(
        0.0, "share of clients-per-round asked beyond it; a round closes when enough have answered"
    )
    asynchronous: str = _setting(
        "", "buffered(10): the model makes a step after so many updates; empty: after whole rounds"
    )
    refresh: str = _setting("full", "refresh plan: which blocks a client trains and exchanges")
    energy_budget: float = _setting(
        0.0, "most joules that a client may use in the whole run; 0: none"
    )
    min_battery: int = _setting(
        0, "battery (%) below which a device does not train, unless it is charging; 0: none"
    )
    stop_joules: float = _setting(
        0.0, "training ends once all clients together have used so many joules; 0: never"
    )
    stop_accuracy: float = _setting(
        0.0, "training ends at this accuracy, mean of the last three rounds; 0: never"
    )
    stop_score: float = _setting(
        0.0, "training ends once the task's first measure is so good, mean of three; 0: never"
    )
    stop_patience: int = _setting(
        0, "training ends after so many rounds without a better first measure of the task; 0: never"
    )
    private: str = _setting(
        "", "blocks that never leave their device: shell patterns, commas between; empty for none"
    )
    start_from: str = _setting("", "run directory whose newest model to begin with; empty for none")
    resume: str = _setting("", "run directory of a stopped run, to go on with it; empty: a new run")
    prune: float = _setting(
        0.5, "share of channels to prune before export, 0 for none; not used with a budget"
    )
    recover_rounds: int = _setting(40, "federated rounds on the pruned model")
    export: bool = _setting(
        True, "whether a model file is made at the end; false: whatever the model, no file"
    )
    calibration: str = _setting(
        "auto",
        "int8 ranges: federated (clients give them), public (task's rows), auto (public if any)",
    )
    calibration_percentile: float = _setting(
        100.0, "which of a client's rows bounds each range: 100 the farthest; 95 against outliers"
    )
    activations: str = _setting("int8", "numbers of the exported model: int8, or int16 (finer)")
    target: str = _setting("", "microcontroller to fit (docs/export.md); empty for none")
    flash: str = _setting("", "most flash of the exported model, such as 64KiB; empty for none")
    ram: str = _setting("", "most RAM of its tensors, such as 16KiB; empty for none")
    macs: int = _setting(0, "most multiply-accumulates of one inference; 0: none")
    device: str = _setting("generic", "device profile, or a fleet of them, for joules")
    grid: str = _setting(
        "", "electricity, for grams of CO2e: ES, world, 120 g/kWh; empty: grams are unknown"
    )
    delays: str = _setting(
        "",
        "seconds that simulated clients take to answer: 1 s * 32, 10 s * 8; empty: not simulated",
    )
    evaluate_rows: int = _setting(
        0, "most own rows that a client measures each model on that it receives; 0: none"
    )
    app: tuple[tuple[str, str | int | float | bool], ...] = _setting(
        (), "table of the app's own keys; its code reads NAME as app.NAME in the run config"
    )

    def __post_init__(self) -> None:
        for name in ("clients", "clients_per_round", "local_epochs", "batch_size"):
            self._need(getattr(self, name) >= 1, name, "at least 1")
        if self.start_from:
            self._need(self.rounds >= 0, "rounds", "0 or more")
        else:
            self._need(self.rounds >= 1, "rounds", "at least 1 (0 only with start-from)")
        self._need(self.recover_rounds >= 0, "recover_rounds", "0 or more")
        self._need(self.initial in ("exact", "seeded"), "initial", "exact or seeded")
        self._need(0 <= self.seed < 2**32, "seed", "from 0 to 4294967295")
        self._need(self.learning_rate > 0, "learning_rate", "above 0")
        self._need(
            0 < self.final_learning_rate <= self.learning_rate,
            "final_learning_rate",
            "above 0 and at most learning-rate",
        )
        self._need(0 <= self.momentum < 1, "momentum", "from 0 to below 1")
        self._need(0 <= self.prune < 1, "prune", "from 0 to below 1")
        self._need(self.trainer in TRAINERS, "trainer", "auto, torch or litert")
        ways = ("auto", "federated", "public")
        self._need(self.calibration in ways, "calibration", "auto, federated or public")
        self._need(
            50 < self.calibration_percentile <= 100, "calibration_percentile", "above 50, up to 100"
        )
        self._need(self.activations in ("int8", "int16"), "activations", "int8 or int16")
        if self.clients_per_round > self.clients:
            raise UsageError(
                f"clients-per-round is {self.clients_per_round}, "
                f"but there are only {self.clients} clients"
            )
        if self.quorum > self.clients_per_round * (1 + self.over_select):
            raise UsageError(
                f"quorum is {self.quorum:g}, but a round asks {self.clients_per_round} clients"
            )
        uplink = parse_codec(self.uplink)
        if uplink.family == "biased" and not uplink.feedback:
            raise UsageError(
                f"uplink {self.uplink!r} loses for good what it drops; put 'feedback | ' in front, "
                "or use an unbiased codec such as 'stochastic(auto) | range'"
            )
        downlink = parse_codec(self.downlink)
        if downlink.feedback:
            raise UsageError(
                "downlink codecs need no 'feedback': the server always sends the difference to "
                "its own model, so nothing that a codec drops is lost"
            )
        for name in ("uplink_budget", "downlink_budget"):
            self._need(getattr(self, name) >= 0, name, "0 or more")
        if self.uplink_budget and not uplink.text.startswith("stochastic(auto)"):
            raise UsageError("uplink-budget needs an uplink that begins with stochastic(auto)")
        for codec in (uplink, downlink):
            check_works(codec.text)
        if self.downlink_budget and not downlink.text.startswith(("dyadic(", "topk(")):
            raise UsageError("downlink-budget needs a downlink such as dyadic(1%) | range")
        parse_schedule(self.schedule)
        if self.local_optimizer.adaptive and self.strategy.startswith("qfedavg"):
            raise UsageError(
                f"strategy {self.strategy} takes updates for gradients times learning-rate, which "
                f"steps of {self.optimizer} are not; set optimizer = sgd, or another strategy"
            )
        for name in ("energy_budget", "stop_joules", "round_deadline", "quorum", "over_select"):
            self._need(0 <= getattr(self, name) < math.inf, name, "0 or more")
        self._need(0 <= self.min_battery < 100, "min_battery", "from 0 to below 100")
        self._need(0 <= self.stop_accuracy <= 1, "stop_accuracy", "from 0 to 1")
        self._need(math.isfinite(self.stop_score), "stop_score", "a finite number")
        self._need(self.stop_patience >= 0, "stop_patience", "0 or more")
        parse_plan(self.refresh)
        self._need(self.counters in COUNTERS, "counters", "own or shared")
        self._need(self.counters_at_least >= 1, "counters_at_least", "at least 1")
        if parse_way(self.trees) and (self.private or self.asynchronous):
            raise UsageError(
                "trees have no private blocks and need whole rounds; leave private and "
                "asynchronous empty"
            )
        parse_strategy(self.strategy, self.clients_per_round)
        if self.strategy.startswith("dpfedavg") and uplink.text.startswith("stochastic(auto)"):
            raise UsageError(
                "dpfedavg does not go with stochastic(auto), whose steps tell of single clients' "
                "updates without any noise; take an uplink such as 'qsgd(8) | range'"
            )
        bound = self.norm_bound
        self._need(bound == 0 or 1 < bound < math.inf, "norm_bound", "above 1, or 0 for none")
        parse_patience(self.set_aside)
        parse_sampling(self.sampling, self.clients_per_round)
        self._check_asynchronous()
        parse_delays(self.delays)
        self._check_budget()
        if self.private and self.prunes:
            raise UsageError(
                "private blocks cannot be pruned with the others, because the server does not "
                "have them; set prune = 0 and no target, flash, ram or macs"
            )
        if self.private and self.trainer == "litert":
            raise UsageError(
                "private blocks begin as the task's model makes them, which takes PyTorch on the "
                "device; leave trainer = litert out"
            )
        parse_fleet(self.device)
        parse_grid(self.grid)
        self._need(self.evaluate_rows >= 0, "evaluate_rows", "0 or more")

    @property
    def local_optimizer(self) -> LocalOptimizer:
        """The rule of the local steps, with all of its numbers."""
        return parse_optimizer(self.optimizer, self.momentum, self.weight_decay, self.clip_norm)

    @property
    def shares_counters(self) -> bool:
        """Whether the task's counters are summed over all clients."""
        return self.counters == "shared"

    @property
    def has_budget(self) -> bool:
        """Whether the exported model has to fit something."""
        return bool(self.target or self.flash or self.ram or self.macs)

    @property
    def prunes(self) -> bool:
        """Whether the model may be pruned, and recovery rounds follow."""
        return bool(self.prune or self.has_budget)

    @property
    def updates_per_step(self) -> int:
        """Updates that a step of the model is made of, where every client answers."""
        buffered = parse_asynchronous(self.asynchronous)
        return self.clients_per_round if buffered is None else buffered.updates

    def _check_asynchronous(self) -> None:
        if parse_asynchronous(self.asynchronous) is None:
            return
        if needs_whole_rounds(self.strategy):
            raise UsageError(
                f"strategy {self.strategy} compares the updates of a round, and asynchronous "
                "aggregation has none; use fedavg, fedavgm, fedadam, or leave asynchronous empty"
            )
        if self.sampling != "uniform":
            raise UsageError(
                f"sampling {self.sampling} plans rounds, and asynchronous aggregation has none; "
                "leave one of the two out"
            )
        for name in ("round_deadline", "quorum", "over_select"):
            if getattr(self, name):
                raise UsageError(
                    f"{name.replace('_', '-')} is about rounds, and asynchronous aggregation has "
                    "none; leave one of the two out"
                )

    def _check_budget(self) -> None:
        if self.target:
            target_named(self.target)
        for name in ("flash", "ram"):
            if getattr(self, name):
                parse_size(getattr(self, name), name)
        self._need(self.macs >= 0, "macs", "0 or more")
        if self.has_budget and not self.export:
            raise UsageError(
                "target, flash, ram and macs are about the exported model; leave them out with "
                "export = false"
            )

    def _need(self, holds: bool, name: str, what: str) -> None:
        if not holds:
            raise UsageError(f"{_key(name)} is {getattr(self, name)}; it must be {what}")

    @property
    def plateau(self) -> Plateau | None:
        """The schedule whose step sizes only the server knows, if it is that one."""
        schedule = parse_schedule(self.schedule)
        return schedule if isinstance(schedule, Plateau) else None

    def learning_rate_at(self, number: int, stalls: int = 0) -> float:
        """Return the step size of a round.

        Args:
            number: Round, from 1; rounds after ``rounds`` are recovery rounds and start anew.
            stalls: With ``plateau``: how often the measure has stalled in this phase.
        """
        first, last = self.learning_rate, self.final_learning_rate
        place, rounds = number - 1, self.rounds
        if number > self.rounds:
            # What is left of a trained model needs smaller steps than a new one.
            first = (first + last) / 2
            place, rounds = number - 1 - self.rounds, self.recover_rounds
        schedule = parse_schedule(self.schedule)
        if isinstance(schedule, Plateau):
            return schedule.rate(first, last, stalls)
        return schedule(first, last, place, rounds)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Settings:
        """Check a run config and make settings of it.

        Raises:
            UsageError: An unknown key (with the nearest known one), a wrong type or value.
        """
        known = {_key(f.name): f for f in fields(cls) if f.name != "app"}
        own = {key: value for key, value in config.items() if key.startswith(OWN)}
        values: dict[str, Any] = {"app": tuple(_own(key, value) for key, value in own.items())}
        for key, value in config.items():
            if key in own:
                continue
            if key not in known:
                raise unknown("config key", key, known)
            values[known[key].name] = _typed(key, value, type(known[key].default))
        return cls(**values)

    def as_config(self) -> dict[str, Any]:
        """Return the settings as a run config, the app's own keys last."""
        ours = {_key(name): value for name, value in asdict(self).items() if name != "app"}
        return ours | {OWN + name: value for name, value in self.app}


def _key(name: str) -> str:
    return name.replace("_", "-")


def _own(key: str, value: Any) -> tuple[str, str | int | float | bool]:
    """Return one of the app's own keys, which it alone understands, without what is before it."""
    if not isinstance(value, str | int | float | bool):
        raise UsageError(
            f"config key {key!r} is {value!r}; it takes a text, a number, true or false"
        )
    return key.removeprefix(OWN), value


def takes_text(key: str) -> bool:
    """Say whether a setting is a text, whatever it looks like: a block may be called 0."""
    return any(_key(f.name) == key and isinstance(f.default, str) for f in fields(Settings))


def _typed(key: str, value: Any, wanted: type) -> Any:
    if wanted is str and type(value) is int:
        return str(value)  # flash = 65536 is as good as "65536", and private = 0 as "0"
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise UsageError(f"config key {key!r} takes {_TYPES[wanted]}, not {value!r}")
    return value


_TYPES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
