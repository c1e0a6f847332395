"""A .keras file is looked at before Keras reads it: it names what Keras imports and calls."""

import json
import zipfile

import pytest

from frugalfl.errors import ExportError
from frugalfl_server.export.foreign_keras import check_keras_file

DENSE = {
    "module": "keras.layers", "class_name": "Dense", "registered_name": None,
    "config": {
        "units": 4, "activation": "relu",
        "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}},
        "kernel_initializer": {"module": "keras.initializers", "class_name": "GlorotUniform"},
    },
}  # fmt: skip
FUNCTION = {"module": "keras.src.ops.numpy", "class_name": "Mean", "config": {"axis": [1]}}


def written(path, *layers, **more):
    model = {"module": "keras", "class_name": "Sequential", "config": {"layers": list(layers)}}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(model | more))
        archive.writestr("model.weights.h5", b"\x89HDF")
    return path


def test_a_model_of_numbers_is_let_through(tmp_path):
    compiled = {"optimizer": {"module": "keras.optimizers", "class_name": "Adam"}}
    check_keras_file(written(tmp_path / "m.keras", DENSE, FUNCTION, compile_config=compiled))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keras.layers", "Lambda"),
        (None, "__lambda__"),
        ("keras.layers", "StringLookup"),
        ("keras.layers", "TorchModuleWrapper"),
        ("keras.utils", "get_file"),
        ("keras.src.utils.file_utils", "get_file"),
        ("keras", "utils"),
        ("subprocess", "Popen"),
        ("kerasx.layers", "Dense"),
        ("keras.layersx", "Dense"),
    ],
)
def test_what_could_run_code_or_read_files_is_refused(tmp_path, module, name):
    inner = DENSE | {"config": {"activation": {"module": module, "class_name": name}}}
    with pytest.raises(ExportError, match=name):
        check_keras_file(written(tmp_path / "m.keras", inner))


def test_what_unpacks_to_too_much_or_is_nested_too_deeply_is_refused(tmp_path):
    path = written(tmp_path / "m.keras", more="0" * (1 << 24))
    with pytest.raises(ExportError, match="unpacks to"):
        check_keras_file(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "[" * 200_000)
    with pytest.raises(ExportError, match="nested"):
        check_keras_file(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x89HDF old format"])
def test_another_kind_of_file_is_refused(tmp_path, content):
    path = tmp_path / "m.keras"
    path.write_bytes(content)
    with pytest.raises(ExportError, match="is not loaded"):
        check_keras_file(path)
