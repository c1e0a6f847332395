"""Every request of one round, in order, with the bytes of its parts: where a round's bytes go.

    python benchmarks/posts.py [--stock] [--json FILE]

The federation of benchmarks/fleet.py without TLS; shown is its third round, as `frugalfl node` or
(--stock) Flower's own node speaks it: from the request that brings the round's message to the one
before the next round's, questions between them that found nothing included.
"""

from __future__ import annotations

import time
from dataclasses import asdict

from common import finish, parser_of
from fleet import DIGITS, LEAN, STOCK, machines, start
from rich.console import Console
from rich.table import Table
from tcp_proxy import Exchange


def third_round(kind: str) -> list[Exchange]:
    """Run digits on one node of each kind, and return what one of them said in round 3."""
    with machines(tls=False) as links:
        nodes = {LEAN: start(links, LEAN, 0, 2), STOCK: start(links, STOCK, 1, 2)}
        run = links.run(
            DIGITS, rounds=4, clients=2, clients_per_round=2, prune=0, local_epochs=1,
            trainer="'litert'",
        )  # fmt: skip
        begin = time.monotonic()
        run.wait_for(r"train +4/", 400)
        said = nodes[kind].proxy.exchanges(begin, time.monotonic())
    starts = [place for place, one in enumerate(said) if _brings_a_message(one)]
    return said[starts[2] : starts[3]]


def _brings_a_message(one: Exchange) -> bool:
    return one.path.endswith("/pull-messages") and one.answer_body > 0


def main() -> None:
    """Listen, print, write."""
    parser = parser_of(__doc__)
    parser.add_argument("--stock", action="store_true", help="Flower's own node, not frugalfl node")
    options = parser.parse_args()
    kind = STOCK if options.stock else LEAN
    exchanges = third_round(kind)
    columns = ("s", "request", "head", "body", "answer: head", "body", "all")
    table = Table(*columns, title=f"Bytes of round 3 of digits, {kind}")
    for one in exchanges:
        sizes = (one.head, one.body, one.answer_head, one.answer_body, one.total)
        table.add_row(
            f"{one.when - exchanges[0].when:.1f}", one.path, *(f"{size:,}" for size in sizes)
        )
    table.add_row("", "all", *["" for _ in range(4)], f"{sum(one.total for one in exchanges):,}")
    Console(width=100).print(table)
    finish(options, {"exchanges": [asdict(one) for one in exchanges]})


if __name__ == "__main__":
    main()
