"""The lean node's rhythm, its outbox, and the apps that it unpacks."""

import hashlib
import io
import random
import zipfile
from types import SimpleNamespace

import pytest
from attacking.zips import CODE, honest
from hypothesis import given
from hypothesis import strategies as st

from frugalfl.errors import RunError, UsageError
from frugalfl_client.node.app_error import AppError
from frugalfl_client.node.apps import Apps
from frugalfl_client.node.channel import Address
from frugalfl_client.node.flower import Bundle, Parcel, settings_of
from frugalfl_client.node.home import Home
from frugalfl_client.node.keys import own_key, read_key
from frugalfl_client.node.outbox import Outbox
from frugalfl_client.node.pace import Pace, back_off
from frugalfl_client.node.trust import Trust
from frugalfl_client.pins import Pins

#: How far the node's clock is off the server's in these tests (s); it must not matter.
OFF = 1e6


def questions_in(pause, pace, run=1, now=0.0):
    """Let a message be there ``pause`` seconds after an answer; return questions, and lateness."""
    pace.answered(now, float(int(now + OFF)))
    begin, asked = now, 0
    now += pace.first_wait()
    while True:
        asked += 1
        if now >= begin + pause:
            pace.message(now, run, begin + pause + OFF)
            return asked, now - begin - pause, now
        now += pace.wait(now)


#: What a pace promises, it promises on the whole: waits are spread by chance.
SEEDS = range(20)


@given(st.floats(4.0, 40.0), st.floats(0, 0.1))
def test_steady_rounds_cost_one_question_mostly_and_little_time(pause, spread):
    asked, late, count = 0, 0.0, 0
    for seed in SEEDS:
        random.seed(seed)
        pace, now = Pace(0.25, 60.0, 0.0), 0.0
        for number in range(16):
            this = random.gauss(pause, spread * pause)
            questions, lateness, now = questions_in(this, pace, now=now)
            if number >= 4:
                asked, late, count = asked + questions, late + lateness, count + 1
    assert asked / count <= 1.8
    assert late / count <= 0.25 * pause + 1  # the server's clock is read to the second


def rounds_beside(others, work, pace, joined):
    """Let a node take part in rounds that last as long as the ``others`` take, or as it does.

    Yield the questions of each round that found nothing, and how late the message was taken.
    """
    made, ask = 0.0, joined
    for length in others:
        asked = 0
        while ask < made:
            asked += 1
            ask += pace.wait(ask)
        pace.message(ask, 1, made + OFF)
        yield asked, ask - made
        done = ask + work
        pace.answered(done, float(int(done + OFF)))
        ask = done + pace.first_wait()
        made = max(made + length, done) + 0.5


@given(st.floats(5.0, 40.0), st.floats(0, 0.1), st.floats(0, 72.0), st.integers(0, 2**32))
def test_rounds_of_slower_devices_are_foreseen(length, spread, joined, seed):
    random.seed(seed)
    others = [length * random.gauss(1, spread) for _ in range(40)]
    seen = list(rounds_beside(others, 0.2, Pace(0.25, 72.0, 0.0), joined))[4:]
    assert sum(asked for asked, _ in seen) / len(seen) <= 1.0
    assert sum(late for _, late in seen) / len(seen) <= 0.25 * length + 1


@given(st.floats(5.0, 20.0), st.floats(60.0, 600.0))
def test_one_long_round_does_not_slow_down_those_after_it(length, long):
    """The node is late for one of them, the others are done by then, the next pause is short."""
    others = [length] * 4 + [long] + [length] * 6
    asked, late, count = 0, 0.0, 0
    for seed in SEEDS:
        random.seed(seed)
        seen = list(rounds_beside(others, 0.2, Pace(0.25, 72.0, 0.0), 0.0))[6:]
        asked, count = asked + sum(found for found, _ in seen), count + len(seen)
        late += sum(lateness for _, lateness in seen)
    assert asked / count <= 1.2
    assert late / count <= 0.25 * length + 1


@given(st.floats(0.1, 1.0), st.integers(0, 2**32))
def test_quick_rounds_stay_quick_after_one_that_ran_into_its_deadline(length, seed):
    random.seed(seed)
    others = [length] * 4 + [30.0] + [length] * 6
    late = [late for _, late in rounds_beside(others, 0.2, Pace(0.25, 72.0, 0.0), 0.0)]
    assert max(late[6:]) <= 2


@given(st.floats(1.0, 4.0), st.integers(3, 6), st.integers(0, 2**32))
def test_rounds_are_quick_again_once_a_device_that_slept_through_many_wakes(length, slept, seed):
    random.seed(seed)
    others = [length] * 4 + [15.0] * slept + [length] * 4
    late = [late for _, late in rounds_beside(others, 0.2, Pace(0.25, 72.0, 0.0), 0.0)]
    assert max(late[5 + slept :]) <= 0.5 * length + 2.5  # 13 s, where only three are remembered


