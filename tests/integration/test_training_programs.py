"""Compiled training programs, run in LiteRT, against PyTorch."""

from __future__ import annotations

from importlib.metadata import version
from math import prod

import numpy as np
import pytest
import torch
from torch import nn
from zoo import NETS

from frugalfl.activation_ranges import ranges_of
from frugalfl.blocks import Layout
from frugalfl.errors import ExportError, TaskError
from frugalfl.flow import check_flow
from frugalfl.modules import read_parameters
from frugalfl.program import Program, from_bytes, to_bytes
from frugalfl.program_file import pack
from frugalfl.subspace import Subspace
from frugalfl_server import compiler
from frugalfl_server.compiler import Adam, Optimizer, Sgd
from frugalfl_server.compiler.reference import example_step
from frugalfl_server.compiler.runner import Runner

TOLERANCE = 1e-6


def compiled(
    module: nn.Module, shape, optimizer: Optimizer, *, loss="cross_entropy", target=(), last=0,
    batch=5, signatures=("train",), dimension=0,
) -> tuple[Program, compiler.Check]:  # fmt: skip
    """Compile and check; ``last``: train so many blocks only; ``dimension``: in a subspace."""
    parameters = read_parameters(module)
    layout = Layout.of(parameters)
    how = {
        "loss": loss,
        "optimizer": optimizer,
        "planned": layout.names(layout.everything[-last:]),
    }
    shapes = {name: parameters[name].shape for name in how["planned"]}
    program = compiler.trace_training(
        module, **how, batch=batch, input_shape=shape, target_shape=target, signatures=signatures,
        coordinates=Subspace(shapes, dimension, seed=1).counts if dimension else None,
    ).convert()  # fmt: skip
    if batch > 1:
        check_flow(program)  # whatever compiles is shown to give sums over its batches only
    return program, compiler.check_program(program, module, **how)


def of_zoo(name: str, optimizer: Optimizer, **options):
    net = NETS[name]
    torch.manual_seed(0)
    module, rows = net.task.new_model(), net.task.rows_of(0, 50)
    return compiled(
        module, rows.x.shape[1:], optimizer, loss=net.task.loss, target=rows.y.shape[1:], **options
    )


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))


