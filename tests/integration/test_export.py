"""The whole export chain, on a small CNN trained on scikit-learn's digits for a few seconds."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from frugalfl import Examples, PublicData
from frugalfl.errors import ExportError, MissingExtraError, TaskError, UsageError
from frugalfl_edge import Interpreter, predict, quantize, run_rows
from frugalfl_server import export
from frugalfl_server.export import ExportResult, export_model
from frugalfl_server.export.flatbuffer import ALIGNMENT

FILES = {
    "model_float.tflite",
    "model_int8.tflite",
    "model_int8_edge.tflite",
    "model_data.h",
    "model_data.c",
    "model_card.json",
}


@pytest.fixture(scope="module")
def digits() -> Examples:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    x = (pixels[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return Examples(x, labels[order].astype(np.int64))


@pytest.fixture(scope="module")
def public(digits: Examples) -> PublicData:
    test = Examples(digits.x[1397:], digits.y[1397:])
    return PublicData(test, Examples(digits.x[1300:1397], digits.y[1300:1397]))


@pytest.fixture(scope="module")
def trained(digits: Examples) -> nn.Module:
    """Train, prune half of the channels, train on."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    fit(model, digits, epochs=8)
    pruned, _ = export.prune(model, torch.from_numpy(digits.x[:1]), 0.5)
    fit(pruned, digits, epochs=6)
    torch.set_num_threads(threads)
    return pruned


