"""What each rule about writing a model is worth: the same small model written both ways, exported.

python benchmarks/authoring.py [--quick] [--json FILE]

Prints the table of docs/authoring.md, and says what differs from what the rules say themselves.
--quick: one rule that stops an export and one that costs bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from common import arguments, finish
from torch import nn
from torch.nn import functional

from frugalfl.errors import ExportError, FrugalFLError
from frugalfl.task import FloatArray
from frugalfl_edge import Interpreter, predict, quantize
from frugalfl_server import export
from frugalfl_server.export.gates import MIN_SQNR_DB, known_operators
from frugalfl_server.export.lint import RULES, AddedCost, Rule
from frugalfl_server.export.operators import MICRO_OPERATORS, operators
from frugalfl_server.export.scores import sqnr_db

Shape = tuple[int, ...]
IMAGE, ROW, SERIES = (3, 8, 8), (16,), (3, 32)
#: Rules of the short version: one that stops an export, one that costs bytes.
QUICK = ("clamp", "separate-pad")


class Written(nn.Module):
    """A model whose ``forward`` is one expression of its layers and the row."""

    def __init__(self, forward: Callable[..., torch.Tensor], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._forward = forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Evaluate the expression."""
        return self._forward(self, x)


def conv(inputs: int = 3, outputs: int = 8, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, **{"padding": 1, **options})


def image(*layers: nn.Module, channels: int = 8) -> nn.Module:
    """A convolution, some layers on eight channels of 8x8, and a classifier."""
    pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4))
    return nn.Sequential(conv(), nn.ReLU(), *layers, *pool)


def dense(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(16, 16), *layers, nn.Linear(16, 4))


def scores(forward: Callable[..., torch.Tensor], **layers: nn.Module) -> nn.Module:
    return Written(forward, a=nn.Linear(16, 16), b=nn.Linear(16, 4), **layers)


def four_places(norm: nn.Module) -> nn.Module:
    return nn.Sequential(conv(stride=5, padding=0), norm, nn.Flatten(), nn.Linear(32, 4))


def temporal(steps: int) -> nn.Module:
    pool = (nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4))
    return nn.Sequential(nn.Conv1d(3, 8, min(steps, 3)), nn.ReLU(), *pool)


def recurrent() -> nn.Module:
    return Written(
        lambda m, x: m.out(m.gru(x.transpose(1, 2))[0][:, -1]),
        gru=nn.GRU(3, 8, batch_first=True), out=nn.Linear(8, 4),
    )  # fmt: skip


def gate(weigh: Callable[..., torch.Tensor], mix: nn.Module) -> nn.Module:
    """A squeeze-and-excite."""
    return Written(
        lambda m, x: m.out((h := m.conv(x)) * weigh(m, h).sigmoid()),
        conv=conv(), pool=nn.AdaptiveAvgPool2d(1), mix=mix, out=image_end(),
    )  # fmt: skip


def image_end() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))


@dataclass(frozen=True)
class Twins:
    """One small model in two ways.

    Attributes:
        wrong: As the rule advises against.
        right: As it advises.
        shape: Of a row of the first.
        right_shape: Of a row of the second, where that differs.
    """

    wrong: Callable[[], nn.Module]
    right: Callable[[], nn.Module]
    shape: Shape
    right_shape: Shape | None = None


def attention() -> nn.Module:
    return Written(
        lambda m, x: m.out(m.mix(x, x, x, need_weights=False)[0].mean(1)),
        mix=nn.MultiheadAttention(16, 2, batch_first=True), out=nn.Linear(16, 4),
    )  # fmt: skip


