"""Readers of texts that people write: settings, codecs, plans, fleets, addresses, sizes."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frugalfl.asynchronous import parse_asynchronous
from frugalfl.codec import parse_codec
from frugalfl.delays import parse_delays
from frugalfl.energy.device_mix import parse_device_mix
from frugalfl.energy.electricity import parse_electricity
from frugalfl.patience import parse_patience
from frugalfl.plans import parse_plan
from frugalfl.sampling import parse_sampling
from frugalfl.schedule import parse_schedule
from frugalfl.settings import Settings
from frugalfl.sizes import parse_size
from frugalfl.strategies import parse_strategy
from frugalfl.trees.ways import parse_way
from frugalfl_client.node.channel import Address
from frugalfl_client.node.flower import node_settings
from frugalfl_server.run.app_directory import read_settings
from fuzzing.decoder import Decoder
from fuzzing.mutate import text_like, value_like

_TEXTS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "codec text": (parse_codec, (
        "feedback(momentum 0.5, decay 0.9) | topk(5%) | sign | golomb", "stochastic(auto) | range",
        "large(20, stochastic(4 sigma) | range, zstd)", "lowrank(2) | nearest(1 sigma) | range",
        "auto(nmse 0.05)", "dyadic(auto) | range",
    )),
    "plan text": (parse_plan, ("alternate(full, last(2))", "full", "last(1)")),
    "fleet text": (parse_device_mix, ("generic", "60% raspberry-pi-5, 40% generic")),
    "electricity text": (parse_electricity, ("ES", "world", "120 g/kWh")),
    "sampling text": (lambda text: parse_sampling(text, 8), ("uniform", "sticky(4, 1)")),
    "strategy text": (lambda text: parse_strategy(text, 8), (
        "fedavg", "fedadam(0.01)", "fedavgm(0.9)", "krum(2)", "fedtrimmedavg(0.2)", "fedprox(0.1)",
    )),
    "patience text": (parse_patience, ("2 wrong, 20 rounds", "never")),
    "schedule text": (parse_schedule, ("linear", "cosine", "constant")),
    "way of trees": (parse_way, ("histogram", "bagging", "")),
    "asynchronous text": (parse_asynchronous, ("buffered(4)", "")),
    "delays text": (parse_delays, ("lognormal(1, 0.5)", "exponential(2)", "")),
    "size text": (lambda text: parse_size(text, "flash"), ("64KiB", "1024", "2 MiB")),
    "address": (Address.parse, ("127.0.0.1:8000", "[::1]:80")),
    "node config": (node_settings, ("partition-id=0 num-partitions=2 link='lte'",)),
}  # fmt: skip


def decoders() -> Iterator[Decoder]:
    """Yield them; a sample that this version does not know is left out."""
    for name, (parse, samples) in _TEXTS.items():
        yield Decoder(name, [text for text in samples if _known(parse, text)], text_like, parse)
    yield Decoder("run config", [Settings().as_config()], _config_like, Settings.of, 2)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    lines = [f"{key} = {_toml(value)}" for key, value in Settings().as_config().items()]
    app = "\n".join([
        "[project]", 'name = "x"', 'version = "1"', "[tool.flwr.app]", 'publisher = "x"',
        "[tool.flwr.app.components]", 'serverapp = "a:b"', 'clientapp = "a:b"',
        "[tool.flwr.app.config]", *lines,
    ])  # fmt: skip

    def read(text: str) -> None:
        (folder / "pyproject.toml").write_bytes(text.encode(errors="surrogatepass"))
        read_settings(folder)

    yield Decoder("app's pyproject.toml", [app], text_like, read, 0.5)
    yield Decoder("change of a setting", ["rounds=3", "uplink=raw"], text_like,
                  _change_of)  # fmt: skip


def _config_like(config: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    changed = value_like(config, rng)
    return changed if isinstance(changed, dict) else config  # Flower hands on tables only


def _change_of(text: str) -> None:
    from frugalfl_server.run.app_directory import apply_changes

    apply_changes(Settings(), [text])


def _known(parse: Any, text: str) -> bool:
    from frugalfl.errors import UsageError

    try:
        parse(text)
    except UsageError:
        return False
    return True


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)
