"""Every rule about how to write a model for a microcontroller. A new rule is one new entry.

What they say was measured by converting a small model written both ways
(``benchmarks/authoring.py``), with litert-torch 0.10, ai-edge-quantizer 0.10 and tflite-micro
0.dev20261023.
"""

from __future__ import annotations

from dataclasses import dataclass

from frugalfl_server.export.lint import arena, find
from frugalfl_server.export.lint.advice import AddedCost, Severity


@dataclass(frozen=True)
class Rule:
    """One thing to write otherwise.

    Attributes:
        name: Short, unique.
        severity: How bad it is.
        finds: Where a model does it.
        what: What is wrong; ``{detail}`` is what was found.
        instead: What to write.
        wrong: The code to look for, short, for the table in ``docs/authoring.md``.
        right: The code to write, likewise.
        cost: What the wrong way adds to a small example; None if it does not run at all, or
            bytes are not the point.
    """

    name: str
    severity: Severity
    finds: find.Finder
    what: str
    instead: str
    wrong: str
    right: str
    cost: AddedCost | None = None


RULES: tuple[Rule, ...] = (
    Rule(
        "activation", "stops",
        find.calls("gelu", "elu", "selu", "celu", "mish", "softplus", "softshrink", "rrelu"),
        "TFLite-Micro has no kernel for {detail}",
        "use ReLU, or Hardswish or SiLU where it must be smooth",
        "nn.GELU(), nn.ELU(), nn.SELU(), nn.CELU(), nn.Mish(), nn.Softplus()", "nn.ReLU()",
    ),
    Rule(
        "clamp", "stops", find.clamps,
        "{detail} becomes RELU_0_TO_1, for which TFLite-Micro has no kernel",
        "use ReLU6, or bounds of -1 and 1",
        "x.clamp(0, 1)", "nn.ReLU6()",
    ),
    Rule(
        "recurrent", "stops", find.recurrences(short=False),
        "a recurrent layer over {detail} steps is unrolled, and TFLite-Micro cannot put more than "
        "10 outputs together",
        "use Conv1d along time",
        "nn.LSTM, nn.GRU, nn.RNN over more than 10 steps", "nn.Conv1d",
    ),
    Rule(
        "square-root", "stops",
        find.calls(
            "sqrt", "norm", "normalize", "std", "cosine_similarity", "linalg_norm",
            "linalg_vector_norm",
        ),
        "{detail} takes a square root, which TFLite-Micro does not do in int8",
        "leave it out (the largest of several dot products is the same), or use squares",
        "F.normalize(x), x.norm(), x.std(), x.sqrt()", "x, (x * x).sum(), x.var()",
    ),
    Rule(
        "where", "stops", find.selections,
        "torch.where between two tensors becomes SELECT, for which TFLite-Micro has no kernel",
        "use ReLU, or a product with a mask",
        "torch.where(x > 0, a, b)", "torch.relu(x)",
    ),
    Rule(
        "sorting", "stops", find.calls("topk", "sort", "argsort"),
        "{detail} cannot be quantized",
        "return the scores, and sort them in the firmware",
        "x.topk(2), x.sort()", "x",
    ),
    Rule(
        "fourier", "stops", find.complex_numbers,
        "{detail} makes complex numbers, which int8 has not",
        "compute spectra in the firmware or in the task's data, or learn a Conv1d",
        "torch.fft.rfft(x), torch.stft(x)", "nn.Conv1d",
    ),
    Rule(
        "volume", "stops", find.calls("conv3d"),
        "TFLite-Micro has no kernel for Conv3d",
        "put one axis into the channels, and use Conv2d",
        "nn.Conv3d", "nn.Conv2d",
    ),
    Rule(
        "uneven-pool", "stops", find.uneven_pools,
        "pooling {detail} has windows of different sizes, which TFLite-Micro has no kernel for",
        "choose an output size that divides the input's, or AvgPool2d",
        "nn.AdaptiveAvgPool2d(3) on 8x8", "nn.AdaptiveAvgPool2d(2)",
    ),
    Rule(
        "adaptive-max", "stops", find.calls("adaptive_max_pool1d", "adaptive_max_pool2d"),
        "{detail} cannot be converted",
        "use MaxPool2d with a fixed window, or AdaptiveAvgPool2d",
        "nn.AdaptiveMaxPool2d(1)", "nn.MaxPool2d(8)",
    ),
    Rule(
        "patches", "stops", find.calls("unfold"),
        "unfold becomes a gather of six axes, which TFLite-Micro refuses",
        "use a convolution with the patch as its kernel",
        "F.unfold(x, 3)", "nn.Conv2d",
    ),
    Rule(
        "concatenation", "stops", find.wide_concatenations,
        "{detail} tensors are put together at once; TFLite-Micro takes 10",
        "put them together in two steps, or compute them with one wider layer",
        "torch.cat of more than 10 tensors", "one wider layer",
    ),
    Rule(
        "response-norm", "stops", find.calls("local_response_norm"),
        "LocalResponseNorm cannot be quantized",
        "use BatchNorm2d right behind the convolution",
        "nn.LocalResponseNorm", "nn.BatchNorm2d",
    ),
    Rule(
        "arithmetic", "stops", find.calls("sign", "round"),
        "{detail} has no int8 kernel",
        "leave it out; int8 rounds by itself",
        "x.sign(), x.round()", "x",
    ),
    Rule(
        "power", "stops", find.fractional_powers,
        "{detail} has no int8 kernel",
        "use whole powers",
        "x ** 1.5", "x ** 2",
    ),
    Rule(
        "decision", "stops", find.decisions,
        "Python looks at a tensor's values here ({detail}), and the converter cannot follow both "
        "ways",
        "compute both ways and weigh them, or decide in the firmware",
        "if x.sum() > 0:", "the same layers for every row",
    ),
    Rule(
        "live-dropout", "stops", find.live_dropouts,
        "this dropout stays on when the model is used",
        "use nn.Dropout, or F.dropout(x, p, self.training)",
        "F.dropout(x, p)", "nn.Dropout(p)",
    ),
    Rule(
        "untracked-norm", "stops", find.untracked_norms,
        "this batch norm measures the batch that it is given, and a device gives it one row",
        "leave track_running_stats as it is, or use GroupNorm",
        "nn.BatchNorm2d(c, track_running_stats=False)", "nn.BatchNorm2d(c)",
    ),
    Rule(
        "power-pool", "stops", find.calls("lp_pool1d", "lp_pool2d", "lp_pool3d"),
        "{detail} takes powers, roots and signs, for which there are no int8 kernels",
        "use AvgPool2d or MaxPool2d",
        "nn.LPPool2d(2, 2)", "nn.AvgPool2d(2)",
    ),
    Rule(
        "bilinear-layer", "stops", find.calls("bilinear"),
        "nn.Bilinear cannot be converted",
        "use the product of two dense layers, or one dense layer of both inputs in a row",
        "nn.Bilinear(a, b, c)(x, y)", "nn.Linear(a, c)(x) * nn.Linear(b, c)(y)",
    ),
    Rule(
        "transposed-dilation", "stops", find.dilated_transposed,
        "a transposed convolution with dilation cannot be converted",
        "use Upsample and Conv2d, or a larger kernel without dilation",
        "nn.ConvTranspose2d(c, d, 3, 2, dilation=2)",
        "nn.Upsample(scale_factor=2), nn.Conv2d(c, d, 3, padding=1)",
    ),
    Rule(
        "fractional-resize", "stops", find.fractional_resizes,
        "resizing {detail} picks other pixels in TFLite than in PyTorch",
        "use a whole scale_factor",
        "nn.Upsample(scale_factor=1.5)", "nn.Upsample(scale_factor=2)",
    ),
    Rule(
        "dilated-pool", "stops", find.dilated_pools,
        "a max pool with dilation cannot be converted",
        "use a dilated convolution, or MaxPool2d without dilation",
        "nn.MaxPool2d(2, 2, dilation=2)", "nn.MaxPool2d(2, 2)",
    ),
    Rule(
        "partial-pool", "stops", find.partial_pools,
        "an average pool that divides by another number than its window's size cannot be converted",
        "leave count_include_pad and divisor_override as they are",
        "nn.AvgPool2d(3, 2, padding=1, count_include_pad=False)", "nn.AvgPool2d(2)",
    ),
    Rule(
        "circular", "stops", find.circular_pads,
        "circular padding becomes SELECT, for which TFLite-Micro has no kernel",
        'use padding_mode="reflect" or zeros, or wrap the rows around in the task',
        'nn.Conv2d(c, d, 3, padding=1, padding_mode="circular")',
        "nn.Conv2d(c, d, 3, padding=1)",
    ),
    Rule(
        "one-output", "stops", find.other_outputs,
        "the model returns {detail}; it must return one tensor",
        "return the one that the device needs",
        "return a, b", "return a",
    ),
    Rule(
        "separate-pad", "costs", find.separate_pads,
        "{detail} needs an operator of its own that copies the whole input",
        "pad with nn.ZeroPad2d((0, 1, 0, 1)) and give the layer padding=0 (for odd inputs, "
        "padding=1 is right), or use kernel // 2 with stride 1",
        "nn.Conv2d(c, d, 3, stride=2, padding=1) on an even input",
        "nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(c, d, 3, stride=2)",
        AddedCost(1, 256, 640),
    ),
    Rule(
        "float-island", "costs",
        find.calls(
            "leaky_relu", "log_softmax", "abs", "exp", "log", "sin", "cos", "minimum", "amax",
            "amin", "cumsum", "flip", "softsign", "logsigmoid",
        ),
        "{detail} has no int8 kernel here: it runs in float, between two conversions",
        "use ReLU for leaky_relu, a mean for a maximum, and leave log_softmax to the loss",
        "nn.LeakyReLU(), x.amax(...), x.abs(), x.exp(), x.log()", "nn.ReLU(), x.mean(...)",
        AddedCost(3, 352, 3744),
    ),
    Rule(
        "odd-clamp", "costs", find.odd_clamps,
        "{detail} is no activation of TFLite's: it becomes two operators and two conversions",
        "use ReLU6, or bounds of -1 and 1, which cost nothing",
        "x.clamp(-2, 3)", "nn.ReLU6()",
        AddedCost(4, 592, 800),
    ),
    Rule(
        "norm", "costs",
        find.calls("layer_norm", "group_norm", "instance_norm", "rms_norm"),
        "{detail} measures every row anew, in many operators",
        "use a batch norm right behind the convolution or dense layer: nothing is left of it",
        "nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d", "nn.BatchNorm2d",
        AddedCost(13, 2240, 3616),
    ),
    Rule(
        "batch-norm", "costs", find.unfolded_norms,
        "this batch norm cannot become part of a layer, and stays an operator",
        "put it right behind a convolution or dense layer that nothing else reads, in front of "
        "the activation",
        "nn.Conv2d, nn.ReLU(), nn.BatchNorm2d", "nn.Conv2d, nn.BatchNorm2d, nn.ReLU()",
        AddedCost(1, 528, 304),
    ),
    Rule(
        "attention", "costs",
        find.calls("multi_head_attention_forward", "scaled_dot_product_attention"),
        "attention is many operators that turn axes around",
        "use convolutions along time, which see as far with a few layers",
        "nn.MultiheadAttention", "nn.Conv1d",
        AddedCost(25, 4384, 5776),
    ),
    Rule(
        "short-recurrent", "costs", find.recurrences(short=True),
        "a recurrent layer is unrolled: every operator of a step, {detail} times",
        "use Conv1d along time",
        "nn.GRU over 4 steps", "nn.Conv1d",
        AddedCost(78, 11952, 16096),
    ),
    Rule(
        "prelu", "costs", find.calls("prelu"),
        "PReLU becomes four operators",
        "use ReLU",
        "nn.PReLU()", "nn.ReLU()",
        AddedCost(4, 752, 1424),
    ),
    Rule(
        "transposed", "costs", find.calls("conv_transpose1d", "conv_transpose2d"),
        "a transposed convolution sums up in int32: four bytes of arena for every output",
        "use Upsample and Conv2d",
        "nn.ConvTranspose2d(c, d, 2, 2)",
        "nn.Upsample(scale_factor=2), nn.Conv2d(c, d, 3, padding=1)",
        AddedCost(-1, -336, 6592),
    ),
    Rule(
        "transposed-padding", "costs", find.cut_transposed,
        "a transposed convolution with {detail} is computed without, and then cut",
        "use Upsample and Conv2d, or padding with which the output is just stride times as large: "
        "kernel 4, stride 2, padding 1",
        "nn.ConvTranspose2d(c, d, 3, 2, padding=1, output_padding=1)",
        "nn.Upsample(scale_factor=2), nn.Conv2d(c, d, 3, padding=1)",
        AddedCost(1, 528, 8192),
    ),
    Rule(
        "series", "costs", find.series,
        "this 1-D convolution could not be made a 2-D one: code between the layers counts axes",
        "use modules between the layers: AdaptiveAvgPool1d(1) and Flatten for x.mean(-1)",
        "x.mean(-1) behind nn.Conv1d", "nn.AdaptiveAvgPool1d(1), nn.Flatten()",
        AddedCost(4, 864, 944),
    ),
    Rule(
        "shuffle", "costs", find.calls("channel_shuffle", "pixel_shuffle", "pixel_unshuffle"),
        "{detail} copies everything, several times",
        "use a convolution with stride 2 to make images smaller, Upsample to make them larger, "
        "and a 1x1 convolution to mix channels",
        "F.pixel_unshuffle(x, 2)", "nn.Conv2d(c, d, 2, stride=2)",
        AddedCost(7, 1456, 1616),
    ),
    Rule(
        "gate", "costs", find.gates,
        "one number a channel is given two more axes here, and the whole image is turned around "
        "to match",
        "write the dense layers of a squeeze-and-excite as 1x1 convolutions, without a flatten",
        "x * nn.Linear(c, c)(pool(x).flatten(1))[:, :, None, None]",
        "x * nn.Conv2d(c, c, 1)(pool(x))",
        AddedCost(2, 416, 464),
    ),
    Rule(
        "turned-input", "costs", find.turned_inputs,
        "the model turns its input around, and the exported file would turn it back",
        "give rows channels first in the task, and leave this out: the file is channels last",
        "x.permute(0, 3, 1, 2)", "x",
        AddedCost(1, 192, 208),
    ),
    Rule(
        "new-axis", "costs", find.new_axes,
        "the model gives its input another axis, which is a copy on the device",
        "give rows that axis in the task: x.reshape(-1, 1, height, width)",
        "x.unsqueeze(1)", "x",
        AddedCost(1, 272, 256),
    ),
    Rule(
        "argmax", "hint", find.last("argmax"),
        "the model's own argmax runs in float behind a conversion",
        "return the scores; the firmware takes the largest",
        "return x.argmax(1)", "return x",
        AddedCost(2, 336, 400),
    ),
    Rule(
        "final-softmax", "hint", find.last("softmax"),
        "the largest score is the same without this softmax",
        "return the scores: cross-entropy wants them too",
        "nn.Softmax(1) at the end", "nothing",
        AddedCost(1, 160, 224),
    ),
    Rule(
        "functional-weights", "hint", find.functional_weights,
        "pruning cannot see weights that {detail} uses outside their layer",
        "call the layer itself",
        "F.conv2d(x, self.conv.weight)", "self.conv(x)",
    ),
    Rule(
        "arena-peak", "hint", arena.peak,
        "this layer decides the arena: {detail}",
        "use stride 2 here, fewer channels, or smaller rows",
        "a wide first layer on whole images", "stride=2 in the first layer",
        AddedCost(1, -144, 15520),
    ),
)  # fmt: skip