def fit(model: nn.Module, digits: Examples, epochs: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    x, y = torch.from_numpy(digits.x[:1300]), torch.from_numpy(digits.y[:1300])
    for _ in range(epochs):
        for rows in torch.randperm(1300).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()


@pytest.fixture(scope="module")
def result(
    trained: nn.Module, public: PublicData, tmp_path_factory: pytest.TempPathFactory
) -> ExportResult:
    folder = tmp_path_factory.mktemp("run") / "model"
    card = {"run": "calm-otter", "name": "overruled"}
    return export_model(trained, name="Digits 8x8", public=public, folder=folder, model_card=card)


def test_the_model_fits_a_microcontroller_and_keeps_its_accuracy(result: ExportResult) -> None:
    accuracy = result.verification.accuracy
    assert result.int8_bytes <= 16 * 1024
    assert result.arena_bytes is None or result.arena_bytes < 4096
    assert result.parameters == 9802
    assert result.macs == 31552
    assert accuracy["pytorch"] is not None and accuracy["pytorch"] > 0.94
    assert all(share is None or share > accuracy["pytorch"] - 0.01 for share in accuracy.values())
    assert result.verification.sqnr_db > 28
    assert result.verification.latency_us_host.keys() == {"litert_float", "litert_int8"}


def test_padding_and_flattening_cost_no_operators(result: ExportResult) -> None:
    assert result.verification.operators == (
        "CONV_2D", "CONV_2D", "RESHAPE", "FULLY_CONNECTED", "FULLY_CONNECTED",
    )  # fmt: skip


def test_tflite_micro_computes_the_same_bytes(result: ExportResult) -> None:
    pytest.importorskip("tflite_micro")
    proof = result.verification
    assert proof.micro_max_lsb is not None and proof.micro_max_lsb <= 2
    assert proof.micro_bytes_differing is not None and proof.micro_bytes_differing < 0.02
    assert proof.agreement["tflite_micro_int8"] == pytest.approx(1, abs=0.02)


def test_the_folder_holds_the_files_and_nothing_else(result: ExportResult) -> None:
    assert {path.name for path in result.paths["model_card.json"].parent.iterdir()} == FILES
    assert result.paths.keys() == FILES
    assert result.paths["model_int8.tflite"].stat().st_size == result.int8_bytes
    assert result.paths["model_float.tflite"].stat().st_size == result.float_bytes


def test_the_card_says_what_is_in_the_folder(result: ExportResult) -> None:
    card = json.loads(result.paths["model_card.json"].read_text())
    assert (card["run"], card["name"]) == ("calm-otter", "Digits 8x8")
    for name, listed in card["files"].items():
        content = result.paths[name].read_bytes()
        assert listed == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert card["input"]["shape"] == [1, 8, 8, 1]
    assert card["output"]["dtype"] == "int8"
    assert card["verification"] == json.loads(json.dumps(result.verification.to_dict()))


def test_the_float_file_computes_what_pytorch_does(
    result: ExportResult, trained: nn.Module, public: PublicData
) -> None:
    x = public.test.x
    outputs = predict(result.paths["model_float.tflite"], x.transpose(0, 2, 3, 1))
    with torch.no_grad():
        np.testing.assert_allclose(outputs, trained.eval()(torch.from_numpy(x)), atol=1e-4)


def test_the_microcontroller_file_is_smaller_and_computes_the_same_bytes(
    result: ExportResult, public: PublicData
) -> None:
    edge, mcu = result.paths["model_int8_edge.tflite"], result.paths["model_int8.tflite"]
    assert mcu.stat().st_size < 0.85 * edge.stat().st_size
    full, stripped = Interpreter(edge, kernels="reference"), Interpreter(mcu, kernels="reference")
    assert full.input == stripped.input and full.output == stripped.output
    steps = quantize(public.test.x.transpose(0, 2, 3, 1), full.input)
    np.testing.assert_array_equal(run_rows(full, steps), run_rows(stripped, steps))


def test_only_the_edge_file_has_a_signature(result: ExportResult) -> None:
    from ai_edge_litert.interpreter import Interpreter as LiteRT

    signatures = [
        LiteRT(model_path=str(result.paths[name])).get_signature_list()
        for name in ("model_int8_edge.tflite", "model_int8.tflite")
    ]
    assert [len(one) for one in signatures] == [1, 0]


def test_weights_are_aligned_in_both_files(result: ExportResult) -> None:
    from ai_edge_litert.schema_py_generated import Model

    for name in ("model_int8_edge.tflite", "model_int8.tflite"):
        content = result.paths[name].read_bytes()
        model = Model.GetRootAs(content)
        arrays = [model.Buffers(i).DataAsNumpy() for i in range(model.BuffersLength())]
        base = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
        starts = [a.__array_interface__["data"][0] - base for a in arrays if not isinstance(a, int)]
        assert len(starts) > 5
        assert all(start % ALIGNMENT == 0 for start in starts)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_the_c_source_compiles_to_the_same_bytes(result: ExportResult, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(
        """
        #include <stdint.h>
        #include <stdio.h>
        #include "model_data.h"
        #include "model_data.h"
        int main(void) {
          if ((uintptr_t)digits_8x8_model % 16 != 0) return 1;
          return fwrite(digits_8x8_model, 1, digits_8x8_model_len, stdout) != digits_8x8_model_len;
        }
        """
    )
    source = result.paths["model_data.c"]
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{source.parent}"]
    program = tmp_path / "program"
    subprocess.run(["gcc", *flags, tmp_path / "main.c", source, "-o", program], check=True)
    written = subprocess.run([program], check=True, capture_output=True).stdout
    assert written == result.paths["model_int8.tflite"].read_bytes()
    arena = f"#define DIGITS_8X8_ARENA_BYTES {result.arena_bytes}"
    assert result.arena_bytes is None or arena in source.with_suffix(".h").read_text()


def test_an_export_prints_nothing_and_gives_the_same_bytes_again(
    trained: nn.Module, public: PublicData, result: ExportResult, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    again = export_model(trained, name="Digits 8x8", public=public, folder=tmp_path)
    assert capfd.readouterr() == ("", "")
    for name in FILES - {"model_card.json"}:
        assert again.paths[name].read_bytes() == result.paths[name].read_bytes(), name


def test_a_model_that_int8_ruins_is_refused_and_nothing_is_written(
    trained: nn.Module, public: PublicData, tmp_path: Path
) -> None:
    dark = Examples(np.zeros_like(public.calibration.x), public.calibration.y)
    with pytest.raises(ExportError, match=r"int8 accuracy .* below PyTorch's .* calibration"):
        export_model(trained, name="x", public=PublicData(public.test, dark), folder=tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_diverged_model_is_refused(public: PublicData, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.constant_(model.get_parameter("1.bias"), float("nan"))
    with pytest.raises(ExportError, match="NaN"):
        export_model(model, name="x", public=public, folder=tmp_path)


def test_public_rows_are_checked(trained: nn.Module, public: PublicData, tmp_path: Path) -> None:
    none = Examples(public.test.x[:0], public.test.y[:0])
    with pytest.raises(TaskError, match="public calibration data has no data"):
        export_model(trained, name="x", public=PublicData(public.test, none), folder=tmp_path)


def rows(*shape: int, classes: int | None = None) -> Examples:
    """Random rows; the targets are classes, or the rows themselves."""
    rng = np.random.default_rng(0)
    x = rng.random(shape, dtype=np.float32)
    return Examples(x, x if classes is None else rng.integers(0, classes, len(x)))


def test_an_mlp_on_flat_rows(tmp_path: Path) -> None:
    data = rows(64, 20, classes=4)
    model = nn.Sequential(nn.Linear(20, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))
    public = PublicData(data, data)
    done = export_model(model, name="mlp", public=public, folder=tmp_path, max_accuracy_drop=None)
    assert done.verification.operators == ("FULLY_CONNECTED", "FULLY_CONNECTED")
    assert predict(done.paths["model_int8_edge.tflite"], data.x).shape == (64, 4)


def test_a_regression_has_no_accuracy_but_a_signal_to_noise_ratio(tmp_path: Path) -> None:
    data = rows(64, 12)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 12))
    done = export_model(model, name="ae", public=PublicData(data, data), folder=tmp_path)
    assert set(done.verification.accuracy.values()) == {None}
    assert set(done.verification.agreement.values()) == {None}
    assert done.verification.sqnr_db > 25


def test_large_weights_stay_inside_the_file() -> None:
    model, data = nn.Linear(520, 520), rows(16, 520, classes=520)
    float_model = export.convert(model, (520,))
    int8_model = export.quantize(float_model, data.x)
    mcu_model = export.strip(int8_model)
    assert 270_400 < len(mcu_model) <= len(int8_model) < 290_000
    proof = export.verify(
        export.of_pytorch(model),
        float_model,
        int8_model,
        data,
        mcu_model=mcu_model,
        max_accuracy_drop=None,
    )
    assert proof.sqnr_db > 20


def test_batch_norm_after_a_1d_convolution_disappears() -> None:
    model = nn.Sequential(nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8), nn.ReLU())
    model(torch.rand(4, 3, 32))
    names = export.operators.operators(export.convert(model, (3, 32)))
    assert "CONV_2D" in names
    assert not {"MUL", "ADD", "SUB"} & set(names)


def test_a_convolution_shared_by_two_batch_norms_is_not_folded_wrongly() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.one, self.two = nn.Conv1d(3, 3, 1), nn.BatchNorm1d(3), nn.BatchNorm1d(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.two(self.conv(self.one(self.conv(x)))).flatten(1)

    model, data = Shared(), rows(8, 3, 4)
    model(torch.rand(4, 3, 4))
    content = export.convert(model, (3, 4))
    outputs = predict(content, export.to_model_layout(data.x, content))
    with torch.no_grad():
        np.testing.assert_allclose(outputs, model.eval()(torch.from_numpy(data.x)), atol=1e-4)


def test_an_operator_without_a_microcontroller_kernel_is_named() -> None:
    data = rows(16, 8, classes=4)
    model = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 4))
    float_model = export.convert(model, (8,))
    int8_model = export.quantize(float_model, data.x)
    with pytest.raises(ExportError, match="no kernel for GELU"):
        export.verify(export.of_pytorch(model), float_model, int8_model, data)


def test_a_float_model_is_not_passed_off_as_int8() -> None:
    model, data = nn.Linear(8, 4), rows(16, 8, classes=4)
    float_model = export.convert(model, (8,))
    with pytest.raises(ExportError, match="input is float32, not int8"):
        export.verify(export.of_pytorch(model), float_model, float_model, data)


def test_files_of_another_model_are_refused() -> None:
    data = rows(16, 8, classes=4)
    float_model = export.convert(nn.Linear(8, 4), (8,))
    int8_model = export.quantize(float_model, data.x)
    with pytest.raises(ExportError, match="the float model is off by"):
        export.verify(export.of_pytorch(nn.Linear(8, 4)), float_model, int8_model, data)


def test_int16_activations_are_finer(
    trained: nn.Module, public: PublicData, result: ExportResult, tmp_path: Path
) -> None:
    fine = export_model(trained, name="fine", public=public, folder=tmp_path, activations="int16")
    card = json.loads(fine.paths["model_card.json"].read_text())
    assert (card["input"]["dtype"], card["output"]["dtype"]) == ("int16", "int16")
    assert card["input"]["zero_point"] == 0
    assert fine.verification.sqnr_db > result.verification.sqnr_db + 2
    off = fine.verification.micro_max_lsb
    assert off is None or off <= 3
    outputs = predict(fine.paths["model_int8_edge.tflite"], public.test.x.transpose(0, 2, 3, 1))
    with torch.no_grad():
        exact = trained.eval()(torch.from_numpy(public.test.x)).numpy()
    assert np.abs(outputs - exact).max() < 0.05 * np.abs(exact).max()
    with pytest.raises(ExportError, match="activations are 'int4'"):
        export_model(trained, name="x", public=public, folder=tmp_path, activations="int4")


def test_without_tflite_micro_the_rest_is_still_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    model, data = nn.Linear(8, 4), rows(16, 8, classes=4)
    float_model = export.convert(model, (8,))
    int8_model = export.quantize(float_model, data.x)
    proof = export.verify(
        export.of_pytorch(model), float_model, int8_model, data, max_accuracy_drop=None
    )
    assert (proof.arena_bytes, proof.micro_max_lsb) == (None, None)
    assert proof.accuracy["tflite_micro_int8"] is None
    assert proof.accuracy["litert_int8_reference"] is not None
    line = proof.unchecked
    assert line is not None and "\n" not in line
    assert "was not checked in TFLite-Micro" in line and "frugalfl[micro]" in line
    with pytest.raises(MissingExtraError, match=r"frugalfl\[micro\]"):
        export.run_micro(int8_model, np.zeros((1, 8), np.int8))


def test_what_cannot_be_converted_says_why() -> None:
    with pytest.raises(ExportError, match=r"does not run on an input of shape \(1, 9\)"):
        export.convert(nn.Linear(8, 4), (9,))
    with pytest.raises(ExportError, match="must return one tensor"):
        export.convert(nn.LSTM(8, 4), (3, 8))


def test_calibration_rows_are_checked() -> None:
    float_model = export.convert(nn.Linear(8, 4), (8,))
    with pytest.raises(ExportError, match="no calibration rows"):
        export.quantize(float_model, np.zeros((0, 8), np.float32))
    with pytest.raises(ExportError, match=r"shape \(9,\), the model takes \(8,\)"):
        export.quantize(float_model, np.zeros((4, 9), np.float32))


def test_a_server_without_the_converter_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(MissingExtraError, match=r"frugalfl\[server\]"):
        export.convert(nn.Linear(8, 4), (8,))


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(ExportError, match=r"3 bytes that are not a \.tflite file"):
        export.strip(b"abc")


@pytest.mark.parametrize(("name", "symbol"), [("8x8 */ digits!", "m_8x8_digits"), ("", "m_")])
def test_any_name_gives_valid_c(name: str, symbol: str) -> None:
    header, source = export.c_array(bytes(16), name, None)
    assert f"extern const unsigned char {symbol}_model[];" in header
    assert "ARENA_BYTES" not in header
    assert name == "" or name not in header + source


def test_importing_export_loads_no_heavy_library() -> None:
    heavy = "{'torch', 'litert_torch', 'ai_edge_litert', 'tflite_micro', 'torch_pruning', 'flwr'}"
    code = f"import sys, frugalfl_server.export; sys.exit(bool({heavy} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_predicting_rows_of_another_shape_says_which(result: ExportResult) -> None:
    model = Interpreter(result.paths["model_int8_edge.tflite"])
    with pytest.raises(UsageError, match=r"channels last: x\.transpose"):
        predict(model, np.zeros((2, 1, 8, 8)))
    with pytest.raises(UsageError, match=r"shape \(64,\), the model takes \(8, 8, 1\)"):
        predict(model, np.zeros((2, 64)))
    with pytest.raises(UsageError, match=r"float32\(1, 8, 8, 1\), the model takes int8"):
        model.run(np.zeros((1, 8, 8, 1), np.float32))
    assert predict(model, np.zeros((0, 8, 8, 1))).shape == (0, 10)


def test_values_beyond_the_range_saturate(result: ExportResult) -> None:
    model = Interpreter(result.paths["model_int8_edge.tflite"])
    bright = np.full((1, 8, 8, 1), 1e9, np.float32)
    np.testing.assert_array_equal(predict(model, bright), predict(model, np.ones_like(bright)))


def test_a_model_that_is_not_there_or_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the model .*none\.tflite"):
        Interpreter(tmp_path / "none.tflite")
    with pytest.raises(UsageError, match="is not a TFLite model"):
        Interpreter(b"not a model at all")


def test_a_device_without_a_runtime_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, result: ExportResult
) -> None:
    for runtime in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, runtime, None)
    with pytest.raises(MissingExtraError, match=r"frugalfl\[edge\]"):
        Interpreter(result.paths["model_int8.tflite"])