@pytest.fixture(scope="module")
def whole() -> tuple[nn.Module, Program]:
    """Every signature of a small CNN with batch norm."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(4), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    module[1].running_mean.normal_()
    program, _ = compiled(module, (2, 8, 8), Sgd(0.0), signatures=compiler.SIGNATURES)
    return module, program


def inputs_of(program: Program, module: nn.Module, *names: str) -> dict[str, np.ndarray]:
    given = example_step(program, module, Sgd(), 3)
    return {n: v for n, v in given.items() if n in names or n.startswith("p")}


def test_predict_and_evaluate_are_the_model_in_evaluation_mode(whole) -> None:
    module, program = whole
    given = inputs_of(program, module, "x", "y", "w")
    outputs = Runner(program.model).run("predict", inputs_of(program, module, "x"))["outputs"]
    found = Runner(program.model).run("evaluate", given)
    rows = given["w"] > 0
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(given["x"]))
    y = torch.from_numpy(given["y"][rows]).long()
    assert outputs == pytest.approx(expected.numpy(), abs=1e-5)
    assert found["loss"] == pytest.approx(float(nn.functional.cross_entropy(expected[rows], y)))
    assert found["right"] == int((expected[rows].argmax(1) == y).sum())


def test_calibrate_records_what_pytorch_clients_record(whole) -> None:
    module, program = whole
    given = inputs_of(program, module, "x")
    found = Runner(program.model).run("calibrate", given)["ranges"]
    assert found == pytest.approx(ranges_of(module, given["x"]), abs=1e-5)


def test_a_program_survives_the_wire_and_trains(whole) -> None:
    module, program = whole
    arrived = from_bytes(to_bytes(program))
    given = inputs_of(arrived, module, "x", "y", "w") | {"learning_rate": np.float32(0.1)}
    runner, losses = Runner(arrived.model), []
    for _ in range(20):
        found = runner.run("train", given)
        losses.append(float(found.pop("loss")))
        given |= found
    assert losses[-1] < losses[0] / 4
    assert {f"p{i}" for i, tensor in enumerate(arrived.parameters) if tensor.changes} == set(found)


OPTIMIZERS = {
    "everything of SGD": Sgd(
        momentum=0.9, nesterov=True, weight_decay=0.01, clip_norm=0.1, proximal=True
    ),
    "AdamW, of three batches": Adam(weight_decay=0.01, decoupled=True, accumulate=3),
}


#: SHA-256 of their programs as they were before there were subspaces, by these versions.
DIGESTS = {
    "everything of SGD": "847cc9805902c374d15223be4a4850e0274fd721bc232c2319bb9bdd6cdf9d5f",
    "AdamW, of three batches": "97e0f54f24ccb3921e5e75ae04cd2cae1247a95fb0e68782decab0db98498a1a",
}
MADE_BY = {"litert-torch": "0.10.0", "torch": "2.13.0"}


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_one_step_is_pytorchs_and_programs_keep_their_bytes(name: str) -> None:
    program, check = compiled(mlp(), (6,), OPTIMIZERS[name])
    assert check.worst < TOLERANCE
    assert set(check.tensors) == set(read_parameters(mlp()))
    if all(version(package).startswith(made) for package, made in MADE_BY.items()):
        assert program.digest == DIGESTS[name]


def test_coordinates_are_one_to_all_entries_of_every_trained_tensor() -> None:
    how = {"loss": "cross_entropy", "optimizer": Sgd(), "planned": ["2.weight", "2.bias"]}
    for counts, says in (
        ({"2.weight": 33, "2.bias": 1}, "2.weight has 32 entries to train, .* 33 coordinates"),
        ({"2.weight": 5}, "2.bias has 4 entries to train, .* 0 coordinates .* give it 1 to 4"),
    ):
        with pytest.raises(ExportError, match=says):
            compiler.trace_training(
                mlp(), **how, batch=2, input_shape=(6,), coordinates=counts
            ).convert()


def test_steps_follow_each_other_as_pytorchs_do() -> None:
    module = mlp()
    program, _ = compiled(module, (6,), Adam(clip_norm=0.5))
    parameters = list(module.parameters())
    rule, runner = torch.optim.Adam(parameters, lr=0.01), Runner(program.model)
    given = example_step(program, module, Sgd(), 0) | {"learning_rate": np.float32(0.01)}
    for step in range(5):
        data = example_step(program, module, Sgd(), step)
        given |= {key: data[key] for key in ("x", "y", "w")}
        given |= {k: v for k, v in runner.run("train", given).items() if k != "loss"}
        rule.zero_grad()
        rows = data["w"] > 0
        y = torch.from_numpy(data["y"][rows]).long()
        nn.functional.cross_entropy(module(torch.from_numpy(data["x"][rows])), y).backward()
        nn.utils.clip_grad_norm_(parameters, 0.5)
        rule.step()
    for i, expected in enumerate(parameters):
        assert given[f"p{i}"] == pytest.approx(expected.detach().numpy(), abs=1e-5)


def test_a_head_only_program_is_small_and_moves_the_head_only() -> None:
    every, of_every = compiled(deep(), (2, 6, 6), Sgd())
    head, of_head = compiled(deep(), (2, 6, 6), Sgd(), last=1)
    assert set(of_head.tensors) == {"4.weight", "4.bias"} < set(of_every.tensors)
    operators = [len(compiler.micro_model(program).operators) for program in (head, every)]
    assert operators[0] < 0.6 * operators[1]
    assert len(head.model) < len(every.model)


def deep() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.Hardswish(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(16, 3)
    )


def test_dropout_masks_are_inputs() -> None:
    program, check = compiled(
        nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.25), nn.Linear(8, 4)), (6,), Sgd()
    )
    assert [(mask.shape, mask.drop) for mask in program.masks] == [((5, 8), 0.25)]
    assert check.worst < TOLERANCE


def test_a_program_of_other_weights_than_it_says_is_not_shipped() -> None:
    program, _ = compiled(mlp(), (6,), Sgd())
    with pytest.raises(ExportError, match="differs from PyTorch"):
        how = {"optimizer": Sgd(), "planned": list(read_parameters(mlp()))}
        compiler.check_program(program, mlp(), loss=nn.CrossEntropyLoss(label_smoothing=0.1), **how)


class Sign(torch.autograd.Function):
    """Written as PyTorch's older examples are: with everything in forward."""

    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Author(nn.Module):
    """A module with lines of its own."""

    def __init__(self, forward) -> None:
        super().__init__()
        self.inner, self.end, self.formula = nn.Linear(6, 6), nn.Linear(6, 4), forward

    def forward(self, x):
        return self.end(self.formula(self.inner(x)))


@pytest.mark.parametrize(
    ("formula", "operator", "instead"),
    [
        (lambda x: x.sort(1)[0], "sort", "amax"),
        (lambda x: x + torch.rand_like(x), "rand_like", "nn.Dropout"),
        (lambda x: x if x.sum() > 0 else -x, "local_scalar", "torch.where"),
        (lambda x: x / x.abs().max().item(), "local_scalar", "x.amax()"),
        (lambda x: nn.functional.embedding(x.argmax(1) * 0, x), "embedding", "nn.Linear"),
        (lambda x: x[:, [5, 4, 3, 2, 1, 0]], "index_put", "torch.cat"),
        (lambda x: torch.fft.rfft(x, 10).abs(), "complex", "real tensors"),
        (lambda x: x.double().float(), "float64", "float32"),
        (lambda x: -Sign.apply(x), "setup_context", "forward(x)"),
        (lambda x: x + torch.from_numpy(np.sin(x.detach().numpy())), "data pointer", "numpy"),
        (lambda x: x @ x, "shapes cannot be multiplied", "does not run on an input"),
    ],
)
def test_what_cannot_be_compiled_names_operator_line_and_remedy(
    formula, operator: str, instead: str
) -> None:
    line = formula.__code__.co_firstlineno
    with pytest.raises(ExportError) as caught:
        compiled(Author(formula), (6,), Sgd())
    message = str(caught.value)
    assert operator in message and instead in message and "\n" not in message
    assert f"test_training_programs.py:{line}" in message


