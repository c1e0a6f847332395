"""The files of a model of trees: as frames, as LightGBM's text, and what it is."""

from __future__ import annotations

from frugalfl.atomic import write_atomically
from frugalfl.trees.lightgbm_text import to_lightgbm_text
from frugalfl.trees.ways import Way
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.outcomes import FLOAT, count_outcomes, write_outcomes
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.server_rows import ServerRows


def write_model(
    run: RunDirectory, way: Way, grown: Grown, exchanges: int, test: ServerRows
) -> None:
    """Write the model of a run, and what it says of the server's rows.

    Args:
        run: The run.
        way: How the trees were grown.
        grown: The model.
        exchanges: How often clients were asked.
        test: The server's rows, scored by this model.
    """
    folder = run.path / "model"
    frames = grown.packed()
    write_atomically(folder / "trees.bin", frames)
    names = [f"feature_{number}" for number in range(len(grown.bins))]
    text = to_lightgbm_text(grown.forest, grown.bins, names)
    write_atomically(folder / "trees.txt", text.encode())
    about = {
        "way": str(way),
        "trees": len(grown.forest),
        "leaves": sum(tree.leaves for tree in grown.forest.trees),
        "features": len(grown.bins),
        "bytes": len(frames),
        "exchanges": exchanges,
    }
    run.write_json("model/trees.json", about)
    outcomes = count_outcomes(test.scoring.kind, {FLOAT: test.outputs()}, test.y)
    write_outcomes(folder, outcomes)
