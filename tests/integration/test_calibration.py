"""Ranges from clients' own rows: through real messages, and as good as all rows in one place."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from flwr.app import Message
from flwr.clientapp import ClientApp
from logged import Lines
from tests.devices import ledgers

from frugalfl import wire
from frugalfl.errors import ExportError, FederationError
from frugalfl.modules import write_parameters
from frugalfl.resize import resize
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client import app as client
from frugalfl_client.held import Held
from frugalfl_client.store import Store
from frugalfl_server import export
from frugalfl_server.phases.calibrate import ask_clients, merged
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.phases.kept_ranges import keep_ranges, kept_ranges
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.apps import importable, read_settings
from frugalfl_sim.simulate import simulate_app

from .conftest import DIGITS, SMALL, frugalfl
from .rounds import Rounds, digits

MODELS = {
    "mlp": """
def model():
    from torch import nn

    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)
    )
""",
    "residual": """
def model():
    from torch import nn

    def normed(inside, outside, stride=1):
        layers = nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside)
        return nn.Sequential(*layers)

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.third = normed(1, 8), normed(8, 8), normed(8, 16, 2)
            self.act, self.pool = nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)
            self.drop, self.last = nn.Dropout(0.1), nn.Linear(16, 10)

        def forward(self, x):
            x = self.act(self.first(x))
            x = self.act(x + self.second(x))
            return self.last(self.drop(self.pool(self.act(self.third(x))).flatten(1)))

    return Residual()
