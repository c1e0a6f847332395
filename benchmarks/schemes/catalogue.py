"""Every scheme that is compared: how it goes up, how it comes down.

What has no downlink compression in the framework or paper it is from sends float32 down. Sources:
QSGD (Alistarh et al. 2017, entropy-coded here by our range coder, which beats its own), EDEN
(Vargaftik et al. 2022), PowerSGD (Vogels et al. 2019, rank 2), top-k with error feedback (Lin et
al. 2018), STC (Sattler et al. 2019), and the source code of NVFlare 2.9 and OpenFL 1.9.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemes.federations import Float32, Peer, Product, Scheme
from schemes.forms import Chain, Floats, Int8, OpenFlStc, TopK


@dataclass(frozen=True)
class Entry:
    """A scheme and what it is.

    Attributes:
        scheme: Runs it.
        kind: ``float32``, ``up`` (compressed uplink only), ``both`` (both ways) or ``ours``.
        text: What travels, for the table.
    """

    scheme: Scheme
    kind: str
    text: str


def _stc(share: str) -> Product:
    """STC by our own links: error feedback on both sides, clients fetch what they missed.

    The paper's server keeps its residual as our downlink does (model minus what clients hold). In
    its favour, the first model travels as its seed, a full one as float16, and accuracy is that
    of the server's model with the residual in it.
    """
    sparse = f"topk({share}) | sign | golomb"
    return Product({"uplink": f"feedback | {sparse}", "downlink": sparse, "refresh": "full"})


FLOAT32 = "float32"
OURS = "ours"
#: The plan is named: by itself, ``auto`` would choose one of the subspaces that stand beside it.
OURS_SETTINGS = {"refresh": "full"}
CATALOGUE = {
    FLOAT32: Entry(Float32(), "float32", "Flower's FedAvg, float32 both ways"),
    "fp16": Entry(Peer(Floats("<f2")), "up", "float16 up, float32 down"),
    "int8": Entry(Peer(Int8()), "up", "int8 by tensor up, float32 down"),
    "qsgd-4": Entry(Peer(Chain("qsgd(4) | range")), "up", "QSGD 4 bits up, float32 down"),
    "eden-1": Entry(Peer(Chain("eden(1) | zstd")), "up", "EDEN 1 bit up, float32 down"),
    "powersgd": Entry(
        Peer(Chain("lowrank(2) | raw"), feedback=True), "up", "rank 2, feedback, up; float32 down"
    ),
    "topk": Entry(Peer(TopK(0.01), feedback=True), "up", "top 1 % with feedback up, float32 down"),
    "openfl-stc": Entry(Peer(OpenFlStc()), "up", "OpenFL's STC 10 % up, float32 down"),
    "nvflare-fp16": Entry(Peer(Floats("<f2"), Floats("<f2")), "both", "NVFlare float16 both ways"),
    "nvflare-int8": Entry(
        Peer(Int8(4096), Int8(4096)), "both", "NVFlare's blockwise int8 both ways"
    ),
    "stc-100": Entry(_stc("1%"), "both", "STC 1/100 with feedback both ways"),
    "stc-400": Entry(_stc("0.25%"), "both", "STC 1/400 with feedback both ways"),
    "subspace-512": Entry(Product({"refresh": "subspace(512)"}), "ours", "ours, subspace(512)"),
    "subspace-1024": Entry(
        Product({"refresh": "subspace(1024, fold 5)"}), "ours", "ours, subspace(1024, fold 5)"
    ),
    OURS: Entry(Product(OURS_SETTINGS), "ours", "ours, refresh = full"),
}
