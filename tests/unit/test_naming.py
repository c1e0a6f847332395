"""Lines name clients by their numbers, and a node's id once beside it."""

from frugalfl_server.cohort.client_names import Naming


def test_a_client_goes_by_its_number_and_its_node_is_told_once():
    named = Naming({11: "3"}.get, {1000: 0})
    assert named("round 2: node 11: no battery") == "round 2: client 3 (node 11): no battery"
    assert named("node 11, late by now: x") == "client 3, late by now: x"
    assert named("node 11 (client 3): its ledger") == "client 3: its ledger"
    assert named("node 1000 is set aside for 2 rounds: y").startswith("client 0 (node 1000) is set")


def test_a_node_that_is_nobody_yet_or_only_mentioned_keeps_its_id():
    named = Naming({11: "3"}.get, {})
    for line in ("node 12: no battery", "node 12 is client 3 from now on, which node 11 was", "x"):
        assert named(line) == line


def test_what_a_client_says_of_itself_does_not_name_it_twice():
    named = Naming({}.get, {1002: 2})
    said = "client 2 of 4: targets hold NaN"
    assert named(f"node 1002: {said}") == "client 2 (node 1002): targets hold NaN"
    assert named(f"round 3: node 1002: {said}") == "round 3: client 2: targets hold NaN"
    aside = named(f"node 1002 is set aside for 9 rounds: {said}")
    assert aside == "client 2 is set aside for 9 rounds: targets hold NaN"
    assert named(f"node 1003: {said}") == f"node 1003: {said}"  # somebody else, or nobody known
