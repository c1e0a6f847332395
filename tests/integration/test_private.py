"""Private blocks: trained on the device, kept there, and in nothing that leaves it."""

import json
from itertools import pairwise

import numpy as np
import pytest
from flwr.common.serde import recorddict_to_proto

from frugalfl.codec import Limits, read_bundle
from frugalfl.settings import Settings
from frugalfl_client.app import app as client_app
from frugalfl_client.store import Store

from .conftest import DIGITS, SMALL, frugalfl
from .rounds import Rounds, digits

CLIENTS, ROUNDS = 3, 3


def exchanged(tmp_path, private, name="run", uplink="raw"):
    """Run a few rounds; return the run, and (client, message bytes, frame bytes) of each message."""
    messages = []

    def app(message, context):
        reply = client_app(message, context)
        number = context.node_config["partition-id"]
        for sent in (message, reply):
            data = recorddict_to_proto(sent.content).SerializeToString()
            messages.append((number, data, bytes(sent.content["arrays"]["frames"].data)))
        return reply

    settings = Settings.of(
        clients=CLIENTS, clients_per_round=CLIENTS, local_epochs=2, prune=0.0, learning_rate=0.1,
        uplink=uplink, downlink="raw", private=private,
    )  # fmt: skip
    snapshots = []
    with digits():
        run = Rounds(settings, tmp_path / name, client=app)
        for _ in range(ROUNDS):
            run.next()
            stores = [
                Store(tmp_path / name / f"client-{n}" / "store.sqlite") for n in range(CLIENTS)
            ]
            snapshots.append([store.load("run") for store in stores])
            for store in stores:
                store.close()
    return run, messages, snapshots


#: A float32 as float64 ends with three zero bytes; one with more than this says nothing.
_MOST_ZEROS = 4


def traces(tensors):
    """Entries that follow one another, as 8 bytes of every type that they might travel in."""
    for tensor in tensors:
        flat = tensor.ravel()[np.abs(tensor.ravel()) > 1e-6]
        for dtype, count in ((np.float64, 1), (np.float32, 2), (np.float16, 4)):
            entries = flat.astype(dtype)
            for start in range(count):
                whole = (entries.size - start) // count * count
                found = entries[start : start + whole].view(np.uint64)
                # A difference such as 11 * 2**-19 is six zero bytes and two others as float64,
                # which stand in any message with zeros in it.
                zeros = (found.view(np.uint8).reshape(-1, 8) == 0).sum(axis=1)
                yield found[zeros <= _MOST_ZEROS]


