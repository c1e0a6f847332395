"""``frugalfl serve`` with TLS and registered keys: both kinds of nodes, keys that come and go."""

import signal

import pytest
from attacking.network import attacks, start

pytestmark = pytest.mark.slow


def test_every_attack_from_the_network_is_refused_in_one_line(tmp_path):
    for outcome in attacks(tmp_path, True):
        assert outcome.refused and outcome.run_went_on is not False, outcome
        assert outcome.line.isprintable(), outcome
        assert outcome.line or outcome.attack.startswith("tokens"), outcome


def test_a_key_lets_its_node_in_and_out_while_a_run_goes_on(tmp_path):
    """Rounds are of a lean node and a stock one, through the front; a third one comes too early."""
    federation = start(tmp_path, stock=True)
    machines, serving = federation.machines, federation.serving
    try:
        key = machines.key("late")
        public = key.with_suffix(".pub")
        node = machines.lean(2, 3, key)
        assert "KEY.pub into the folder" in node.wait_for("trying again", 120)
        serving.wait_for("refused .* of an unknown node", 60)

        (federation.keys / "broken.pub").write_text("no key")
        admitted = federation.keys / "late.pub"
        public.rename(admitted)
        node.wait_for("connected again .* as node", 120)
        serving.wait_for("node late: may join")
        serving.wait_for("broken.pub is no public key .*the other nodes are not concerned")

        lines = len(node.lines)
        admitted.rename(public)
        serving.wait_for("node late: its key is gone")
        node.wait_for("does not know this node; trying again", 180, lines)
        public.rename(admitted)
        node.wait_for("connected again .* as node", 120, lines)

        assert federation.another_round(federation.rounds())
        serving.signal(signal.SIGINT)
        assert serving.wait(60) == 130
        assert "Traceback" not in serving.said
    finally:
        machines.stop()
