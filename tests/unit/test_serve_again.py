"""When a ServerApp that was killed is started again."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from frugalfl.atomic import write_json
from frugalfl.errors import RunError
from frugalfl.settings import Settings
from frugalfl_server.run.checkpoint import FILE
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.resume import LOCK
from frugalfl_server.serve.again import Attempts, Watch


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path / "runs", "task", Settings(), None)


def test_attempts_are_bounded_and_ever_further_apart(run):
    attempts = Attempts(run)
    waits = []
    with pytest.raises(RunError, match="died, 6 times .* frugalfl serve --resume"):
        while True:
            waits.append(attempts.next("died")[0])
    assert waits == [1, 2, 4, 8, 16]


def test_a_finished_round_begins_the_count_anew(run):
    attempts = Attempts(run)
    for number in range(1, 20):
        wait_s, told = attempts.next("died")
        assert wait_s == 1
        assert "attempt 1 of 5" in told
        (run.path / FILE).parent.mkdir(exist_ok=True)
        (run.path / FILE).write_bytes(b"round")
        os.utime(run.path / FILE, ns=(number, number))


def test_what_cannot_be_resumed_is_not_tried(tmp_path):
    run = RunDirectory.create(tmp_path, "task", Settings.of(asynchronous="buffered(4)"), None)
    with pytest.raises(RunError, match="asynchronous"):
        Attempts(run).next("died")


def test_a_finished_run_is_not_tried(run):
    write_json(run.path / "summary.json", {"status": "finished"})
    with pytest.raises(RunError, match="is finished"):
        Attempts(run).next("died")


def test_who_works_on_a_run_is_seen_to_go_however_it_ends(run):
    program = """
    import sys, time
    from pathlib import Path
    from frugalfl_server.run.resume import claimed
    from frugalfl_server.run.directory import RunDirectory
    with claimed(RunDirectory(Path(sys.argv[1]))):
        print("here", flush=True)
        sys.stdin.read()
    """
    words = [sys.executable, "-c", textwrap.dedent(program), str(run.path)]
    for _ in range(2):  # the second time there is a lock file already
        watch = Watch(run)
        assert not watch.gone()
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
            assert worker.stdout.readline() == b"here\n"
            assert not watch.gone()
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            assert watch.gone()


def test_a_lock_that_is_only_just_made_is_nobody_gone(run):
    watch = Watch(run)
    (run.path / LOCK).touch()
    assert not watch.gone()