def found_in(data, tensors):
    """Count the places in ``data`` where entries of the tensors stand."""
    wanted = np.unique(np.concatenate(list(traces(tensors))))
    places = (
        np.frombuffer(data[shift:][: (len(data) - shift) // 8 * 8], np.uint64) for shift in range(8)
    )
    return sum(int(np.isin(windows, wanted).sum()) for windows in places)


def decoded(frames):
    """Return all tensors in these frames, for what a coder might hide from a search."""
    tensors = [
        tensor
        for data in frames
        for frame in read_bundle(data, Limits(), most=100)
        for block in frame.decode().blocks.values()
        for tensor in block
    ]
    return tensors, b"|".join(tensor.tobytes() for tensor in tensors)


def test_nothing_of_a_private_block_is_in_any_message(tmp_path):
    run, messages, snapshots = exchanged(tmp_path, private="8")
    assert len(messages) == 2 * CLIENTS * ROUNDS
    secrets = []
    for number in range(CLIENTS):
        states = [snapshot[number].private for snapshot in snapshots]
        assert all(set(state) == {"8.weight", "8.bias"} for state in states)
        secrets += [state[name] for state in states for name in state]
        secrets += [later[n] - earlier[n] for earlier, later in pairwise(states) for n in later]
    tensors, values = decoded(frame for _, _, frame in messages)
    whole = b"|".join(data for _, data, _ in messages)
    assert found_in(whole, secrets) == 0
    assert found_in(values, secrets) == 0
    assert not {(10, 64), (10,)} & {tensor.shape for tensor in tensors}
    assert {name.split(".")[0] for name in run.model} == {"0", "3", "6"}
    # The same searches where there is something to find: else they would prove nothing.
    assert found_in(whole, [tensors[-1]]) > 0
    assert found_in(values, [snapshots[0][0].model["6.weight"]]) > 0


def test_a_block_that_is_not_private_is_found(tmp_path):
    _, messages, snapshots = exchanged(tmp_path, private="")
    _, values = decoded(frame for _, _, frame in messages)
    assert found_in(values, [snapshots[0][0].model["8.weight"]]) > 0


def test_each_device_has_its_own_private_blocks_and_all_share_the_others(tmp_path):
    _, _, snapshots = exchanged(tmp_path, private="8", uplink="stochastic(8 sigma) | range")
    heads = [held.private["8.weight"] for held in snapshots[-1]]
    bodies = [held.model["6.weight"] for held in snapshots[-1]]
    assert not np.array_equal(heads[0], heads[1])
    assert np.array_equal(bodies[0], bodies[1])
    before, after = (snapshot[0].private["8.weight"] for snapshot in snapshots[-2:])
    assert not np.array_equal(before, after)  # trained in every round


def test_the_rounds_accuracy_is_the_clients_mean_by_rows(tmp_path):
    told = {}

    def app(message, context):
        reply = client_app(message, context)
        metrics = reply.content["metrics"]
        number = int(context.node_config["partition-id"])
        told[number] = (metrics["accuracy"], metrics["scored"], metrics["num-examples"])
        return reply

    settings = Settings.of(clients=CLIENTS, clients_per_round=CLIENTS, prune=0.0, private="8")
    with digits():
        run = Rounds(settings, tmp_path, client=app)
        run.next()
        from task import client_data

        rows = [len(client_data(number, CLIENTS)) for number in range(CLIENTS)]
    for number, count in enumerate(rows):
        assert told[number][1:] == (count // 5, count - count // 5)
    expected = sum(a * n for a, n, _ in told.values()) / sum(n for _, n, _ in told.values())
    assert run.strategy.traffic.clients_accuracy == pytest.approx(expected)


def test_a_device_sends_no_score_of_fewer_rows_than_its_smallest_batch(tmp_path):
    told = {}

    def app(message, context):
        number = int(context.node_config["partition-id"])
        if number == 0:  # its owner wants sums of more rows than it holds out
            context.node_config["smallest-batch"] = len(client_data(0, CLIENTS)) // 5 + 1
        reply = client_app(message, context)
        metrics = reply.content["metrics"]
        told[number] = {"accuracy", "tally", "scored"} & set(metrics)
        return reply

    settings = Settings.of(
        clients=CLIENTS, clients_per_round=CLIENTS, prune=0.0, private="8", batch_size=400
    )
    with digits():
        from task import client_data

        run = Rounds(settings, tmp_path, client=app)
        run.next()
    assert not told[0]
    assert told[1] == told[2] == {"accuracy", "scored"}


def test_rows_that_are_measured_on_are_never_trained_on(tmp_path, monkeypatch):
    from frugalfl_client.device import _device

    settings = Settings.of(clients=CLIENTS, clients_per_round=CLIENTS, prune=0.0, private="8")
    with digits():
        devices = [
            _device(1, CLIENTS, tmp_path, s, "", "", "", "torch", s.run.seed, 1)
            for s in (settings, settings.changed(rounds=9))
        ]
    for device in devices:
        trained = {row.tobytes() for row in device.rows.examples.x}
        assert not trained & {row.tobytes() for row in device.rows.held_out.x}
    np.testing.assert_array_equal(devices[0].rows.held_out.x, devices[1].rows.held_out.x)


@pytest.fixture(scope="module")
def private_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("private")
    changes = ("prune=0", 'private="8"', "rounds=12", "refresh=full")
    result = frugalfl("simulate", DIGITS, *SMALL, *changes, cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder, result


def test_a_run_with_private_blocks_says_that_there_is_no_export(private_run):
    folder, result = private_run
    assert "no export: blocks '8' are private" in result.stderr
    assert "clients' own models" in result.stdout.replace("\n", " ")
    summary = json.loads((folder / "runs/latest/summary.json").read_text())
    assert summary["status"] == "finished"
    assert summary["model"] is None
    assert summary["accuracy"] > 0.5
    with np.load(folder / "runs/latest/checkpoints/model.npz") as arrays:
        assert {name.split(".")[0] for name in arrays.files} == {"0", "3", "6"}


def test_exporting_it_is_refused_with_the_reason(private_run):
    folder, _ = private_run
    result = frugalfl("export", "runs/latest", cwd=folder)
    assert result.returncode == 7
    assert "cannot be exported: blocks '8' are private" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (('private="8"',), "set prune = 0"),
        (
            ('private="head"', "prune=0"),
            "no block matches 'head'; the model's blocks are 0, 3, 6, 8",
        ),
        (('private="*"', "prune=0"), "nothing is left to federate"),
        (('private="8"', "prune=0", "refresh=last(4)"), "more than the model's 3 blocks"),
        (('private="8"', "prune=0", "--baseline"), "leave --baseline out"),
    ],
)
def test_settings_that_do_not_go_with_private_blocks(changes, says, tmp_path):
    result = frugalfl("simulate", DIGITS, *SMALL, *changes, cwd=tmp_path)
    assert result.returncode == 2
    assert says in result.stderr.splitlines()[-1]
    assert "train    1/" not in result.stderr
