"""Int8 export: our path from PyTorch beside TensorFlow's from Keras, on the same weights.

    python benchmarks/export.py [--quick] [--json FILE]

Each net of the zoo is trained in PyTorch, and its weights are copied to the model that a Keras
user would write (checked by the outputs). Three paths then make an int8 file for
microcontrollers, from the same 200 calibration rows:

* ours: PyTorch, litert-torch, ai-edge-quantizer, and this project's stages around them;
* tf: TFLiteConverter as its users run it, int8 in and out;
* tf best: the same with one scale a dense layer and batch 1, then stripped by our stage.

File in bytes; arena in bytes, the smallest that TFLite-Micro runs with on x86-64; score on the
test rows by LiteRT's reference kernels (accuracy; mean squared error of the autoencoder); SQNR
against the float PyTorch model; seconds of processor time to convert and quantize, the median of
3 with every library loaded. Installed size: every file of the packages that a path needs, with
what those need in turn, in this environment.

Without TensorFlow (`pip install 'frugalfl[keras]'`): our columns only. --quick: two nets, timed
once.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from common import arguments, finish
from packaging.requirements import Requirement
from zoo import NETS, Net, score, train
from zoo.keras_twin import keras_rows, keras_twin

from frugalfl.task import FloatArray
from frugalfl_edge import Interpreter, dequantize, quantize, run_rows
from frugalfl_server import export
from frugalfl_server.export.keras import convert_keras
from frugalfl_server.export.quiet import quiet
from frugalfl_server.export.scores import sqnr_db

HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
QUICK = ("mlp", "ds-cnn")
REPEATS = 3
#: A twin's outputs may differ from PyTorch's by this share of the largest.
SAME = 1e-4
INSTALLED = {
    "ours": ("torch", "litert-torch", "ai-edge-quantizer", "ai-edge-litert"),
    "of that PyTorch": ("torch",),
    "tf": ("tensorflow-cpu",),
}


def tensorflow_default(model: Any, rows: FloatArray) -> bytes:
    """Convert as TensorFlow's guide to full integer quantization does."""
    import tensorflow as tf

    with quiet():
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([row[None]] for row in rows)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return bytes(converter.convert())


def measure(
    net: Net, convert: Callable[[], bytes], rows: FloatArray, exact: FloatArray, repeats: int
) -> dict[str, float | None]:
    """Convert some times; return the figures of the file.

    Args:
        net: What the file was made from.
        convert: Makes the file.
        rows: Test rows in the file's layout.
        exact: What the float model makes of them.
        repeats: Timed conversions, after one that loads the libraries.
    """
    model, seconds = convert(), []
    for _ in range(repeats):
        start = time.process_time()
        convert()
        seconds.append(time.process_time() - start)
    int8 = Interpreter(model, kernels="reference")
    steps = quantize(rows, int8.input)
    outputs = dequantize(run_rows(int8, steps), int8.output)
    micro = importlib.util.find_spec("tflite_micro")
    return {
        "file_bytes": len(model),
        "arena_bytes": export.run_micro(model, steps[:1]).arena_bytes if micro else None,
        "score": score(net, outputs, net.task.public_rows().test),
        "sqnr_db": sqnr_db(outputs, exact),
        "cpu_s": statistics.median(seconds),
    }


def compare(net: Net, repeats: int) -> dict[str, Any]:
    """Take one net along every path."""
    module, public = train(net, seed=0), net.task.public_rows()
    shape, test = public.test.x.shape[1:], public.test.x
    with torch.no_grad():
        exact = module(torch.from_numpy(test)).numpy()
    float_model = export.convert(module, shape)
    typical = export.to_model_layout(public.calibration.x, float_model)

    def ours() -> bytes:
        return export.strip(export.quantize(export.convert(module, shape), typical))

    figures: dict[str, Any] = {
        "parameters": export.count_parameters(module),
        "metric": net.metric,
        "score_float": score(net, exact, public.test),
        "ours": measure(net, ours, export.to_model_layout(test, float_model), exact, repeats),
    }
    if HAS_TENSORFLOW:
        twin, rows = keras_twin(module, shape), keras_rows(public.calibration.x)
        error = np.abs(np.asarray(twin(keras_rows(test))) - exact).max()
        assert error < SAME * np.abs(exact).max(), f"the twin of {net.name} is off by {error}"
        paths = {
            "tf": lambda: tensorflow_default(twin, rows),
            "tf best": lambda: export.strip(convert_keras(twin, rows)[1]),
        }
        for name, convert in paths.items():
            figures[name] = measure(net, convert, keras_rows(test), exact, repeats)
    return figures


def installed_bytes(roots: Iterable[str]) -> int:
    """Add up the files of some distributions and of all that they require here."""
    waiting, found = list(roots), {}
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform, or replaced by a build of another name
        files = (file.locate() for file in distribution.files or ())
        found[name] = sum(file.stat().st_size for file in files if file.is_file())
        wanted = map(Requirement, distribution.requires or ())
        waiting += [
            one.name for one in wanted if not one.marker or one.marker.evaluate({"extra": ""})
        ]
    return sum(found.values())


def show(name: str, figures: dict[str, Any]) -> None:
    """Print a net's lines; ratios are to the file and arena of our path."""
    ours = figures["ours"]
    print(f"{name}: {figures['parameters']:,} parameters, float {figures['score_float']:.4f}")
    for path in ("ours", "tf", "tf best"):
        if path not in figures:
            continue
        row = figures[path]
        arena = "-" if row["arena_bytes"] is None else f"{row['arena_bytes']:,}"
        ratios = f"{row['file_bytes'] / ours['file_bytes']:.2f}x"
        if row["arena_bytes"]:
            ratios += f" {row['arena_bytes'] / ours['arena_bytes']:.2f}x"
        print(
            f"  {path:8} {row['file_bytes']:>8,} B  arena {arena:>6} B  {row['score']:.4f}  "
            f"{row['sqnr_db']:5.1f} dB  {row['cpu_s']:5.2f} s  {ratios}"
        )


def main() -> None:
    """Compare every net and print the table."""
    options = arguments(__doc__)
    torch.set_num_threads(1)
    nets = {name: net for name, net in NETS.items() if name in QUICK or not options.quick}
    figures: dict[str, Any] = {"nets": {}}
    for name, net in nets.items():
        figures["nets"][name] = compare(net, 1 if options.quick else REPEATS)
        show(name, figures["nets"][name])
    paths = {name: roots for name, roots in INSTALLED.items() if HAS_TENSORFLOW or name != "tf"}
    figures["installed_bytes"] = {name: installed_bytes(roots) for name, roots in paths.items()}
    for name, size in figures["installed_bytes"].items():
        print(f"installed, {name}: {size / 1e6:,.0f} MB")
    if not HAS_TENSORFLOW:
        print("TensorFlow is not installed: pip install 'frugalfl[keras]' for its columns")
    finish(options, figures)


if __name__ == "__main__":
    sys.exit(main())