@given(st.floats(20.0, 60.0), st.integers(0, 2**32))
def test_a_node_that_the_others_wait_for_is_late_once(length, seed):
    random.seed(seed)
    others = [length] * 5 + [0.1] * 5
    late = [late for _, late in rounds_beside(others, 0.2, Pace(0.25, 72.0, 0.0), 0.0)]
    assert max(late[7:]) <= 2.5


@given(st.floats(4.0, 40.0), st.floats(0.3, 3.0), st.integers(0, 2**32))
def test_a_new_rhythm_is_learnt(pause, change, seed):
    random.seed(seed)
    pace, now = Pace(0.25, 200.0, 0.0), 0.0
    for _ in range(10):
        *_, now = questions_in(pause, pace, now=now)
    for _ in range(10):
        *_, late, now = questions_in(change * pause, pace, now=now)
    assert late <= 0.6 * change * pause + 1


@given(st.floats(0.05, 5.0), st.floats(5.0, 600.0), st.integers(0, 2**32))
def test_no_wait_is_longer_than_the_longest(quick, idle, seed):
    random.seed(seed)
    pace, now = Pace(quick, idle, 0.0), 0.0
    for _ in range(60):
        wait = pace.wait(now)
        assert 0.9 * min(quick, idle) <= wait <= 1.1 * idle
        now += wait
    assert pace.wait(now + 10 * idle) >= 0.9 * idle


def test_a_new_run_begins_with_quick_questions():
    pace = Pace(0.25, 60.0, 0.0)
    _, _, now = questions_in(300.0, pace, run=1)
    pace.answered(now, None)
    assert pace.first_wait() < 0.3
    _, _, now = questions_in(30.0, pace, run=1, now=now)
    assert pace.first_wait() > 10
    pace.message(now, 2, now)
    pace.answered(now, None)
    assert pace.first_wait() < 0.3


@given(st.floats(5.0, 20.0), st.integers(0, 2**32))
def test_who_is_asked_in_some_rounds_only_is_ready_for_the_next_one(length, seed):
    random.seed(seed)
    missed = (0, 0, 3, 0, 2, 0, 0, 4, 0)
    others = [(1 + number) * length for number in missed]
    seen = list(rounds_beside(others, 0.2, Pace(0.25, 72.0, 0.0), 0.0))
    late = [late for (_, late), number in zip(seen[1:], missed, strict=False) if not number]
    assert max(late[1:]) <= 0.5 * length + 1  # the first pause of a run cannot be foreseen


@given(st.floats(5.0, 40.0), st.floats(0.0, 0.9), st.integers(0, 2**32))
def test_a_node_whose_line_is_back_asks_at_once_and_keeps_its_rhythm(pause, share, seed):
    random.seed(seed)
    pace, now = Pace(0.25, 72.0, 0.0), 0.0
    for _ in range(4):
        *_, now = questions_in(pause, pace, now=now)
    pace.answered(now, now + OFF)
    now += share * pause
    pace.connected_again(now)
    assert pace.wait(now) < 0.3
    pace.message(now + 2, 1, now + 2 + OFF)
    assert pace.first_wait() >= 0.8 * pause


@given(st.integers(1, 10_000))
def test_the_back_off_is_bounded(attempt):
    assert 0.25 <= back_off(attempt, 60.0) <= 60.0


def parcel(**changes):
    about = dict(
        node=7, run=9, answers="m", expires=1e9, seconds=0.5, message=b"message", tree=b"tree",
        objects={"a": b"", "b": b"\x00\n" * 40},
    )  # fmt: skip
    return Parcel(**(about | changes))


def test_an_answer_outlives_the_process(tmp_path):
    first = Outbox(tmp_path)
    first.put(parcel())
    first.put(parcel(answers="n", node=8))
    again = Outbox(tmp_path)
    assert {again.first().answers, len(again)} >= {2}
    seen = []
    while again:
        seen.append(again.first())
        again.drop()
    assert sorted(seen, key=lambda one: one.node) == [parcel(), parcel(answers="n", node=8)]
    assert len(Outbox(tmp_path)) == 0


def test_a_better_answer_takes_the_place_of_the_one_kept_in_case(tmp_path):
    box = Outbox(tmp_path)
    box.put_in_case(parcel(message=b"killed"))
    assert len(box) == 0
    assert Outbox(tmp_path).first().message == b"killed"
    box.put(parcel(message=b"trained"))
    assert Outbox(tmp_path).first().message == b"trained"
    assert len(Outbox(tmp_path)) == 1