TWINS = {
    "activation": Twins(lambda: image(nn.GELU()), lambda: image(nn.ReLU()), IMAGE),
    "clamp": Twins(
        lambda: scores(lambda m, x: m.b(m.a(x).clamp(0, 1))),
        lambda: scores(lambda m, x: m.b(functional.relu6(m.a(x)))),
        ROW,
    ),
    "recurrent": Twins(recurrent, lambda: temporal(32), SERIES),
    "square-root": Twins(
        lambda: scores(lambda m, x: m.b(functional.normalize(m.a(x)))), dense, ROW
    ),
    "where": Twins(
        lambda: scores(lambda m, x: m.b(torch.where(x > 0, m.a(x), x))),
        lambda: scores(lambda m, x: m.b(torch.relu(m.a(x)))),
        ROW,
    ),
    "sorting": Twins(lambda: scores(lambda m, x: m.b(m.a(x)).topk(2)[0]), dense, ROW),
    "fourier": Twins(lambda: Written(lambda m, x: torch.fft.rfft(x).abs()), dense, ROW),
    "volume": Twins(
        lambda: nn.Sequential(nn.Conv3d(2, 4, 3), nn.Flatten()),
        lambda: nn.Sequential(nn.Conv2d(8, 4, 3), nn.Flatten()),
        (2, 4, 4, 4),
        (8, 4, 4),
    ),
    "uneven-pool": Twins(
        lambda: nn.Sequential(conv(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 4)),
        lambda: nn.Sequential(conv(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4)),
        IMAGE,
    ),
    "adaptive-max": Twins(
        lambda: nn.Sequential(conv(), nn.AdaptiveMaxPool2d(1), nn.Flatten()),
        lambda: nn.Sequential(conv(), nn.MaxPool2d(8), nn.Flatten()),
        IMAGE,
    ),
    "patches": Twins(
        lambda: Written(
            lambda m, x: m.out(functional.unfold(x, 3).flatten(1)), out=nn.Linear(972, 4)
        ),
        lambda: nn.Sequential(nn.Conv2d(3, 27, 3), nn.Flatten(), nn.Linear(972, 4)),
        IMAGE,
    ),
    "concatenation": Twins(
        lambda: Written(
            lambda m, x: torch.cat([one(x) for one in m.children()], 1),
            **{f"head{i}": nn.Linear(16, 2) for i in range(12)},
        ),
        lambda: nn.Linear(16, 24),
        ROW,
    ),
    "response-norm": Twins(
        lambda: image(nn.LocalResponseNorm(2)), lambda: image(conv(8), nn.BatchNorm2d(8)), IMAGE
    ),
    "arithmetic": Twins(lambda: scores(lambda m, x: m.b(m.a(x).sign())), dense, ROW),
    "power": Twins(
        lambda: scores(lambda m, x: m.b(torch.relu(x) ** 1.5)),
        lambda: scores(lambda m, x: m.b(torch.relu(x) ** 2)),
        ROW,
    ),
    "decision": Twins(lambda: scores(lambda m, x: m.b(m.a(x) if x.sum() > 0 else x)), dense, ROW),
    "live-dropout": Twins(
        lambda: scores(lambda m, x: m.b(functional.dropout(m.a(x)))),
        lambda: dense(nn.Dropout()),
        ROW,
    ),
    "untracked-norm": Twins(
        # Of few places, so that rows differ from the batch.
        lambda: four_places(nn.BatchNorm2d(8, track_running_stats=False)),
        lambda: four_places(nn.BatchNorm2d(8)),
        IMAGE,
    ),
    "power-pool": Twins(lambda: image(nn.LPPool2d(2, 2)), lambda: image(nn.AvgPool2d(2)), IMAGE),
    "bilinear-layer": Twins(
        lambda: scores(lambda m, x: m.b(m.mix(x, x)), mix=nn.Bilinear(16, 16, 16)),
        lambda: scores(lambda m, x: m.b(m.a(x) * m.mix(x)), mix=nn.Linear(16, 16)),
        ROW,
    ),
    "transposed-dilation": Twins(
        lambda: image(nn.ConvTranspose2d(8, 8, 3, 2, dilation=2)),
        lambda: image(nn.Upsample(scale_factor=2), conv(8)),
        IMAGE,
    ),
    "fractional-resize": Twins(
        # Without a pool behind it, which would average over the pixels that it picks.
        lambda: nn.Sequential(
            conv(), nn.Upsample(scale_factor=1.5), nn.Flatten(), nn.Linear(8 * 144, 4)
        ),
        lambda: nn.Sequential(
            conv(), nn.Upsample(scale_factor=2), nn.Flatten(), nn.Linear(8 * 256, 4)
        ),
        IMAGE,
    ),
    "dilated-pool": Twins(
        lambda: image(nn.MaxPool2d(2, 2, dilation=2)), lambda: image(nn.MaxPool2d(2, 2)), IMAGE
    ),
    "partial-pool": Twins(
        lambda: image(nn.AvgPool2d(3, 2, padding=1, count_include_pad=False)),
        lambda: image(nn.AvgPool2d(2)),
        IMAGE,
    ),
    "circular": Twins(
        lambda: image(conv(8, padding_mode="circular")), lambda: image(conv(8)), IMAGE
    ),
    "one-output": Twins(
        lambda: Written(lambda m, x: (m.a(x), x), a=nn.Linear(16, 4)),
        lambda: nn.Sequential(nn.Linear(16, 4)),
        ROW,
    ),
    "separate-pad": Twins(
        lambda: image(conv(8, stride=2), nn.ReLU()),
        lambda: image(nn.ZeroPad2d((0, 1, 0, 1)), conv(8, stride=2, padding=0), nn.ReLU()),
        IMAGE,
    ),
    "float-island": Twins(
        lambda: nn.Sequential(conv(), nn.LeakyReLU(), image_end()),
        lambda: nn.Sequential(conv(), nn.ReLU(), image_end()),
        IMAGE,
    ),
    "odd-clamp": Twins(
        lambda: scores(lambda m, x: m.b(m.a(x).clamp(-2, 3))),
        lambda: scores(lambda m, x: m.b(functional.relu6(m.a(x)))),
        ROW,
    ),
    "norm": Twins(
        lambda: dense(nn.LayerNorm(16), nn.ReLU()),
        lambda: dense(nn.BatchNorm1d(16), nn.ReLU()),
        ROW,
    ),
    "batch-norm": Twins(
        lambda: image(nn.BatchNorm2d(8), conv(8)),
        lambda: nn.Sequential(conv(), nn.BatchNorm2d(8), nn.ReLU(), conv(8), image_end()),
        IMAGE,
    ),
    "attention": Twins(
        attention,
        lambda: nn.Sequential(
            nn.Conv1d(16, 16, 3, padding=1), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 4)
        ),
        (8, 16),
        (16, 8),
    ),
    "short-recurrent": Twins(recurrent, lambda: temporal(4), (3, 4)),
    "prelu": Twins(
        lambda: nn.Sequential(conv(), nn.PReLU(), image_end()),
        lambda: nn.Sequential(conv(), nn.ReLU(), image_end()),
        IMAGE,
    ),
    "transposed": Twins(
        lambda: image(nn.ConvTranspose2d(8, 8, 2, 2)),
        lambda: image(nn.Upsample(scale_factor=2), conv(8)),
        IMAGE,
    ),
    "transposed-padding": Twins(
        lambda: image(nn.ConvTranspose2d(8, 8, 3, 2, 1, output_padding=1)),
        lambda: image(nn.Upsample(scale_factor=2), conv(8)),
        IMAGE,
    ),
    "series": Twins(
        lambda: Written(
            lambda m, x: m.out(torch.relu(m.conv(x)).mean(-1)),
            conv=nn.Conv1d(3, 8, 3),
            out=nn.Linear(8, 4),
        ),
        lambda: temporal(32),
        SERIES,
    ),
    "shuffle": Twins(
        lambda: Written(
            lambda m, x: m.out(functional.pixel_unshuffle(x, 2)),
            out=nn.Sequential(nn.Conv2d(12, 8, 1), image_end()),
        ),
        lambda: nn.Sequential(nn.Conv2d(3, 8, 2, stride=2), image_end()),
        IMAGE,
    ),
    "gate": Twins(
        lambda: gate(lambda m, h: m.mix(m.pool(h).flatten(1))[:, :, None, None], nn.Linear(8, 8)),
        lambda: gate(lambda m, h: m.mix(m.pool(h)), nn.Conv2d(8, 8, 1)),
        IMAGE,
    ),
    "turned-input": Twins(
        lambda: Written(lambda m, x: m.rest(x.permute(0, 3, 1, 2)), rest=image()),
        image,
        (8, 8, 3),
        IMAGE,
    ),
    "new-axis": Twins(
        lambda: Written(lambda m, x: m.out(m.conv(x.unsqueeze(1))), conv=conv(1), out=image_end()),
        lambda: nn.Sequential(conv(1), image_end()),
        (8, 8),
        (1, 8, 8),
    ),
    "argmax": Twins(lambda: scores(lambda m, x: m.b(m.a(x)).argmax(1)), dense, ROW),
    "final-softmax": Twins(lambda: nn.Sequential(dense(), nn.Softmax(1)), dense, ROW),
    "functional-weights": Twins(
        lambda: Written(
            lambda m, x: m.out(functional.conv2d(x, m.conv.weight, m.conv.bias, padding=1)),
            conv=conv(),
            out=image_end(),
        ),
        lambda: Written(lambda m, x: m.out(m.conv(x)), conv=conv(), out=image_end()),
        IMAGE,
    ),
    "arena-peak": Twins(
        lambda: nn.Sequential(conv(3, 16), nn.ReLU(), nn.MaxPool2d(4), conv(16), image_end()),
        lambda: nn.Sequential(nn.Conv2d(3, 16, 4, stride=4), nn.ReLU(), conv(16), image_end()),
        (3, 32, 32),
    ),
}