""",
}


@pytest.fixture(scope="module", params=["digits", *MODELS])
def calibrated_run(request, tmp_path_factory):
    """A finished run with federated calibration, and the folder of its app."""
    if request.param == "digits":
        path, _ = request.getfixturevalue("finished")
        return RunDirectory.open(path), DIGITS
    folder = tmp_path_factory.mktemp("calibrated")
    app = folder / request.param
    app.mkdir()
    shutil.copy(DIGITS / "pyproject.toml", app)
    make = f'\ntask = Task("{request.param}", model, client_data, public_data)\n'
    text = (DIGITS / "task.py").read_text() + MODELS[request.param] + make
    (app / "task.py").write_text(text)
    # Batch norms' running variances do not bear the coarse codecs of the default.
    settings = read_settings(app, [*SMALL, "prune=0.0", "uplink=float16 | zstd", "downlink=zstd"])
    return simulate_app(app, settings, folder / "runs", baseline=False), app


def test_it_is_within_two_decibels_of_all_rows_in_one_place(calibrated_run):
    run, app = calibrated_run
    settings = Settings.of(run.read_json("run.json")["settings"])
    parameters = run.load_checkpoint()
    with importable(app):
        task = load_task(settings.run.task)
        module = resize(task.new_model(), {name: one.shape for name, one in parameters.items()})
        write_parameters(module, parameters)
        test = task.public_rows().test
        everything = np.concatenate(
            [
                task.rows_of(number, settings.simulation.clients).x
                for number in range(settings.simulation.clients)
            ]
        )
    float_model = export.convert(module, test.x.shape[1:])
    pooled = export.quantize(float_model, export.to_model_layout(everything, float_model))
    best = export.verify(
        export.of_pytorch(module), float_model, pooled, test, max_accuracy_drop=None
    ).sqnr_db
    federated = run.read_json("model/export.json")["verification"]["sqnr_db"]
    print(f"\n{task.name}: federated {federated:.2f} dB, all rows in one place {best:.2f} dB")
    assert federated > best - 2


def test_its_bytes_and_joules_are_in_the_tables(calibrated_run):
    run, _ = calibrated_run
    *rounds, last = [
        row for row in pq.read_table(run.path / "rounds.parquet").to_pylist()
        if row["federation"] == "frugalfl"
    ]  # fmt: skip
    assert last["phase"] == "calibrate"
    assert last["round"] == rounds[-1]["round"] + 1
    assert (last["clients"], last["updates"]) == (8, 0)
    tensors = len(run.read_json("checkpoints/ranges.json")["ranges"])
    assert last["uplink_bytes"] == 8 * tensors * 2 * 4
    assert last["downlink_bytes"] > 0
    summary = run.read_json("summary.json")
    assert summary["uplink_bytes"] == sum(row["uplink_bytes"] for row in [*rounds, last])
    assert summary["rounds"] + summary["recover_rounds"] == len(rounds)
    records = [record for record in run.energy if record.phase == "calibrate"]
    assert len(records) == 8
    assert all(record.estimated_j > 0 and record.samples > 0 for record in records)
    kept = ledgers(run.path)
    for record in records:
        assert "calibrate" in {row.phase for row in kept[int(record.client)].records()}


def liar(change, nodes):
    """The real client, except that some nodes change the ranges that they send."""
    app = ClientApp()
    app.train()(client.train)

    @app.query("calibrate")
    def calibrate(message, context):
        honest = client.calibrate(message, context)
        if context.node_id not in nodes:
            return honest
        reply = wire.unpack_calibrate_reply(honest)
        sent = wire.CalibrateReply(reply.held, change(reply.ranges.copy()), reply.records)
        return Message(wire.pack_calibrate_reply(sent), reply_to=message)

    return app


def calibrate(devices, app=client.app, before=lambda: None, percentile=100.0):
    """Train a round and calibrate; return the ranges by node, those merged, and the warnings."""
    settings = Settings.of(
        clients=6, clients_per_round=6, local_epochs=1, initial="seeded", prune=0.0
    )
    rounds = Rounds(settings, devices, client=app)
    rounds.next()
    rounds.downlink.advance(rounds.model)
    before()
    module = initial_model(load_task("task:task"), settings)
    write_parameters(module, rounds.model)
    question = wire.CalibrateRequest("run", 2, -1, -1, b"", percentile)
    answers = ask_clients(rounds.grid, rounds.downlink, rounds.grid.get_node_ids(), question)
    with Lines() as warnings:
        return answers, merged(answers, module, (1, 8, 8)), warnings


def huge(ranges):
    ranges[3, 1] = 1e6
    return ranges


def not_a_number(ranges):
    ranges[2, 0] = np.nan
    return ranges


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    with digits():
        return calibrate(tmp_path_factory.mktemp("honest"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (huge, r"tensor 3 reaches .* times as far as on the median client \(limit 4\)"),
        (not_a_number, "NaN or infinity"),
        (lambda ranges: ranges[:, ::-1], "a minimum is above its maximum"),
        (lambda ranges: ranges[:-1], "8 tensors, the model has 9"),
    ],
    ids=["huge", "nan", "upside down", "too few"],
)
def test_a_bad_client_is_left_out_and_named(honest, tmp_path, change, why):
    with digits():
        _, ranges, warnings = calibrate(tmp_path, liar(change, {1002}))
    answers, whole, none = honest
    assert none == []
    assert len(warnings) == 1
    assert warnings[0].startswith("node 1002: its ranges are left out: ")
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(warnings[0])
    others = [one for node, one in answers.ranges.items() if node != 1002]
    np.testing.assert_array_equal(ranges[:, 1], np.max(others, axis=0)[:, 1])
    assert (whole[:, 1] >= ranges[:, 1]).all()


def test_without_one_usable_reply_there_is_one_clear_line(tmp_path):
    everyone = set(range(1000, 1006))
    with digits(), pytest.raises(
        FederationError, match="none of 6 clients gave ranges .*; the first said: node 1000"
    ):  # fmt: skip
        calibrate(tmp_path, liar(not_a_number, everyone))


def test_a_client_that_lost_its_model_is_sent_a_whole_one(tmp_path):
    def lose():
        Store(tmp_path / "client-3" / "store.sqlite").save("run", Held())

    with digits():
        answers, _, warnings = calibrate(tmp_path, before=lose)
    assert len(answers.ranges) == 6
    assert warnings == []
    assert answers.cost.downlink_bytes > 38_282  # more than a byte for each parameter


def test_a_percentile_narrows_the_ranges(honest, tmp_path):
    with digits():
        _, most, _ = calibrate(tmp_path, percentile=90.0)
    _, whole, _ = honest
    width, narrower = (ranges[:, 1] - ranges[:, 0] for ranges in (whole, most))
    assert (narrower <= width).all() and (narrower < width).any()


def test_ranges_of_another_model_are_refused(tmp_path):
    run = RunDirectory.create(tmp_path, "t", Settings(), app=None)
    model = {"a.weight": np.ones((2, 2), np.float32)}
    with pytest.raises(ExportError, match="no calibration ranges: clients are asked"):
        kept_ranges(run, model)
    ranges = np.array([[-0.1, 1 / 3]], np.float32)
    keep_ranges(run, model, ranges)
    np.testing.assert_array_equal(kept_ranges(run, model), ranges)
    with pytest.raises(ExportError, match="are of another model"):
        kept_ranges(run, {"a.weight": np.zeros((2, 2), np.float32)})


def test_public_calibration_without_rows_is_refused_before_the_first_round(tmp_path):
    result = frugalfl("simulate", DIGITS, *SMALL, "calibration=public", cwd=tmp_path)
    assert result.returncode == 3
    assert "gives no calibration rows" in result.stderr
    assert "train" not in result.stderr
