"""Where in the author's model a tensor of the converted one was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def blame(module: torch.nn.Module, name: str) -> str:
    """Return the path and the type of the module that made a tensor: ``features.3 (GroupNorm)``.

    The converter writes a path through all modules into a tensor's name, and each of them as
    ``type_attribute``.

    Args:
        module: The model as its author wrote it.
        name: Of a tensor of the converted file.

    Returns:
        As far as the name can be followed; ``the model (Net)`` if that is nowhere.
    """
    path, found = "", module
    for part in name.partition(";")[0].split("/"):
        inside = [one for one in found.named_children() if part.endswith(f"_{one[0]}")]
        if inside:
            child, found = max(inside, key=lambda one: len(one[0]))  # _2 ends in c_2 too
            path = f"{path}.{child}".lstrip(".")
    return f"{path or 'the model'} ({type(found).__name__})"