@dataclass(frozen=True)
class Exported:
    """What one way of writing becomes.

    Attributes:
        operators: Of the int8 file.
        file_bytes: Its size, stripped.
        arena_bytes: What TFLite-Micro needs on this host.
    """

    operators: tuple[str, ...]
    file_bytes: int
    arena_bytes: int


def built(write: Callable[[], nn.Module]) -> nn.Module:
    """Build a model with weights and statistics as after some training."""
    torch.manual_seed(0)
    model = write()
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            for values in (layer.running_mean, layer.running_var, layer.weight, layer.bias):
                if values is not None:
                    nn.init.uniform_(values, 0.5, 1.5)
    return model.eval()


def exported(write: Callable[[], nn.Module], shape: Shape) -> Exported:
    """Export a model, and measure it.

    Raises:
        FrugalFLError: It cannot be converted, quantized or run in TFLite-Micro, or computes other
            outputs.
    """
    module = built(write)
    float_model = export.convert(module, shape)
    x = np.random.default_rng(0).random((16, *shape), dtype=np.float32)
    rows = export.to_model_layout(x, float_model)
    check_same(predict(float_model, rows), module, x)
    model = export.strip(export.quantize(float_model, rows))
    known_operators(operators(model), MICRO_OPERATORS).check()
    steps = quantize(rows, Interpreter(model, kernels="reference").input)
    arena_bytes = export.run_micro(model, steps[:1]).arena_bytes
    return Exported(operators(model), len(model), arena_bytes)