@given(st.data())
def test_a_damaged_answer_is_dropped(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("outbox")
    Outbox(folder).put(parcel())
    (path,) = folder.glob("*.reply")
    whole = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    path.write_bytes(whole)
    assert len(Outbox(folder)) == 0


def bundle(version="1.0", more=()):
    """Return a bundle whose client app knows its version."""
    return honest(f"{CODE}client.version = {version!r}\n", more, version)


def run_of(data, version="1.0"):
    digest = hashlib.sha256(data).hexdigest()
    return SimpleNamespace(fab_hash=digest, fab_id="me/mine", fab_version=version)


def trusting(tmp_path, *bundles):
    """Trust these; with none, the first that comes."""
    hashes = frozenset(hashlib.sha256(data).hexdigest() for data in bundles)
    return Trust("here:1", Pins(tmp_path), hashes)


@pytest.fixture
def apps(tmp_path):
    trust = trusting(tmp_path, bundle(), bundle("2.0"), bundle(more=[("../../outside.py", "x")]))
    apps = Apps(tmp_path / "apps", trust)
    yield apps
    apps._unload()


def test_an_app_is_fetched_once_and_each_version_is_its_own(apps):
    first, second = bundle(), bundle("2.0")
    assert apps.of(run_of(first), lambda: Bundle(first, {})).client.version == "1.0"
    assert apps.of(run_of(second, "2.0"), lambda: Bundle(second, {})).client.version == "2.0"
    back = apps.of(run_of(first), lambda: pytest.fail("fetched again"))
    assert back.client.version == "1.0"
    assert back.defaults == {"speed": 1}


def test_an_app_with_another_hash_is_not_run(apps, tmp_path):
    with pytest.raises(AppError, match="it is not run") as refusal:
        apps.of(run_of(bundle()), lambda: Bundle(bundle(more=[("part.py.bak", "x")]), {}))
    assert refusal.value.code == 7
    assert not list(tmp_path.glob("apps/*"))


def test_nothing_is_unpacked_outside(apps, tmp_path):
    bad = bundle(more=[("../../outside.py", "x")])
    with pytest.raises(AppError, match="outside"):
        apps.of(run_of(bad), lambda: Bundle(bad, {}))
    assert not list(tmp_path.rglob("outside.py"))


def test_an_app_folder_of_another_version_is_refused(tmp_path):
    with zipfile.ZipFile(io.BytesIO(bundle())) as archive:
        archive.extractall(tmp_path / "here")
    apps = Apps(tmp_path / "apps", trusting(tmp_path), tmp_path / "here")
    with pytest.raises(AppError, match=r"me/mine 3\.0, but .* holds me/mine 1\.0"):
        apps.of(run_of(b"", "3.0"), lambda: Bundle(b"", {}))


def test_a_folder_is_for_one_node(tmp_path):
    home = Home(tmp_path)
    with pytest.raises(RunError, match="another node"):
        Home(tmp_path)
    home.remember("a:1", b"key", 5)
    assert home.node_at("a:1", b"key") == 5
    assert home.node_at("b:1", b"key") == home.node_at("a:1", b"other") == 0


def test_a_key_of_its_own_is_kept_and_private(tmp_path):
    key = own_key(tmp_path / "key.pem")
    assert own_key(tmp_path / "key.pem").private_numbers() == key.private_numbers()
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0
    (tmp_path / "key.pem").write_text("damaged")
    assert own_key(tmp_path / "key.pem").private_numbers() != key.private_numbers()
    with pytest.raises(UsageError, match="ssh-keygen"):
        read_key(tmp_path / "none")


@pytest.mark.parametrize("text", ["host", "host:", ":80", "host:0", "host:65536", "host:x"])
def test_an_address_needs_a_port(text):
    with pytest.raises(UsageError, match="HOST:PORT"):
        Address.parse(text)


def test_addresses():
    assert str(Address.parse("[::1]:80")) == "[::1]:80"
    assert Address.parse("fl.example.org:8000").host == "fl.example.org"


def test_an_owners_app_takes_all_of_frugalfls_settings_and_no_others() -> None:
    written = {"task": "task:task", "rounds": 3}
    run = SimpleNamespace(override_config={"rounds": 5, "resume": "", "local-epochs": 2})
    assert settings_of(written, run) == {
        "task": "task:task", "rounds": 5, "resume": "", "local-epochs": 2,
    }  # fmt: skip
    other = SimpleNamespace(override_config={"round": 5})
    with pytest.raises(ValueError, match="'round'"):
        settings_of(written, other)
