"""Small networks of the kinds that run on microcontrollers, each with its data.

Benchmarks and tests share them: what is claimed of an export is measured on all.
"""

from zoo import autoencoder, digits_cnn, ds_cnn, mlp, residual, sensor
from zoo.net import Net, finetune, score, train

#: Every net by its name.
NETS = {
    net.name: net
    for net in (
        mlp.NET, autoencoder.NET, ds_cnn.NET, residual.NET, sensor.NET, sensor.NET_1D,
        digits_cnn.NET,
    )
}  # fmt: skip

__all__ = ["NETS", "Net", "finetune", "score", "train"]
