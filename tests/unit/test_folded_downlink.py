"""The way down in a subspace: whatever a client missed, it comes to hold the same bits."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl.blocks import Layout, snap
from frugalfl.codec import Fold, Limits, decode_frame, encode_fold, encode_frame, parse_codec
from frugalfl.codec.seeded import draw_again
from frugalfl.errors import FrameError, TaskError
from frugalfl.settings import Settings
from frugalfl.subspace import COORDINATES, MOST_FOLDS, STATISTICS, Subspace
from frugalfl_client.held import Held
from frugalfl_server.rounds.folded_downlink import FoldedDownlink
from frugalfl_server.run.checkpoint import write_checkpoint

RNG = np.random.default_rng(3)
START = {
    "0.weight": RNG.normal(0, 0.2, (16, 9)).astype(np.float32),
    "0.bias": np.zeros(16, np.float32),
    "1.running_mean": np.zeros(16, np.float32),
    "1.running_var": np.ones(16, np.float32),
    "2.weight": RNG.normal(0, 0.1, (10, 64)).astype(np.float32),
}
LAYOUT = Layout.of(START)
SETTINGS = Settings.of(refresh="subspace(48, fold 4)", seed=9)
PLAN = SETTINGS.wire.subspace


def begun(**about) -> FoldedDownlink:
    return FoldedDownlink(START, PLAN, SETTINGS.run.seed, **about)


def deliver(downlink: FoldedDownlink, node: int, held: Held) -> int:
    """Send a client what it lacks; return how many bytes that took."""
    base, bundle = downlink.bundles_for([node])[node]
    assert base in (-1, held.version)
    held.apply(bundle, LAYOUT, settings=SETTINGS)
    assert held.version == downlink.version
    downlink.confirm(node, held.version)
    return len(bundle)


def same_weights(downlink: FoldedDownlink, held: Held) -> bool:
    mine, theirs = held.weights(SETTINGS), downlink.whole(downlink.view)
    return all(mine[name].tobytes() == theirs[name].tobytes() for name in theirs)


def one_round(downlink: FoldedDownlink, moved, rng, size=0.05):
    """Begin a round with what the last one left; return what this one leaves."""
    moved = downlink.advance(moved)
    return {
        name: tensor + rng.normal(0, size, tensor.shape).astype(np.float32)
        for name, tensor in moved.items()
    }


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.sets(st.integers(0, 3)), min_size=1, max_size=24),
    st.integers(0, 2**16),
    st.booleans(),
)
def test_clients_hold_the_same_bits_whatever_rounds_they_missed(attended, seed, drawn) -> None:
    rng = np.random.default_rng(seed)
    model = draw_again(START, 5) if drawn else START
    downlink = FoldedDownlink(model, PLAN, SETTINGS.run.seed, seed=5 if drawn else None)
    clients, moved = [Held() for _ in range(4)], downlink.moved(downlink.base)
    for nodes in attended:
        moved = one_round(downlink, moved, rng)
        for node in nodes:
            deliver(downlink, node, clients[node])
            assert same_weights(downlink, clients[node])
    for node, held in enumerate(clients):
        deliver(downlink, node, held)
        assert same_weights(downlink, held)


@pytest.mark.parametrize("missed", [1, 5, 50])
def test_a_client_that_was_away_is_sent_little_more_than_a_state_for_each_fold(missed) -> None:
    rng, downlink = np.random.default_rng(0), begun()
    always, away, moved = Held(), Held(), downlink.moved(downlink.base)
    moved = one_round(downlink, moved, rng)
    deliver(downlink, 0, away)
    for _ in range(missed):
        moved = one_round(downlink, moved, rng)
        deliver(downlink, 1, always)
    sent = deliver(downlink, 0, away)
    assert same_weights(downlink, away)
    assert sent < (missed / 4 + 2) * 200


def test_weights_stay_on_the_lattice_and_a_lost_disk_costs_at_most_a_model() -> None:
    rng, downlink = np.random.default_rng(1), begun()
    held, moved = Held(), downlink.moved(downlink.base)
    for _ in range(400):
        moved = one_round(downlink, moved, rng, size=0.3)
        deliver(downlink, 0, held)
    weights = held.weights(SETTINGS)
    assert all(np.array_equal(snap(tensor), tensor) for tensor in weights.values())
    lost = Held()
    downlink.confirm(0, -1)
    entries = sum(tensor.size for tensor in START.values())
    assert deliver(downlink, 0, lost) < 3 * entries + 300
    assert same_weights(downlink, lost)


def test_a_tensor_that_no_training_moves_keeps_its_bits_whatever_the_rounding_brings() -> None:
    rng, downlink = np.random.default_rng(1), begun(constants=frozenset(["0.bias"]))
    held, moved = Held(), downlink.moved(downlink.base)
    for _ in range(9):
        moved = one_round(downlink, moved, rng, size=0.3)
        deliver(downlink, 0, held)
        assert not downlink.whole(moved)["0.bias"].any()
    weights = held.weights(SETTINGS)
    assert not weights["0.bias"].any()
    assert not np.array_equal(weights["0.weight"], START["0.weight"])


def test_a_bundle_of_empty_folds_changes_nothing_and_draws_no_signs(monkeypatch) -> None:
    held = Held()
    held.apply(begun().bundles_for([0])[0][1], LAYOUT, settings=SETTINGS)
    before, version = held.weights(SETTINGS), held.version
    monkeypatch.setattr(Subspace, "signs", lambda self, name: pytest.fail("signs are drawn"))
    folds = [Fold(version + i, version + i + 1, 7 * i) for i in range(1024)]
    held.apply(b"".join(map(encode_fold, folds)), LAYOUT, settings=SETTINGS)
    after = held.weights(SETTINGS)
    assert all(np.array_equal(after[name], before[name]) for name in before)
    one_more = b"".join(map(encode_fold, [*folds, folds[0]]))
    with pytest.raises(FrameError, match="more than 1024"):
        held.apply(one_more, LAYOUT, settings=SETTINGS)


def resealed(frame: bytes) -> bytes:
    """Return a frame with damage in its payload that its checksum does not show."""
    body = frame[:-5] + bytes([frame[-5] ^ 1])
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_what_does_not_fit_is_refused_before_it_is_decoded() -> None:
    held, long = Held(), {COORDINATES: np.arange(500, dtype=np.float32) % 7}
    held.apply(begun().bundles_for([0])[0][1], LAYOUT, settings=SETTINGS)
    frame, _ = encode_frame(
        parse_codec("dyadic | rans"), Layout.of(long), long, base=held.version, version=9
    )
    with pytest.raises(FrameError, match="symbols do not end"):
        decode_frame(resealed(frame), Limits.of(LAYOUT))
    with pytest.raises(FrameError, match="other shapes in the frame"):
        held.apply(resealed(frame), LAYOUT, settings=SETTINGS)
    elsewhere, _ = encode_frame(parse_codec("raw"), Layout.of(long), long, base=7, version=9)
    with pytest.raises(FrameError, match="leads on from version 7"):
        held.apply(resealed(elsewhere), LAYOUT, settings=SETTINGS)
    whole, _ = encode_frame(parse_codec("zstd"), Layout.of(long), long, base=None, version=1)
    with pytest.raises(FrameError, match="a full model has 3 blocks here"):
        held.apply(resealed(whole), LAYOUT, settings=SETTINGS)


def coordinates_and_folds(version: int, number: int) -> bytes:
    """Return that many frames of coordinates from a version on, each behind a fold."""
    ones = {name: tensor + 1 for name, tensor in PLAN.of_model(START, 9, 0).zeros().items()}
    bundle = b""
    for fold in range(number):
        frame, _ = encode_frame(
            parse_codec("dyadic | rans"), Layout.of(ones), ones, base=version + 1,
            version=version + 2,
        )  # fmt: skip
        bundle += encode_fold(Fold(version, version + 1, fold)) + frame
        version += 2
    return bundle


def test_more_folds_than_a_server_sends_are_refused_before_any_sign_is_drawn(monkeypatch) -> None:
    held = Held()
    held.apply(begun().bundles_for([0])[0][1], LAYOUT, settings=SETTINGS)
    bundle = coordinates_and_folds(held.version, MOST_FOLDS + 2)
    monkeypatch.setattr(Subspace, "signs", lambda self, name: pytest.fail("signs are drawn"))
    with pytest.raises(FrameError, match=f"{MOST_FOLDS + 1} folds with coordinates, above"):
        held.apply(bundle, LAYOUT, settings=SETTINGS)
    whole, _ = encode_frame(parse_codec("raw"), LAYOUT, START, base=None, version=1)
    with pytest.raises(FrameError, match="a whole model behind its beginning"):
        held.apply(whole + whole, LAYOUT, settings=SETTINGS)


def test_an_honest_server_sends_a_model_before_it_sends_too_many_folds() -> None:
    model = {"0.weight": np.random.default_rng(1).normal(0, 0.1, (64, 200)).astype(np.float32)}
    layout, settings = Layout.of(model), Settings.of(refresh="subspace(4, fold 1)", seed=3)
    rng, downlink = np.random.default_rng(0), FoldedDownlink(model, settings.wire.subspace, 3)
    early, newcomer, moved = Held(), Held(), downlink.moved(downlink.base)
    for number in range(520):
        moved = one_round(downlink, moved, rng)
        if number == 3:
            early.apply(downlink.bundles_for([0])[0][1], layout, settings=settings)
            downlink.confirm(0, early.version)
    for node, held in enumerate([early, newcomer]):
        held.apply(downlink.bundles_for([node])[node][1], layout, settings=settings)
        weights = held.weights(settings)
        assert np.array_equal(weights["0.weight"], downlink.whole(downlink.view)["0.weight"])


def test_a_checkpoint_grows_by_what_is_sent_of_old_folds_and_not_by_their_rounds(tmp_path) -> None:
    rng, sizes = np.random.default_rng(2), []
    plan = Settings.of(refresh="subspace(48, fold 12)").wire.subspace
    large = START | {"2.weight": np.zeros((100, 64), np.float32)}
    downlink = FoldedDownlink(large, plan, SETTINGS.run.seed)
    moved = downlink.moved(downlink.base)
    for number in range(1, 12 * 12 + 1):
        moved = one_round(downlink, moved, rng)
        if number in (6 * 12, 12 * 12):
            write_checkpoint(tmp_path / "resume.npz", downlink.state())
            sizes.append((tmp_path / "resume.npz").stat().st_size)
    assert not downlink._forgotten
    # Six folds, each with two entries of the archive; one more for each round would be five times that.
    assert sizes[1] - sizes[0] < 6 * 800


def test_one_who_left_within_an_old_fold_is_sent_its_end_and_within_a_new_one_what_it_missed() -> (
    None
):
    rng, downlink = np.random.default_rng(6), begun()
    clients = {version: Held() for version in range(16)}
    moved, reached = downlink.moved(downlink.base), {}
    for node, held in clients.items():
        moved = one_round(downlink, moved, rng)
        deliver(downlink, node, held)
        reached[node] = downlink.version
    for node, held in clients.items():
        sent = deliver(downlink, node, held)
        assert same_weights(downlink, held)
        later = [one for one in downlink._chapters if one.version > reached[node]]
        of_later = sum(one.length for one in later)
        if node < 3:  # its fold is over for long
            own = next(one for one in downlink._chapters if one.last >= reached[node])
            assert sent - of_later <= len(own.end)
        if node in (13, 14):
            assert sent <= sum(map(len, downlink._chapters[-1].frames[-2:])) + of_later


def test_the_number_of_a_fold_that_no_subspace_has_is_refused() -> None:
    held = Held()
    held.apply(begun().bundles_for([0])[0][1], LAYOUT, settings=SETTINGS)
    last = Fold(held.version, held.version + 1, 2**32 - 1)
    held.apply(encode_fold(last), LAYOUT, settings=SETTINGS)
    assert held.fold[0] == last.number
    beyond = Fold(held.version, held.version + 1, 2**32)
    with pytest.raises(FrameError, match="above its bound"):
        held.apply(encode_fold(beyond), LAYOUT, settings=SETTINGS)


def test_a_restored_way_down_goes_on_with_the_same_bytes() -> None:
    rng, downlink, held = np.random.default_rng(2), begun(), Held()
    moved = downlink.moved(downlink.base)
    for _ in range(6):
        moved = one_round(downlink, moved, rng)
        deliver(downlink, 0, held)
    other = begun()
    other.restore(downlink.state())
    for _ in range(6):
        step = {n: rng.normal(0, 0.1, t.shape).astype(np.float32) for n, t in moved.items()}
        moved = {name: tensor + step[name] for name, tensor in moved.items()}
        moved, same = downlink.advance(moved), other.advance(moved)
        assert all(np.array_equal(moved[name], same[name]) for name in moved)
        for nodes in ([0], [7]):
            assert downlink.bundles_for(nodes) == other.bundles_for(nodes)


def test_pruning_folds_and_goes_on_in_a_subspace_of_the_pruned_model() -> None:
    rng, downlink = np.random.default_rng(4), begun()
    present, away = Held(), Held()
    moved = one_round(downlink, downlink.moved(downlink.base), rng)
    deliver(downlink, 0, present)
    deliver(downlink, 1, away)
    moved = one_round(downlink, moved, rng)
    downlink.advance(moved)
    half = np.arange(0, 16, 2)
    kept = {
        "0.weight": (half, None), "0.bias": (half,), "1.running_mean": (half,),
        "1.running_var": (half,), "2.weight": (None, None),
    }  # fmt: skip
    downlink.prune(kept)
    moved = one_round(downlink, downlink.moved(downlink.base), rng)
    downlink.advance(moved)
    for node, held in enumerate([present, away, Held()]):
        deliver(downlink, node, held)
        assert same_weights(downlink, held)
        assert held.weights(SETTINGS)["0.weight"].shape == (8, 9)


def test_a_frame_for_another_subspace_or_a_fold_without_a_model_is_refused() -> None:
    rng, downlink, held = np.random.default_rng(5), begun(), Held()
    moved = one_round(downlink, downlink.moved(downlink.base), rng)
    deliver(downlink, 0, held)
    opening = downlink._chapters[0].opening
    with pytest.raises(FrameError, match="no model here"):
        Held(version=0).apply(opening, LAYOUT, settings=SETTINGS)
    other = Settings.of(refresh="subspace(40, fold 4)", seed=9)
    moved = one_round(downlink, moved, rng)
    _, bundle = downlink.bundles_for([0])[0]
    with pytest.raises(FrameError, match="shapes"):
        fresh = Held()
        fresh.apply(begun().bundles_for([0])[0][1], LAYOUT, settings=other)
        fresh.apply(downlink._chapters[0].frames[-1], LAYOUT, settings=other)
    with pytest.raises(FrameError, match="name none"):
        Held().apply(begun().bundles_for([0])[0][1], LAYOUT, settings=Settings())
    damaged = bytearray(bundle or opening)
    damaged[-1] ^= 1
    with pytest.raises(FrameError, match="damaged"):
        held.apply(bytes(damaged), LAYOUT, settings=SETTINGS)


def test_statistics_travel_beside_the_coordinates_and_are_not_folded_away() -> None:
    downlink, held = begun(), Held()
    moved = downlink.advance(downlink.moved(downlink.base))
    moved = {
        COORDINATES: moved[COORDINATES],
        STATISTICS: np.repeat(np.float32([0.5, 2.0]), 16),
    }
    for _ in range(6):
        moved = downlink.advance(moved)
    deliver(downlink, 0, held)
    weights = held.weights(SETTINGS)
    assert weights["1.running_mean"] == pytest.approx(0.5, abs=0.3)
    assert weights["1.running_var"] == pytest.approx(3.0, abs=0.6)


@pytest.mark.parametrize("value", [70_000.0, np.inf, np.nan])
def test_coordinates_that_no_frame_can_hold_are_refused_in_words(value) -> None:
    downlink = begun()
    moved = downlink.advance(downlink.moved(downlink.base))
    with pytest.raises(TaskError, match="lower the learning rate"):
        downlink.advance({name: tensor + np.float32(value) for name, tensor in moved.items()})