def check_same(outputs: FloatArray, module: nn.Module, x: FloatArray) -> None:
    """Refuse a float file whose outputs are not the model's, as the export's gate does.

    Raises:
        ExportError: So it is.
    """
    with torch.inference_mode():
        exact = module(torch.from_numpy(x)).numpy()
    found_db = sqnr_db(outputs.astype(np.float32), exact.astype(np.float32))
    if found_db < MIN_SQNR_DB:
        raise ExportError(f"the file's outputs are not the model's: {found_db:.1f} dB")


def exported_twins(twins: Twins) -> tuple[Exported | ExportError, Exported]:
    """Export both ways; the wrong one may have an error for a result."""
    right = exported(twins.right, twins.right_shape or twins.shape)
    try:
        return exported(twins.wrong, twins.shape), right
    except FrugalFLError as error:
        return ExportError(str(error)), right


def cost(wrong: Exported, right: Exported) -> AddedCost:
    return AddedCost(
        len(wrong.operators) - len(right.operators),
        wrong.file_bytes - right.file_bytes,
        wrong.arena_bytes - right.arena_bytes,
    )


def table_row(rule: Rule) -> str:
    """One line of the table in ``docs/authoring.md``."""
    if rule.severity == "stops":
        what = "**the export stops**"
    else:
        what = str(rule.cost) if rule.cost else "no bytes"
    return f"| `{rule.name}` | `{rule.wrong}` | `{rule.right}` | {what} |"


def measure(rule: Rule) -> dict[str, Any]:
    """Export the twins of a rule; say so if the cost is not what the rule says."""
    wrong, right = exported_twins(TWINS[rule.name])
    found: dict[str, Any] = {
        "rule": rule.name, "instead_of": rule.wrong, "write": rule.right, "severity": rule.severity,
        "stops": None, "cost": None,
    }  # fmt: skip
    if isinstance(wrong, ExportError):
        found["stops"] = str(wrong)
        print(f"{rule.name}: {wrong}", file=sys.stderr)
        return found
    measured = cost(wrong, right)
    note = "" if measured == rule.cost else f"  the rule says {rule.cost!r}"
    print(f"{rule.name}: {measured!r}{note}", file=sys.stderr)
    return found | {"cost": asdict(measured), "cost_by_rule": rule.cost and asdict(rule.cost)}


def main() -> None:
    """Measure every rule and print its row."""
    options = arguments(__doc__)
    rules = [rule for rule in RULES if rule.name in QUICK or not options.quick]
    found = []
    for rule in rules:
        found.append(measure(rule))
        print(table_row(rule), flush=True)
    finish(options, {"rules": found})


if __name__ == "__main__":
    main()
