"""Which peers there are, what each needs, and in which ways each is run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common import ROOT

SCRIPTS = Path(__file__).parent / "scripts"
_PINNED = re.search(r"^torch==\S+", (ROOT / "constraints-cpu.txt").read_text(), re.MULTILINE)
assert _PINNED is not None
#: The CPU build of constraints-cpu.txt, for all peers that run on PyTorch.
TORCH = _PINNED[0]


@dataclass(frozen=True)
class Peer:
    """A way to simulate a federation.

    Attributes:
        title: What it is called in tables.
        script: The file that runs it, in scripts/.
        ways: Arguments by the name of a way to run it; the fastest counts.
        environment: Name of its environment; empty: the one that runs the benchmark.
        steps: What is installed there: arguments of ``pip install``, one call after the other.
        note: What a reader has to know, in a line.
    """

    title: str
    script: str
    ways: Mapping[str, tuple[str, ...]]
    environment: str = ""
    steps: tuple[tuple[str, ...], ...] = ()
    note: str = ""


_TORCH_THREADS = {"1 thread": ("--threads", "1"), "2 threads": ("--threads", "2")}
#: What a second thread costs a loop over tensors so small is more than it does.
_ONE_THREAD = {"1 thread": ("--threads", "1")}
_FLOWER = ((TORCH,), ("flwr[simulation]==1.41.0",))

#: By name, in the order of the table.
PEERS = {
    "flwr-run": Peer(
        "Flower 1.41, `flwr run`", "flower_run.py", {"2 actors": ()}, "flower", _FLOWER
    ),
    "flower-ray": Peer(
        "Flower 1.41 on Ray, `run_simulation`", "flower_ray.py",
        {"2 actors": ("--actors", "2")}, "flower", _FLOWER,
    ),
    "pfl": Peer(
        "pfl-research", "pfl_research.py",
        {"1 process": ("--processes", "1"), "2 processes": ("--processes", "2")},
        "pfl", ((TORCH, "pfl==0.6.0"),),
    ),
    "blazefl": Peer(
        "BlazeFL", "blazefl_fedavg.py",
        {"serial": ("--trainer", "serial"), "2 threads": ("--trainer", "threads")},
        "blazefl",
        (
            (TORCH, "numpy>=2.3.1", "tqdm>=4.67.1"),
            ("--no-deps", "--ignore-requires-python", "blazefl==2.0.1"),
        ),
        note="2.0.1, the newest that Python 3.11 can read; for the Python that 3.0 asks for there "
        "is no CPU build of PyTorch on PyPI",
    ),
    "fedlab": Peer(
        "FedLab", "fedlab_serial.py", {"serial": ()}, "fedlab",
        (
            (TORCH, "numpy", "pandas", "scikit-learn", "pynvml", "tqdm", "munch"),
            ("--no-deps", "fedlab==1.3.0"),
        ),
        note="without torchvision, which it imports for data sets that are not used here",
    ),
    "fedjax": Peer(
        "FedJAX", "fedjax_fedavg.py", {"jit": ()}, "fedjax",
        (
            (
                "fedjax==0.0.17", "jax==0.4.13", "jaxlib==0.4.13", "numpy<2", "scipy<1.12",
                "dm-haiku==0.0.10", "optax==0.1.7", "chex<0.1.83", "flax<0.7.3",
            ),
        ),
        note="jax 0.4.13: it uses names that newer ones no longer have",
    ),
    "loop": Peer("a plain PyTorch loop", "torch_loop.py", _ONE_THREAD),
    "vmap": Peer("`torch.func.vmap` by hand", "torch_vmap.py", _TORCH_THREADS),
    "bmm": Peer("`torch.bmm` by hand, this MLP only", "torch_bmm.py", _TORCH_THREADS),
    "frugalfl-vmap": Peer(
        "**FrugalFL**, the engine alone, a module of a user's own", "ours.py",
        {way: (*given, "--net", "own") for way, given in _TORCH_THREADS.items()},
    ),
    "frugalfl": Peer("**FrugalFL**, the engine alone", "ours.py", _TORCH_THREADS),
}  # fmt: skip
