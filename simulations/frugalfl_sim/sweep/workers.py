"""Runs of a sweep, in this process or in several: the longest first, one at a time in each."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from frugalfl.errors import Interrupted
from frugalfl.termination import ending_like_ctrl_c
from frugalfl_sim.sweep.run_point import Work, app_kept, run

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl
_END_S = 20.0


def run_all(works: Sequence[Work], app: Path, task: str, jobs: int) -> Iterator[tuple[int, str]]:
    """Run all, and yield each one's number and why it failed (empty: it did not) as it ends.

    Args:
        works: In the order in which they are begun.
        app: The app's folder.
        task: Its setting ``task``.
        jobs: Processes; with 1 it is this one.

    Raises:
        KeyboardInterrupt: Ctrl-C came; every run keeps what it has finished.
        Interrupted: The same, while a run was going on.
    """
    if jobs == 1 or len(works) < 2:
        with app_kept(app, task):
            for work in works:
                yield work.number, run(work)
        return
    yield from _in_processes(works, app, task, min(jobs, len(works)))


@dataclass
class _Worker:
    process: BaseProcess
    line: Connection
    work: Work


def _in_processes(
    works: Sequence[Work], app: Path, task: str, jobs: int
) -> Iterator[tuple[int, str]]:
    waiting = list(works)
    workers = [_start(app, task, waiting.pop(0)) for _ in range(jobs)]
    try:
        while workers:
            ready = wait([one.line for one in workers])
            for worker in [one for one in workers if one.line in ready]:
                yield worker.work.number, _answer(worker)
                workers.remove(worker)
                if waiting and worker.process.is_alive():
                    worker.work = waiting.pop(0)
                    worker.line.send(worker.work)
                    workers.append(worker)
                elif waiting:
                    workers.append(_start(app, task, waiting.pop(0)))
                else:
                    worker.line.close()  # which ends its process
    finally:
        _end(workers)


def _start(app: Path, task: str, work: Work) -> _Worker:
    spawning = multiprocessing.get_context("spawn")  # threads of PyTorch do not survive a fork
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_work, args=(theirs, app, task), daemon=True)
    process.start()
    theirs.close()
    ours.send(work)
    return _Worker(process, ours, work)


def _answer(worker: _Worker) -> str:
    try:
        return str(worker.line.recv())
    except EOFError:
        worker.process.join()
        return f"its process ended with code {worker.process.exitcode}"


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.terminate()  # as Ctrl-C: what is finished of its run is kept
    for worker in workers:
        worker.process.join(_END_S)
        if worker.process.is_alive():
            worker.process.kill()


def _work(line: Connection, app: Path, task: str) -> None:
    """What a process does: run what it is told, one after the other, until nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends this process
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    try:
        with ending_like_ctrl_c(), app_kept(app, task):
            while True:
                line.send(run(line.recv()))
    except (EOFError, Interrupted, KeyboardInterrupt):
        line.close()
