"""The front as a process. Its first line of input says what to do; each further one, who may join.

It ends when its input does: with the process that started it, however that ends. What it writes is
for the operator, a line each; ``listening`` is the first.
"""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import contextlib
import json
import os
import resource
import signal
import socket
import ssl
import sys
from typing import Any

from frugalfl_server.serve.front.credentials import Credentials
from frugalfl_server.serve.front.front import BACKLOG, Front
from frugalfl_server.serve.front.limits import FrontLimits
from frugalfl_server.serve.front.superlink import SuperLinkClient

#: Longest line of input, with all keys in it (B).
_LINE = 1 << 26
#: What a TLS connection reads at once: two of its records (B).
_TLS_BUFFER = 32768
#: Between two looks for something to tell (s).
_TELL_S = 0.5


def main() -> None:
    """Listen until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.set_blocking(sys.stdout.fileno(), False)
    # asyncio sets so much aside for each TLS connection, 256 KiB else: 2,000 of them half a GiB.
    asyncio.sslproto.SSLProtocol.max_size = _TLS_BUFFER
    try:
        asyncio.run(_run())
    except (OSError, ValueError) as error:
        _say(f"cannot listen: {error}")
        sys.exit(1)


async def _run() -> None:
    lines = asyncio.StreamReader(_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    order = json.loads(await lines.readline())
    host, port = order["listen"]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=BACKLOG) as listener:
        listener.setblocking(False)
        front = _front(order)
        tasks = [loop.create_task(front.serve(listener)), loop.create_task(_tell(front))]
        _say("listening")
        while line := await lines.readline():
            front.admit(frozenset(key.encode() for key in json.loads(line)))
        for task in tasks:
            task.cancel()
        front.refused.tell(everything=True)


def _front(order: dict[str, Any]) -> Front:
    tls = trust = None
    if order["tls"]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(order["tls"]["certificate"], order["tls"]["key"])
        tls.num_tickets = 1  # a node keeps one, and each has 250 B
        trust = ssl.create_default_context(cafile=order["tls"]["ca"])
    limits = FrontLimits(**order["limits"])
    keys = order["admitted"]
    credentials = Credentials(None if keys is None else frozenset(key.encode() for key in keys))
    host, port = order["superlink"]
    return Front(limits, credentials, tls, lambda: SuperLinkClient(host, port, trust, limits), _say)


async def _tell(front: Front) -> None:
    while True:
        await asyncio.sleep(_TELL_S)
        front.refused.tell()


def _say(line: str) -> None:
    """Write a line; if nobody reads them, drop it rather than wait."""
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    main()
