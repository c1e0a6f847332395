"""The LiteRT trainer beside the PyTorch trainer: same rows, same seed, same update."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from attacking.device import on_programs

from frugalfl.blocks import Layout
from frugalfl.errors import ProgramError, TaskError
from frugalfl.form import Form
from frugalfl.kinds import kind_named
from frugalfl.modules import read_parameters
from frugalfl.optimizers import OPTIMIZERS
from frugalfl.program_file import digest_of, pack, unpack
from frugalfl.settings import Settings
from frugalfl.subspace import Subspace
from frugalfl.task import Examples, Task
from frugalfl_client.approvals import Approvals
from frugalfl_client.programs import Programs
from frugalfl_client.store import Store
from frugalfl_client.training.litert import LiteRTTrainer
from frugalfl_client.training.pytorch import TorchTrainer
from frugalfl_server.cohort.training_programs import SIGNATURES
from frugalfl_server.compiler import optimizer_of, trace_training

#: 3 rows are left over for the last batch.
BATCH, ROWS, CLASSES = 8, 27, 5
ANYTHING = Approvals(None)


def mlp():
    from torch import nn

    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, CLASSES))


def cnn():
    """Strides, groups, batch norm: what a ragged batch must not disturb."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 8, 3, padding=1, groups=4), nn.ReLU(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8 * 4, CLASSES),
    )  # fmt: skip


def rows_for(shape, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, *shape)).astype(np.float32)
    return Examples(x, rng.integers(0, CLASSES, ROWS))


class Pair:
    """Both trainers of one model, one plan and one set of constants."""

    def __init__(
        self, model, shape, planned=None, momentum=0.9, proximal=False,
        signatures=("train",), dimension=0, **settings,
    ):  # fmt: skip
        self.settings = Settings.of(
            local_epochs=2, batch_size=BATCH, momentum=momentum, prune=0.0, **settings
        )
        self.rows = rows_for(shape)
        torch.manual_seed(3)
        module = model()
        self.parameters = read_parameters(module)
        layout = Layout.of(self.parameters)
        self.planned = layout.everything if planned is None else planned
        task = Task("t", model=model, client_data=lambda *_: self.rows, public_data=lambda: None)
        names = layout.names(self.planned)
        shapes = {name: self.parameters[name].shape for name in names}
        self.subspace = Subspace(shapes, dimension, seed=11) if dimension else None
        self.program = trace_training(
            module, loss="cross_entropy", optimizer=optimizer_of(self.settings.train.local_optimizer, proximal),
            planned=names, batch=BATCH, input_shape=shape, signatures=signatures,
            coordinates=self.subspace.counts if self.subspace else None,
        ).convert()  # fmt: skip
        self.torch = TorchTrainer(task, self.settings)
        self.litert = LiteRTTrainer(self.program, self.settings)

    def train(self, trainer, rate=0.05, seed=(1, 2), **options):
        options = {"subspace": self.subspace} | options
        return trainer.train(self.parameters, self.planned, self.rows, rate, seed, **options)


@pytest.fixture(scope="module")
def net():
    return Pair(cnn, (1, 8, 8), signatures=SIGNATURES)


def assert_same(pair, **options):
    by_torch, by_litert = (pair.train(one, **options) for one in (pair.torch, pair.litert))
    assert list(by_litert.update) == list(by_torch.update)
    for name, step in by_torch.update.items():
        np.testing.assert_allclose(by_litert.update[name], step, rtol=0, atol=1e-5, err_msg=name)
    assert by_litert.loss == pytest.approx(by_torch.loss, abs=1e-5)
    return by_litert


def test_after_local_epochs_both_have_the_same_update(net):
    first = assert_same(net)
    assert "1.running_mean" in first.update
    # The next client trains in the same buffers: nothing of the last one is left in them.
    assert_same(net, seed=(7, 7), rate=0.01)
    again = net.train(net.litert)
    assert all(np.array_equal(again.update[name], step) for name, step in first.update.items())


