"""Keras models through the export. Those tests that need TensorFlow: `make test-keras`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo import NETS, train

from frugalfl import Examples, PublicData
from frugalfl.errors import ExportError, MissingExtraError, UsageError
from frugalfl_edge import predict
from frugalfl_server import export
from frugalfl_server.export.keras_file import export_keras_file, read_rows

from .conftest import frugalfl


def save_rows(path: Path, rows: Examples, *names: str) -> Path:
    np.savez(path, **{name: getattr(rows, name) for name in names})
    return path


def test_without_tensorflow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    rows = save_rows(tmp_path / "rows.npz", NETS["mlp"].task.public_rows().calibration, "x")
    (tmp_path / "m.keras").write_bytes(b"PK")
    with pytest.raises(MissingExtraError, match=r"pip install 'frugalfl\[keras\]'"):
        export_keras_file(tmp_path / "m.keras", rows, None, None)


def test_what_the_verb_is_given_must_belong_together(tmp_path: Path) -> None:
    rows = save_rows(tmp_path / "rows.npz", NETS["mlp"].task.public_rows().calibration, "x")
    missing = frugalfl("export", "none.keras", "--calibration", rows, cwd=tmp_path)
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert "there is no model none.keras" in missing.stderr
    no_rows = frugalfl("export", "none.keras", cwd=tmp_path)
    assert "none.keras needs --calibration ROWS.npz" in no_rows.stderr
    a_run = frugalfl("export", "runs/latest", "--test", rows, cwd=tmp_path)
    assert "belong to a .keras model" in a_run.stderr


def test_files_without_rows_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "y.npz", y=np.zeros(3))
    np.savez(tmp_path / "words.npz", x=np.array(["a", "b"]))
    np.save(tmp_path / "array.npy", np.zeros((3, 4)))
    (tmp_path / "text.npz").write_text("x")
    for name in ("y.npz", "words.npz", "array.npy", "text.npz"):
        with pytest.raises(UsageError, match=f"{name} holds no rows"):
            read_rows(tmp_path / name)
    with pytest.raises(UsageError, match="cannot read the rows"):
        read_rows(tmp_path / "none.npz")


def test_rows_of_other_numbers_become_float32_and_their_own_targets(tmp_path: Path) -> None:
    np.savez(tmp_path / "pixels.npz", x=np.arange(6, dtype=np.uint8).reshape(2, 3))
    rows = read_rows(tmp_path / "pixels.npz")
    assert rows.x.dtype == np.float32
    np.testing.assert_array_equal(rows.x, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(rows.y, rows.x)


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("keras")


@pytest.fixture(scope="module", params=["mlp", "ds-cnn", "sensor"])
def twins(request: pytest.FixtureRequest, keras: Any) -> tuple[Any, Any, PublicData]:
    """A trained PyTorch net, its Keras twin, and the rows as Keras takes them."""
    from zoo.keras_twin import keras_rows, keras_twin

    net = NETS[request.param]
    module, public = train(net, seed=0), net.task.public_rows()
    for_keras = [Examples(keras_rows(rows.x), rows.y) for rows in (public.test, public.calibration)]
    return module, keras_twin(module, public.test.x.shape[1:]), PublicData(*for_keras)


@pytest.mark.keras
def test_a_keras_model_is_proven_and_packed_as_its_pytorch_twin(
    twins: tuple[Any, Any, PublicData], tmp_path: Path
) -> None:
    module, model, public = twins
    done = export.export_keras(model, name="twin", public=public, folder=tmp_path)
    proof, card = done.verification, json.loads(done.paths["model_card.json"].read_text())
    assert proof.reference == card["verification"]["reference"] == "keras"
    assert proof.accuracy["tflite_micro_int8"] > proof.accuracy["keras"] - 0.01
    assert proof.micro_max_lsb <= 1
    assert proof.sqnr_db > 33
    assert card["input"]["dtype"] == card["output"]["dtype"] == "int8"
    assert not {"SHAPE", "STRIDED_SLICE", "PACK"} & set(proof.operators)
    assert done.parameters == export.count_parameters(module)
    outputs = predict(done.paths["model_float.tflite"], public.test.x)
    np.testing.assert_allclose(outputs, np.asarray(model(public.test.x)), atol=1e-4)


@pytest.mark.keras
def test_an_mlp_costs_the_same_by_both_doors(keras: Any, tmp_path: Path) -> None:
    from zoo.keras_twin import keras_twin

    net = NETS["mlp"]
    module, public = train(net, seed=0), net.task.public_rows()
    one = export.export_model(module, name="x", public=public, folder=tmp_path / "1")
    twin = keras_twin(module, (64,))
    other = export.export_keras(twin, name="x", public=public, folder=tmp_path / "2")
    assert (one.int8_bytes, one.arena_bytes) == (other.int8_bytes, other.arena_bytes)
    assert one.verification.operators == other.verification.operators
    assert one.verification.sqnr_db == pytest.approx(other.verification.sqnr_db, abs=0.5)


@pytest.mark.keras
def test_a_file_by_the_command_line(keras: Any, tmp_path: Path) -> None:
    from zoo.keras_twin import keras_twin

    net = NETS["mlp"]
    public = net.task.public_rows()
    keras_twin(train(net, seed=0), (64,)).save(tmp_path / "net.keras")
    typical = save_rows(tmp_path / "typical.npz", public.calibration, "x", "y")
    test = save_rows(tmp_path / "test.npz", public.test, "x", "y")
    done = frugalfl(
        "export", "net.keras", "--calibration", typical, "--test", test, "--json", cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    figures = json.loads(done.stdout)
    assert figures["verification"]["rows"] == len(public.test)
    assert figures["verification"]["accuracy"]["litert_int8"] > 0.94
    assert (tmp_path / "net" / "model_data.c").is_file()
    without = save_rows(tmp_path / "without.npz", public.calibration, "x")
    again = frugalfl(
        "export", "net.keras", "--calibration", without, "--out", "other", cwd=tmp_path
    )
    assert again.returncode == 0, again.stderr
    assert "accuracy" not in again.stdout
    assert (tmp_path / "other" / "model_int8.tflite").is_file()


@pytest.mark.keras
def test_what_cannot_be_exported_says_why(keras: Any, tmp_path: Path) -> None:
    rows = Examples(np.zeros((4, 8), np.float32), np.zeros(4, np.int64))
    layers = keras.layers

    def refuse(model: Any, match: str) -> None:
        with pytest.raises(ExportError, match=match):
            export.export_keras(
                model, name="x", public=PublicData(rows, rows), folder=tmp_path / "none"
            )

    refuse(keras.Sequential([keras.Input((9,)), layers.Dense(2)]), r"shape \(8,\), the model takes")
    refuse(keras.Sequential([keras.Input((None,)), layers.Softmax()]), "row shape is fixed")
    two = [keras.Input((8,)), keras.Input((8,))]
    refuse(keras.Model(two, layers.Add()(two)), "with one input")
    gelu = [keras.Input((8,)), layers.Dense(4, activation="gelu")]
    refuse(keras.Sequential(gelu), "no kernel for|cannot be converted")
    assert not (tmp_path / "none").exists()


@pytest.mark.keras
def test_a_file_that_holds_code_or_nothing_is_not_loaded(keras: Any, tmp_path: Path) -> None:
    rows = save_rows(tmp_path / "r.npz", Examples(np.zeros((4, 8), np.float32), None), "x")
    model = keras.Sequential([keras.Input((8,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(tmp_path / "code.keras")
    (tmp_path / "nothing.keras").write_bytes(b"PK")
    for name in ("code.keras", "nothing.keras"):
        with pytest.raises(ExportError, match=f"{name} cannot be loaded"):
            export_keras_file(tmp_path / name, rows, None, tmp_path / "none")
