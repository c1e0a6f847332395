"""Libraries that take seconds to load, before the work that needs them.

Loaded in the middle of it, they would be charged to that work: to pruning, which takes a hundredth
of it, or to the encoding of one round.
"""

from __future__ import annotations

import importlib
import sys
from typing import Literal

from frugalfl.energy.recorder import Recorder
from frugalfl_server.export.quiet import quiet

PHASE = "setup"
#: What the libraries are for.
Work = Literal["prune", "trace", "compile", "export"]
_LIBRARIES = {
    "prune": ("torch_pruning",),
    "trace": ("torch._dynamo", "torch._inductor.compiler_bisector", "frugalfl_server.compiler"),
    "compile": ("torch.export._trace", "litert_torch"),
    "export": (
        "torch.export._trace", "torch._inductor.sizevars", "torch._inductor.compiler_bisector",
        "litert_torch", "jaxlib.mlir.dialects.mhlo", "ai_edge_litert.interpreter",
        "ai_edge_litert.tools.flatbuffer_utils", "ai_edge_quantizer.quantizer",
        "ai_edge_quantizer.calibrator", "scipy.cluster.hierarchy", "scipy.sparse.csgraph",
    ),
}  # fmt: skip


def set_up(energy: Recorder, work: Work, round_: int) -> None:
    """Load what some work needs, in a phase of its own, unless all of it is there.

    What is not installed is left to the work itself, which says how to get it.

    Args:
        energy: Takes the record.
        work: What is about to begin.
        round_: Round that it counts with.
    """
    missing = [name for name in _LIBRARIES[work] if name not in sys.modules]
    if not missing:
        return
    with energy.window(PHASE, apart=True, round=round_), quiet():
        for name in missing:
            try:
                importlib.import_module(name)
            except ImportError:
                return