@pytest.mark.parametrize(
    "pair",
    [
        lambda: Pair(mlp, (12,), momentum=0.0),
        lambda: Pair(cnn, (1, 8, 8), planned=(3,)),
        lambda: Pair(cnn, (1, 8, 8), planned=(1, 2)),
    ],
    ids=["plain SGD", "the head alone", "two blocks, a batch norm in them"],
)
def test_other_rules_and_plans(pair):
    assert_same(pair())


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(name, marks=() if name in ("nesterov", "adamw") else pytest.mark.slow)
        for name in OPTIMIZERS  # each is compiled, which takes seconds
    ],
)
def test_every_optimizer_has_one_update_with_decay_and_clipping_on_both_kinds_of_client(optimizer):
    pair = Pair(mlp, (12,), optimizer=optimizer, weight_decay=0.02, clip_norm=0.5)
    rate = 0.005 if optimizer.startswith("adam") else 0.1
    found = assert_same(pair, rate=rate)
    assert_same(pair, rate=rate, seed=(4, 4))  # nothing is left over of the last state
    for without in ({"clip_norm": 0.0}, {"weight_decay": 1e-9}):
        plain = TorchTrainer(pair.torch._task, pair.settings.changed(**without))
        others = pair.train(plain, rate=rate).update
        assert max(np.abs(others[name] - step).max() for name, step in found.update.items()) > 1e-4


@pytest.fixture(scope="module")
def folded():
    """Trains in a subspace; convolutions are among the slow tests, as they take longer to compile."""

    def normed():
        return torch.nn.Sequential(
            torch.nn.Linear(12, 16), torch.nn.BatchNorm1d(16), torch.nn.Tanh(),
            torch.nn.Linear(16, CLASSES),
        )  # fmt: skip

    return Pair(normed, (12,), dimension=40, proximal=True, weight_decay=0.02, clip_norm=0.5)


def test_in_a_subspace_both_have_the_same_update_fold_after_fold(folded):
    first = assert_same(folded, proximal_mu=0.5)
    space = folded.subspace
    assert "1.running_mean" in first.update
    nearest = space.expand(space.reduce(first.update))
    for name, step in first.update.items():
        np.testing.assert_allclose(nearest[name], step, rtol=0, atol=1e-6, err_msg=name)
        assert np.abs(step).max() > 1e-4
    second = assert_same(folded, proximal_mu=0.5, subspace=replace(space, fold=space.fold + 1))
    assert not np.allclose(second.update["3.weight"], first.update["3.weight"], atol=1e-4)
    again = folded.train(folded.litert, proximal_mu=0.5)
    assert all(np.array_equal(again.update[name], step) for name, step in first.update.items())


def test_signs_are_drawn_once_a_fold(folded, monkeypatch):
    drawn, draw = [], Subspace.signs
    monkeypatch.setattr(
        Subspace, "signs", lambda self, name: drawn.append(name) or draw(self, name)
    )
    fold = replace(folded.subspace, fold=7)
    for _ in range(2):
        folded.train(folded.litert, subspace=replace(fold))
    assert drawn == list(fold.counts)
    kept = replace(fold, fold=8).keeping_signs()
    folded.train(folded.litert, subspace=kept)
    there = weakref.ref(kept)
    del kept
    gc.collect()
    assert there() is None  # a program has its own copy: nobody else keeps what was drawn


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_moves_coordinates_alike_on_both_kinds_of_client(optimizer):
    pair = Pair(mlp, (12,), dimension=30, optimizer=optimizer, weight_decay=0.02, clip_norm=0.5)
    found = assert_same(pair, rate=0.005 if optimizer.startswith("adam") else 0.1)
    assert max(np.abs(step).max() for step in found.update.values()) > 1e-3


def test_a_program_for_another_subspace_is_refused(net, folded):
    space = folded.subspace
    with pytest.raises(ProgramError, match="trains within a subspace, this round without one"):
        folded.train(folded.litert, subspace=None)
    with pytest.raises(ProgramError, match="every weight by itself, this round within a subspace"):
        net.train(net.litert, subspace=space)
    with pytest.raises(ProgramError, match=r"has \d+ coordinates for .* the subspace here \d+ for"):
        folded.train(folded.litert, subspace=replace(space, dimension=60))
    fewer = {name: shape for name, shape in space.shapes.items() if name != "0.weight"}
    with pytest.raises(ProgramError, match=r"for '0\.weight' .* the subspace here 0 for None"):
        folded.train(folded.litert, subspace=Subspace(fewer, 40, 11))
    other = tuple(count + 1 for count in folded.program.coordinates)
    with pytest.raises(ProgramError, match=r"takes q0 as \(.*\), its description says \("):
        LiteRTTrainer(replace(folded.program, coordinates=other), folded.settings)


@pytest.mark.parametrize(
    ("described", "name"), [({"coordinates": ()}, "q0"), ({"proximal": False}, "g0")]
)
def test_what_a_program_takes_and_nothing_would_fill_is_refused(folded, described, name):
    """What was in that memory before could be rows, and would leave the device as a weight."""
    with pytest.raises(ProgramError, match=f"takes {name}, which its description does not have"):
        LiteRTTrainer(replace(folded.program, **described), folded.settings)


