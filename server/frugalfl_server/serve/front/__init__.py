"""What the network sees of a SuperLink: the calls that nodes make, and nothing else.

    python -m frugalfl_server.serve.front      (started by ``frugalfl serve``, told on its input)

Flower's SuperLink answers whoever reaches its port, on one port for everything: who may call
``/v1/fleet/`` may also start and stop runs, and bodies are in memory before a signature is looked
at. So it listens on loopback only, and this process stands before it. A request gets through if
its line, its headers and its node's key and signature are right, and only then is its body read,
and handed on piece by piece. HTTP is parsed by h11, on both sides; what goes on is written anew
from what was understood, so that both ends can never read one request differently.

An accept loop of its own, not a web server's: how many connections an address may have has to be
known before a TLS handshake is begun for one.
"""
