"""Every net of the zoo through the whole export chain: what is claimed of one holds for all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from zoo import NETS, Net, finetune, residual, score, train

from frugalfl import Examples, PublicData
from frugalfl.errors import ExportError
from frugalfl_edge import Interpreter, dequantize, quantize, run_rows
from frugalfl_server import export
from frugalfl_server.export import ExportResult, export_model, run_micro, to_model_layout
from frugalfl_server.export.gates import MAX_LSB

#: By net: worst score of the trained float model, least signal-to-noise ratio of int8 (dB), most
#: bytes of the microcontroller's file.
BOUNDS = {
    "mlp": (0.94, 36, 3_520),
    "autoencoder": (0.030, 32, 6_912),
    "ds-cnn": (0.96, 32, 8_960),
    "residual": (0.975, 33, 13_760),
    "sensor": (0.95, 33, 9_216),
    "sensor-1d": (0.94, 33, 10_304),
    "digits-cnn": (0.94, 38, 41_216),
}


@dataclass(frozen=True)
class Exported:
    net: Net
    module: nn.Module
    test: Examples
    result: ExportResult

    def read(self, name: str) -> bytes:
        return self.result.paths[name].read_bytes()


@pytest.fixture(scope="module", params=NETS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    net = NETS[request.param]
    module, public = train(net, seed=0), net.task.public_rows()
    folder = tmp_path_factory.mktemp(net.name)
    result = export_model(module, name=net.name, public=public, folder=folder)
    return Exported(net, module, public.test, result)


def test_the_float_net_has_learned_its_task(exported: Exported) -> None:
    with torch.no_grad():
        reached = score(
            exported.net, exported.module(torch.from_numpy(exported.test.x)).numpy(), exported.test
        )
    bound = BOUNDS[exported.net.name][0]
    assert reached <= bound if exported.net.metric == "mse" else reached >= bound


def test_integers_go_in_and_come_out(exported: Exported) -> None:
    card = json.loads(exported.read("model_card.json"))
    assert card["input"]["dtype"] == card["output"]["dtype"] == "int8"


def test_every_test_row_is_within_a_step_on_tflite_micro(exported: Exported) -> None:
    pytest.importorskip("tflite_micro")
    proof = exported.result.verification
    assert proof.rows == len(exported.test)
    assert proof.micro_max_lsb is not None
    assert proof.micro_max_lsb <= (2 if exported.net.metric == "mse" else 1)


def test_int8_costs_at_most_a_point_or_a_twentieth_of_the_error(exported: Exported) -> None:
    edge = exported.read("model_int8_edge.tflite")
    int8 = Interpreter(edge, kernels="reference")
    steps = run_rows(int8, quantize(to_model_layout(exported.test.x, edge), int8.input))
    after = score(exported.net, dequantize(steps, int8.output), exported.test)
    with torch.no_grad():
        outputs = exported.module(torch.from_numpy(exported.test.x)).numpy()
    before = score(exported.net, outputs, exported.test)
    if exported.net.metric == "mse":
        assert after <= 1.05 * before
    else:
        assert after >= before - 0.01


def test_noise_and_size_are_no_worse_than_they_were(exported: Exported) -> None:
    _, least_db, most_bytes = BOUNDS[exported.net.name]
    assert exported.result.verification.sqnr_db >= least_db
    assert exported.result.int8_bytes <= most_bytes


def test_what_is_stripped_does_not_change_a_byte_on_tflite_micro(exported: Exported) -> None:
    pytest.importorskip("tflite_micro")
    edge, mcu = exported.read("model_int8_edge.tflite"), exported.read("model_int8.tflite")
    rows = quantize(to_model_layout(exported.test.x[:40], edge), Interpreter(edge).input)
    np.testing.assert_array_equal(run_micro(edge, rows).outputs, run_micro(mcu, rows).outputs)


def test_the_file_multiplies_as_often_as_the_module(exported: Exported) -> None:
    row = torch.from_numpy(exported.test.x[:1])
    assert exported.result.macs == export.count_macs(exported.module, row)


def test_training_is_the_same_every_time() -> None:
    once, again = train(NETS["mlp"], seed=3), train(NETS["mlp"], seed=3)
    for name, tensor in once.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_half_of_the_demo_net_fits_sixteen_kilobytes(tmp_path: Path) -> None:
    net = NETS["digits-cnn"]
    public = net.task.public_rows()
    row = torch.from_numpy(public.test.x[:1])
    pruned, _ = export.prune(train(net, seed=0), row, 0.5)
    finetune(pruned, net, seed=0, epochs=4)
    done = export_model(pruned, name="half", public=public, folder=tmp_path, max_accuracy_drop=0.01)
    assert done.int8_bytes <= 16 * 1024
    assert done.verification.accuracy["pytorch"] > 0.94


def test_the_residual_net_of_32_channels_prunes_to_that_of_16(tmp_path: Path) -> None:
    wide = residual.net(32)
    public = wide.task.public_rows()
    pruned, _ = export.prune(wide.task.new_model(), torch.from_numpy(public.test.x[:1]), 0.5)
    narrow = residual.net(16).task.new_model()
    assert [p.shape for p in pruned.parameters()] == [p.shape for p in narrow.parameters()]


def amplifier() -> tuple[nn.Module, Examples]:
    """Differences of almost equal sums, enlarged: a step of the sums is many of the outputs."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8))
    sums = rng.uniform(0, 1, (8, 16))
    with torch.no_grad():
        model[0].weight[:] = torch.tensor(np.concatenate([sums, sums * 1.05]))
        model[0].bias.zero_()
        model[2].weight[:] = torch.cat([-20 * torch.eye(8), 20 * torch.eye(8)], dim=1)
    x = rng.uniform(0, 1, (300, 16)).astype(np.float32)
    return model, Examples(x, x)


def test_rounding_that_a_layer_enlarges_is_no_reason_to_refuse(tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    model, rows = amplifier()
    done = export_model(model, name="x", public=PublicData(rows, rows), folder=tmp_path)
    assert done.verification.micro_max_lsb > MAX_LSB["int8"]


def test_a_microcontroller_that_computes_something_else_is_refused() -> None:
    pytest.importorskip("tflite_micro")
    x = np.random.default_rng(0).uniform(0, 1, (60, 16)).astype(np.float32)
    rows = Examples(x, x)
    model, other = (nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8)) for _ in "ab")
    float_model = export.convert(model, (16,))
    int8_model = export.quantize(float_model, rows.x)
    wrong = export.quantize(export.convert(other, (16,)), rows.x)
    with pytest.raises(ExportError, match="would compute something else"):
        export.verify(
            export.of_pytorch(model), float_model, int8_model, rows, mcu_model=export.strip(wrong)
        )