def nested():
    """A batch norm between two others, inside of a block that has a tensor of its own."""
    from torch import nn

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.full((4, 1, 1), 1.5))
            self.mix, self.norm = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4)

        def forward(self, x):
            return self.norm(self.mix(x)) * self.scale

    def normed(inputs):
        return [nn.Conv2d(inputs, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()]

    return nn.Sequential(
        *normed(1),
        Scaled(),
        *normed(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, CLASSES),
    )


def test_frozen_batch_norms_keep_their_statistics_and_trained_ones_inside_frozen_blocks_do_not():
    blocks = ["0", "1", "3", "3.mix", "3.norm", "4", "5", "9"]
    pair = Pair(nested, (1, 8, 8), planned=(blocks.index("3.norm"), blocks.index("9")))
    assert [block.name for block in pair.litert.layout.blocks] == blocks
    update = assert_same(pair).update
    assert np.abs(update["3.norm.running_mean"]).max() > 0.01
    changing = {one.name for one in pair.program.parameters if one.changes}
    assert changing == set(update)
    module = pair.torch._module.state_dict()
    assert all(
        np.array_equal(module[name], pair.parameters[name]) == (name not in update)
        for name in pair.parameters
    )


def test_a_last_batch_of_one_row():
    pair = Pair(cnn, (1, 8, 8))
    pair.rows = Examples(pair.rows.x[: 2 * BATCH + 1], pair.rows.y[: 2 * BATCH + 1])
    assert_same(pair)


def test_the_proximal_term():
    pair = Pair(cnn, (1, 8, 8), proximal=True)
    assert_same(pair, proximal_mu=0.0)
    near = assert_same(pair, proximal_mu=2.0)
    far = pair.train(pair.litert)
    assert np.abs(near.update["7.weight"]).sum() < np.abs(far.update["7.weight"]).sum()


def test_ranges_and_right_answers(net):
    for percentile in (100.0, 90.0):
        by_torch, by_litert = (
            one.calibrate(net.parameters, net.rows, percentile) for one in (net.torch, net.litert)
        )
        np.testing.assert_allclose(by_litert, by_torch, rtol=1e-5, atol=1e-5)
    other = rows_for((1, 8, 8), seed=5)
    by_torch, by_litert = (
        one.measure(net.parameters, other).right for one in (net.torch, net.litert)
    )
    assert by_litert == by_torch > 0


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: replace(rows, x=rows.x[..., :7]),
        lambda rows: replace(rows, y=rows.y + 1),
        lambda rows: replace(rows, y=rows.y - 1),
        lambda rows: replace(rows, y=rows.y[:, None]),
        lambda rows: replace(rows, y=rows.y.astype(np.float32)),
        lambda rows: Examples(rows.x[:1], rows.y[:1]),
        lambda rows: rows,
    ],
    ids=["shape", "class 5", "class -1", "(n, 1)", "values", "one row", "right"],
)
def test_both_say_the_same_of_rows(net, change):
    form = Form("classification", (1, 8, 8), (), fewest=2)
    said = [_verdict(form, net, trainer, change(net.rows)) for trainer in (net.torch, net.litert)]
    assert said[0] == said[1]
    assert ("client 1 of 3" in said[0]) == (change(net.rows) is not net.rows)


def _verdict(form, net, trainer, rows):
    whose = "client 1 of 3"
    try:
        kind = kind_named(form.kind)
        trainer.check_rows(net.parameters, form.fit(rows, whose), whose, kind)
    except TaskError as error:
        return str(error)
    return ""


def test_a_request_may_ask_for_fewer_epochs_than_the_settings(net):
    few = assert_same(net, epochs=1)
    assert few.loss > net.train(net.litert).loss
    assert net.train(net.litert, epochs=2).loss == net.train(net.litert).loss


