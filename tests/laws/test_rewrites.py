"""What the conversion rewrites before converting computes the same, whatever the network."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from frugalfl_server.export.cut_transposed import is_native
from frugalfl_server.export.to_float_tflite import prepare

LAYERS = st.lists(
    st.sampled_from(["conv", "wide", "bare", "depthwise", "norm", "relu", "pool", "dropout"]),
    min_size=1, max_size=8,
)  # fmt: skip
HEADS = st.sampled_from(["mean", "flatten", "norms", "shared"])


def layer(kind, axes, channels):
    convolution = nn.Conv2d if axes == 2 else nn.Conv1d
    return {
        "conv": lambda: convolution(channels, channels, 3, padding=1),
        "wide": lambda: convolution(channels, channels, 3, padding=2, dilation=2, bias=False),
        "bare": lambda: convolution(channels, channels, 1),
        "depthwise": lambda: convolution(channels, channels, 3, padding=1, groups=channels),
        "norm": lambda: nn.BatchNorm2d(channels) if axes == 2 else nn.BatchNorm1d(channels),
        "relu": lambda: nn.ReLU(inplace=True),
        "pool": lambda: nn.MaxPool2d(3, 1, 1) if axes == 2 else nn.AvgPool1d(3, 1, 1),
        "dropout": nn.Dropout,
    }[kind]()


class Net(nn.Module):
    """A stack of layers with a residual, and a head; sometimes one layer is used twice."""

    def __init__(self, kinds, head, axes):
        super().__init__()
        self.stem = layer("conv", axes, 4)
        self.body = nn.Sequential(*(layer(kind, axes, 4) for kind in kinds))
        self.head = head
        pool = nn.AdaptiveAvgPool2d(1) if axes == 2 else nn.AdaptiveAvgPool1d(1)
        features = 4 if head == "mean" else 4 * 6**axes
        self.tail = nn.Sequential(*([pool] if head == "mean" else []), nn.Flatten())
        norms = [nn.Linear(features, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.BatchNorm1d(5)]
        self.out = nn.Sequential(*(norms if head == "norms" else []), nn.LazyLinear(3))

    def forward(self, x):
        x = self.stem(x)
        y = self.body(self.stem(x) if self.head == "shared" else x)
        return self.out(self.tail(x + y))


def trained(net, shape):
    net(torch.rand(2, *shape))  # gives the lazy layer its shape
    for one in net.modules():
        if isinstance(one, nn.modules.batchnorm._BatchNorm):
            for values in (one.running_mean, one.running_var, one.weight, one.bias):
                nn.init.uniform_(values, 0.5, 1.5)
    return net.eval()


@settings(max_examples=60, deadline=None)
@given(kinds=LAYERS, head=HEADS, axes=st.sampled_from([1, 2]), seed=st.integers(0, 99))
def test_a_rewritten_network_computes_the_same(kinds, head, axes, seed):
    torch.manual_seed(seed)
    shape = (4, *(6,) * axes)
    net = trained(Net(kinds, head, axes), shape)
    prepared = prepare(net, shape)
    row = torch.randn(1, *shape)
    with torch.no_grad():
        expected = net(row)
        got = prepared.module(row if axes == 2 else row[..., None])
    assert (got - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))
    left = [one for one in prepared.module.modules() if isinstance(one, nn.BatchNorm2d)]
    assert left == []


def numbers(data, axes, low, high):
    return data.draw(st.tuples(*[st.integers(low, high)] * axes))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), axes=st.sampled_from([1, 2]), groups=st.sampled_from([1, 2, 4]))
def test_a_transposed_convolution_of_any_padding_has_one_that_tflite_knows(data, axes, groups):
    kernel, stride = numbers(data, axes, 2, 5), numbers(data, axes, 1, 3)
    padding = numbers(data, axes, 0, 2)
    back = tuple(data.draw(st.integers(0, one - 1)) for one in stride)
    kind = nn.ConvTranspose1d if axes == 1 else nn.ConvTranspose2d
    torch.manual_seed(0)
    layer = kind(4, 4, kernel, stride, padding, back, groups)
    shape = (4, *(6,) * axes)
    prepared = prepare(nn.Sequential(nn.ReLU(), layer), shape)
    row = torch.randn(1, *shape)
    with torch.no_grad():
        expected = layer(row.relu())
        got = prepared.module(row if prepared.example.ndim == row.ndim else row[..., None])
    assert (got.reshape(expected.shape) - expected).abs().max() <= 1e-5
    for one in prepared.module.modules():
        if isinstance(one, nn.ConvTranspose1d | nn.ConvTranspose2d):
            sizes = one.kernel_size, one.stride, one.padding, one.output_padding
            assert is_native(*sizes)
    assert (layer.padding, layer.output_padding) == (padding, back)  # the author's is left alone


@pytest.mark.parametrize("norm", ["orthogonal", "weight_norm", "spectral_norm"])
def test_computed_weights_are_written_out_in_a_copy(norm):
    layer = getattr(parametrizations, norm)(nn.Linear(6, 6))
    net = nn.Sequential(layer, nn.ReLU(), nn.Linear(6, 2)).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    prepared = prepare(net, (6,))
    row = torch.randn(1, 6)
    assert torch.allclose(prepared.module(row), net(row), atol=1e-6)
    assert list(prepared.module.state_dict()) == ["0.bias", "0.weight", "2.weight", "2.bias"]
    assert parametrize.is_parametrized(layer)
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())


class Upward(nn.Module):
    """A layer in two places, its size asked for and its weights read, as in a U-Net."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1)
        self.again = self.up

    def forward(self, x):
        y = self.up(x, output_size=[12, 12])
        return self.again(y, [23, 24]) + self.up.weight.mean() + self.up.bias.mean()


def test_a_cut_layer_is_called_and_read_as_the_one_before():
    torch.manual_seed(0)
    net, row = Upward().eval(), torch.randn(1, 4, 6, 6)
    prepared = prepare(net, (4, 6, 6))
    with torch.no_grad():
        assert (prepared.module(row) - net(row)).abs().max() <= 1e-5
    layers = [one for one in prepared.module.modules() if isinstance(one, nn.ConvTranspose2d)]
    assert [one.padding for one in layers] == [(0, 0)]
