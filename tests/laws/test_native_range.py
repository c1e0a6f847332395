"""The native range coder and the Python one give the same bytes, symbols and refusals."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from symbol_matrices import extreme, matrices

from frugalfl.codec import entropy
from frugalfl.codec.entropy import SharedThresholds, coded_tensors
from frugalfl.errors import FrameError
from frugalfl.native import core, grid

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(core() is None, reason="the core is not compiled")
anyhow = settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
tensors = st.lists(st.one_of(matrices, extreme), max_size=5)
#: What stands for no thresholds, for a seed of them, and for words that nobody can draw.
KINDS = ("blind", "seeded", "words")


@pytest.fixture
def limits(monkeypatch):
    """Let frames of few nonzeros have lanes, some tensors dense and some not."""

    def choose(lanes: bool) -> None:
        monkeypatch.setattr(coded_tensors, "LANES_FROM", 0 if lanes else 1 << 30)
        monkeypatch.setattr(coded_tensors, "MAX_HITS", 30 if lanes else 1 << 15)
        monkeypatch.setattr(coded_tensors, "DENSE_FROM", 20)

    return choose


class Reference:
    """The readable Python, whatever is compiled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def __call__(self, function, *arguments):
        with self._patch.context() as patch:
            patch.setattr(coded_tensors, "core", lambda: None)
            return function(*arguments)


@pytest.fixture
def reference(monkeypatch):
    return Reference(monkeypatch)


def thresholds_of(kind: str, shapes, seed: int):
    if kind == "blind":
        return None
    if kind == "seeded":
        return SharedThresholds(shapes, seed)
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 1 << 32, shape, np.uint32) for shape in shapes]


def outcome(function, *arguments):
    """What a call gives; a refusal is a refusal, whatever it says."""
    try:
        return function(*arguments)
    except FrameError:
        return None


def assert_alike(one, other) -> None:
    assert (one is None) == (other is None)
    for a, b in zip(one or (), other or (), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(a, b)


@anyhow
@given(tensors, st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.booleans())
def test_same_bytes_and_symbols(reference, limits, qs, kind, seed, lanes):
    limits(lanes)
    shapes = [q.shape for q in qs]
    hints = thresholds_of(kind, shapes, seed)
    data = entropy.encode_tensors(qs, hints)
    assert data == reference(entropy.encode_tensors, qs, hints)
    for decode in (entropy.decode_tensors, entropy.decode_nonzeros):
        assert_alike(decode(data, shapes, hints), reference(decode, data, shapes, hints))


def damage(data: bytes, choose: random.Random) -> bytes:
    """Flip bits, cut, lengthen, or put noise in the place of what follows the flags."""
    copy = bytearray(data)
    for _ in range(choose.randrange(4)):
        copy[choose.randrange(len(copy))] ^= 1 << choose.randrange(8)
    if choose.random() < 0.2:
        del copy[choose.randrange(1, len(copy) + 1) :]
    if choose.random() < 0.2:
        copy += choose.randbytes(choose.randrange(9))
    if choose.random() < 0.2:
        copy[1:] = choose.randbytes(len(copy) - 1)
    return bytes(copy)


@anyhow
@given(
    st.lists(matrices, min_size=1, max_size=4),
    st.sampled_from(KINDS),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_damaged_frames_are_refused_or_decoded_alike(reference, limits, qs, kind, lanes, choose):
    limits(lanes)
    shapes = [q.shape for q in qs]
    hints = thresholds_of(kind, shapes, 5)
    data = entropy.encode_tensors(qs, hints)
    for _ in range(4 if data else 0):
        bad = damage(data, choose)
        for decode in (entropy.decode_tensors, entropy.decode_nonzeros):
            assert_alike(
                outcome(decode, bad, shapes, hints), outcome(reference, decode, bad, shapes, hints)
            )


@pytest.mark.parametrize("shape", [(1, 70_000), (3, 40_000), (40_000, 2), (1, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_long_rows_and_columns(reference, shape, kind):
    """Longer than a piece of a row, or as narrow as can be."""
    rng = np.random.default_rng(8)
    q = (rng.random(shape) < 0.004) * rng.integers(-3, 4, shape)
    q[0, 0] = -(2**31)
    hints = thresholds_of(kind, [shape], 3)
    data = entropy.encode_tensors([q], hints)
    assert data == reference(entropy.encode_tensors, [q], hints)
    np.testing.assert_array_equal(entropy.decode_tensors(data, [shape], hints)[0], q)


@pytest.mark.parametrize("machine", [None, 0], ids=["this processor", "any processor"])
@pytest.mark.parametrize("density", [0.0002, 0.003])
def test_large_tensors_without_thresholds(reference, monkeypatch, density, machine):
    """Large enough for the core to count bits in place of cells, with lines of all scales."""
    if machine is not None:
        monkeypatch.setattr(grid, "machine", lambda: machine)
    rng = np.random.default_rng(4)
    qs = []
    for shape in ((450, 300), (1, 300), (0, 7), (130, 129), (64, 1)):
        scale = rng.lognormal(0, 1.5, (shape[0], 1)) * rng.lognormal(0, 1.5, (1, shape[1]))
        qs.append((rng.random(shape) < density * scale) * rng.integers(-2, 3, shape))
    shapes = [q.shape for q in qs]
    data = entropy.encode_tensors(qs)
    assert not data[0] & coded_tensors.LANED
    assert data == reference(entropy.encode_tensors, qs)
    for decoded, q in zip(entropy.decode_tensors(data, shapes), qs, strict=True):
        np.testing.assert_array_equal(decoded, q)
    choose = random.Random(1)
    for _ in range(6):
        bad = damage(data, choose)
        decode = entropy.decode_nonzeros
        assert_alike(outcome(decode, bad, shapes), outcome(reference, decode, bad, shapes))


@pytest.mark.parametrize("hits", [32_767, 32_768])
def test_as_many_scattered_nonzeros_as_there_may_be(reference, hits):
    """One more than the first, and the frame has lanes though thresholds are shared."""
    shape = (300, 200)
    q: NDArray[np.int64] = np.zeros(shape, np.int64)
    q.flat[np.random.default_rng(2).permutation(q.size)[:hits]] = 1
    hints = thresholds_of("seeded", [shape], 1)
    data = entropy.encode_tensors([q], hints)
    assert bool(data[0] & coded_tensors.LANED) == (hits == 1 << 15)
    assert data == reference(entropy.encode_tensors, [q], hints)
    np.testing.assert_array_equal(entropy.decode_tensors(data, [shape], hints)[0], q)


def test_prepared_orders_are_bounded(reference, monkeypatch):
    """More shapes than fit: orders are dropped and made anew, and the bytes stay the same."""
    monkeypatch.setattr(grid, "ORDERS_BYTES", 200_000)
    for width in (*range(30, 60), *range(30, 60)):
        q = np.eye(100, width, dtype=np.int64)
        data = entropy.encode_tensors([q])
        assert data == reference(entropy.encode_tensors, [q])
        assert grid.kept_bytes() <= 200_000


def test_generated_tables_are_up_to_date():
    """The header is what the script makes of the Python tables."""
    script = _load(ROOT / "shared" / "core" / "tables.py")
    assert script.TARGET.read_text() == script.make_header()


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
