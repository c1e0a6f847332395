"""Private blocks: trained on the device, kept on its disk, sent in neither direction.

Arivazhagan et al., "Federated Learning with Personalization Layers", 2019 (FedPer): the first
blocks are shared, the last ones are each client's own.
"""

from __future__ import annotations

from frugalfl.blocks import Layout, Parameters
from frugalfl.errors import UsageError


def split(parameters: Parameters, private: str) -> tuple[Parameters, Parameters]:
    """Return a model's shared tensors and its private ones, each in the order of the model.

    Args:
        parameters: The whole model.
        private: The setting of that name: shell patterns of block names, commas between.

    Raises:
        UsageError: A pattern that no block's name matches, or no shared block is left.
    """
    if not private:
        return parameters, {}
    layout = Layout.of(parameters)
    numbers = layout.matching([pattern.strip() for pattern in private.split(",")])
    if len(numbers) == len(layout):
        raise UsageError(f"private = {private!r} matches every block; nothing is left to federate")
    own = set(layout.names(numbers))
    return (
        {name: tensor for name, tensor in parameters.items() if name not in own},
        {name: tensor for name, tensor in parameters.items() if name in own},
    )
