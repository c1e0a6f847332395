"""What travels, which parts of it, and in how many bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from frugalfl.codec import Codec, parse_codec
from frugalfl.codec.trial import check_works
from frugalfl.errors import UsageError
from frugalfl.plans import Auto, InSubspace, RefreshPlan, parse_plan
from frugalfl.settings.keys import need, setting


@dataclass(frozen=True)
class WireSettings:
    """Codecs, byte budgets, and the blocks that are exchanged or never are."""

    uplink: str = setting("stochastic(auto) | range", "codec of updates, client to server")
    downlink: str = setting("dyadic(auto) | range", "codec of updates, server to client")
    uplink_budget: int = setting(
        0, "most bytes of an update, on average over a round; 0: none; needs stochastic(auto)"
    )
    downlink_budget: int = setting(
        0, "most bytes to a client in a round, on average; 0: none; needs a codec with a share"
    )
    refresh: str = setting(
        "auto",
        "refresh plan: which blocks a client trains and exchanges; auto: the server chooses one",
    )
    private: str = setting(
        "", "blocks that never leave their device: shell patterns, commas between; empty for none"
    )

    def __post_init__(self) -> None:
        _check_uplink(self.uplink_codec, self.uplink)
        if self.downlink_codec.feedback:
            raise UsageError(
                "downlink codecs need no 'feedback': the server always sends the difference to "
                "its own model, so nothing that a codec drops is lost"
            )
        for key, budget in (
            ("uplink-budget", self.uplink_budget),
            ("downlink-budget", self.downlink_budget),
        ):
            need(budget >= 0, key, budget, "0 or more")
        if self.uplink_budget and not self.steers:
            raise UsageError("uplink-budget needs an uplink that begins with stochastic(auto)")
        for codec in (self.uplink_codec, self.downlink_codec):
            check_works(codec.text)
        if self.downlink_budget and not self.downlink_codec.text.startswith(("dyadic(", "topk(")):
            raise UsageError("downlink-budget needs a downlink such as dyadic(1%) | range")
        _ = self.plan

    @cached_property
    def uplink_codec(self) -> Codec:
        """What clients encode with, if the server does not steer it."""
        return parse_codec(self.uplink)

    @cached_property
    def downlink_codec(self) -> Codec:
        """What the server encodes with, ``auto`` as it is written."""
        return parse_codec(self.downlink)

    @property
    def steers(self) -> bool:
        """Whether the server chooses the uplink's step in every round."""
        return self.uplink_codec.text.startswith("stochastic(auto)")

    @cached_property
    def plan(self) -> RefreshPlan:
        """Which blocks a client trains and exchanges."""
        return parse_plan(self.refresh)

    @property
    def asks_auto(self) -> bool:
        """Whether the server is to choose the plan before the first round."""
        return isinstance(self.plan, Auto)

    @property
    def subspace(self) -> InSubspace | None:
        """What the coordinates are that travel in place of weights; ``None``: weights do."""
        return self.plan if isinstance(self.plan, InSubspace) else None


def _check_uplink(codec: Codec, text: str) -> None:
    if codec.family == "biased" and not codec.feedback:
        raise UsageError(
            f"uplink {text!r} loses for good what it drops; put 'feedback | ' in front, "
            "or use an unbiased codec such as 'stochastic(auto) | range'"
        )