def test_writing_to_a_slice_is_refused_by_the_name_of_its_line() -> None:
    def doubled(x):
        x = x.clone()
        x[:, 2:4] = 2 * x[:, 2:4]
        return x

    with pytest.raises(ExportError, match="torch.cat of the parts in place") as caught:
        compiled(Author(doubled), (6,), Sgd())
    line = doubled.__code__.co_firstlineno + 2
    assert f"test_training_programs.py:{line})" in str(caught.value)


@pytest.mark.slow
def test_recurrent_layers_are_unrolled() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.memory, self.end = nn.LSTM(3, 5, batch_first=True), nn.Linear(5, 4)

        def forward(self, x):
            return self.end(self.memory(x)[0][:, -1])

    _, check = compiled(Recurrent(), (4, 3), Sgd(momentum=0.9))
    assert check.worst < TOLERANCE


def test_a_dropout_without_masks_is_refused() -> None:
    with pytest.raises(ExportError, match=r"alpha_dropout cannot be compiled; write nn\.Dropout"):
        compiled(nn.Sequential(nn.Linear(6, 4), nn.AlphaDropout()), (6,), Sgd())


def test_a_loss_that_is_no_mean_over_rows_is_refused() -> None:
    with pytest.raises(ExportError, match="not a mean over the rows"):
        compiled(mlp(), (6,), Sgd(), loss=lambda outputs, _: outputs.std())


def test_a_plan_with_an_unknown_tensor_is_refused() -> None:
    with pytest.raises(TaskError, match=r"no tensor '9\.weight'"):
        compiler.trace_training(
            mlp(), loss="cross_entropy", optimizer=Sgd(), planned=["9.weight"], batch=2,
            input_shape=(6,),
        ).convert()  # fmt: skip


@pytest.mark.parametrize(("dimension", "state"), [(0, 2410), (100, 100)])
def test_tflite_micro_makes_the_same_step_bit_for_bit(dimension: int, state: int) -> None:
    program, check = of_zoo("mlp", Sgd(momentum=0.9), dimension=dimension)
    assert check.worst < TOLERANCE
    assert compiler.gaps(program) == ()
    assert sum(prod(one.shape) for one in program.state) == state
    assert len(pack(program)) < 3_000
    same_on_micro(program, NETS["mlp"])


def same_on_micro(program: Program, net) -> None:
    torch.manual_seed(0)
    given = example_step(program, net.task.new_model(), Sgd(), 0)
    given |= {"learning_rate": np.float32(0.1)}
    expected = Runner(program.model, "reference").run("train", given)
    step = compiler.run_micro_step(program, given)
    assert set(step.outputs) == set(expected)
    for name, value in expected.items():
        assert np.array_equal(step.outputs[name], value), name
    assert step.arena_bytes > len(program.parameters)


@pytest.mark.slow
def test_one_row_at_a_time_as_on_a_microcontroller() -> None:
    # With one row the converter merged a transposed reshape into a dense layer that then failed.
    program, check = of_zoo("ds-cnn", Sgd(), batch=1)
    assert check.worst < TOLERANCE
    same_on_micro(program, NETS["ds-cnn"])


@pytest.mark.slow
def test_a_head_only_program_of_a_cnn_runs_in_tflite_micro_bit_for_bit() -> None:
    program, _ = of_zoo("ds-cnn", Sgd(), last=1)
    assert compiler.gaps(program) == ()
    same_on_micro(program, NETS["ds-cnn"])


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 8])
def test_a_cnn_in_a_subspace_runs_in_tflite_micro(batch: int) -> None:
    program, check = of_zoo("ds-cnn", Sgd(momentum=0.9), batch=batch, dimension=256)
    assert check.worst < TOLERANCE
    assert compiler.gaps(program) == ()
    same_on_micro(program, NETS["ds-cnn"])


class Attending(nn.Module):
    """Attention over the steps of a row, as a transformer's block has it."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.norm, self.end = nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, x):
        return self.end(self.norm(x + self.attention(x, x, x, need_weights=False)[0]).mean(1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (Attending(), (5, 4)),
        (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Upsample(scale_factor=2),
                nn.Dropout2d(0.2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4),
            ),
            (2, 4, 4),
        ),
        (nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.ELU(), nn.Softplus()), (6,)),
    ],
)  # fmt: skip
def test_devices_take_what_compiles(module: nn.Module, shape) -> None:
    rule = Sgd(momentum=0.9, clip_norm=0.1)
    program, _ = compiled(module, shape, rule, signatures=compiler.SIGNATURES)
    assert program.batch > 1  # so that it was followed
