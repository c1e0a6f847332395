"""In a ServerApp nothing of Flower's draws from the generator that clients are sampled with."""

import subprocess
import sys
import textwrap

PROGRAM = """
import random, threading
from frugalfl_server.exchange.flower.own_random import leave_random_alone
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.retry import RetryInvoker, exponential
from flwr.supercore.retry.retry_invoker import full_jitter

leave_random_alone()
random.seed(1)
beaten, state = threading.Event(), random.getstate()
sender = HeartbeatSender(lambda: beaten.set() or True)
sender._stop_event.wait = lambda pause: beaten.wait() and sender._stop_event.set()
sender.start()
sender._thread.join()
full_jitter(3.0)
assert random.getstate() == state
"""

#: Where it was not asked for, all is as it was.
UNASKED = """
import random
import frugalfl_server.exchange.flower.own_random
from flwr.supercore import heartbeat

assert heartbeat.random is random
"""


def test_a_sign_of_life_and_another_try_draw_nothing_from_it():
    for program in (PROGRAM, UNASKED):
        subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=120)