def test_dropout_masks_are_drawn_from_the_seed():
    from torch import nn

    pair = Pair(lambda: nn.Sequential(nn.Linear(12, 16), nn.Dropout(0.5), nn.Linear(16, 5)), (12,))
    one, same, other = (pair.train(pair.litert, seed=seed).loss for seed in ((1,), (1,), (2,)))
    assert one == same != other


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: replace(rows, x=rows.x[..., :7]), r"rows have shape \(1, 8, 7\), .* \(1, 8, 8\)"),
        (lambda rows: replace(rows, y=rows.y + 1), "classes go from 1 to 5, the model has 0 to 4"),
        (lambda rows: replace(rows, y=rows.y.astype(np.float32)), "targets are float32"),
        (lambda rows: replace(rows, y=rows.y[:, None]), r"targets have shape \(1,\)"),
    ],
    ids=["pixels", "a class more", "values", "an axis more"],
)  # fmt: skip
def test_rows_that_do_not_fit_the_program_are_refused(net, change, says):
    with pytest.raises(ProgramError, match=says):
        net.litert.train(net.parameters, net.planned, change(net.rows), 0.1, (1,))


def test_a_program_for_something_else_is_refused(net):
    other = {name: array[..., :1] for name, array in net.parameters.items()}
    with pytest.raises(ProgramError, match=r"has '.*' as \(.*\), the model here as \("):
        net.litert.train(other, net.planned, net.rows, 0.1, (1,))
    with pytest.raises(ProgramError, match=r"trains blocks \[0, 1, 2, 3\], .* names \[3\]"):
        net.litert.train(net.parameters, (3,), net.rows, 0.1, (1,))
    with pytest.raises(ProgramError, match="no proximal term"):
        net.train(net.litert, proximal_mu=0.1)
    with pytest.raises(ProgramError, match="batches of 8 rows, batch-size is 16"):
        LiteRTTrainer(net.program, Settings.of(batch_size=16))


def test_a_description_that_does_not_fit_its_file_is_refused(net):
    wrong = replace(net.program, input_shape=(1, 8, 9))
    with pytest.raises(ProgramError, match=r"takes x as \(8, 1, 8, 8\), .* says \(8, 1, 8, 9\)"):
        LiteRTTrainer(wrong, net.settings)
    with pytest.raises(ProgramError, match="does not run here"):
        LiteRTTrainer(replace(net.program, model=b"no model" * 9), net.settings)


def test_a_loss_that_is_not_finite_is_named(net):
    with pytest.raises(TaskError, match="the training loss is nan; lower learning-rate"):
        net.train(net.litert, rate=1e30)


def test_a_device_keeps_what_it_was_sent_and_trusts_only_the_digest(net, tmp_path):
    file = pack(net.program)
    digest = digest_of(file)
    assert unpack(file, digest) == net.program
    store, programs = Store(tmp_path / "store.sqlite"), Programs()
    assert programs.trainer(digest, b"", store, net.settings, ANYTHING) is None
    for wrong in (file[:-1], file[:99] + b"?" + file[100:]):
        with pytest.raises(ProgramError, match="truncated or altered"):
            programs.trainer(digest, wrong, store, net.settings, ANYTHING)
    assert store.programs() == ()
    sent = programs.trainer(digest, file, store, net.settings, ANYTHING)
    assert programs.trainer(digest, b"", store, net.settings, ANYTHING) is sent
    # After a restart it is read from the disk; if that altered it, it is asked for again.
    assert Programs().trainer(digest, b"", store, net.settings, ANYTHING) is not None
    store.keep_program(digest, file[:-1])
    assert Programs().trainer(digest, b"", store, net.settings, ANYTHING) is None
    assert store.programs() == ()


def test_an_altered_program_is_refused(net, tmp_path):
    for outcome in on_programs(tmp_path, net.program):
        assert outcome.refused, outcome
        assert outcome.run_went_on
        assert "frugalfl accept" in outcome.line


def test_a_packed_program_claims_no_more_than_is_read(net):
    import zstandard

    huge = zstandard.ZstdCompressor().compress(bytes(1 << 20))
    with pytest.raises(ProgramError):
        unpack(huge, digest_of(huge))
    endless = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(99))
    with pytest.raises(ProgramError, match="at most"):
        unpack(endless, digest_of(endless))


def test_the_disk_keeps_the_programs_that_were_used_last(tmp_path, monkeypatch):
    monkeypatch.setattr("frugalfl_client.kept_programs.KEPT_PROGRAM_BYTES", 250)
    store = Store(tmp_path / "store.sqlite")
    for digest in ("a", "b"):
        store.keep_program(digest, bytes(100))
    assert store.program("a") == bytes(100)
    store.keep_program("c", bytes(100))
    assert store.programs() == ("c", "a")
    store.keep_program("d", bytes(1000))  # larger than all that is kept: alone
    assert store.programs() == ("d",)
    store.close()
    assert Store(tmp_path / "store.sqlite").program("d") == bytes(1000)
