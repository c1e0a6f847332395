"""How fast LoRaWAN carries bytes in Europe: time on air, and the rest that its duty cycle demands.

Time on air is the formula of Semtech's SX1276 data sheet, section 4.1.1.7. Longest payloads, data
rates and duty cycles are those of the LoRaWAN Regional Parameters for EU863-870: 1 % for devices,
10 % for a gateway's channel at 869.525 MHz (all quoted from memory).
"""

from __future__ import annotations

import math

#: Bandwidth of a channel (Hz), symbols of a preamble, and bytes of LoRaWAN around a payload.
_BANDWIDTH_HZ, _PREAMBLE, _AROUND = 125_000.0, 8 + 4.25, 13
#: Longest payload (B) by spreading factor.
LONGEST = {7: 222, 8: 222, 9: 115, 10: 51, 11: 51, 12: 51}
#: Share of the time that may be sent.
DEVICE_DUTY, GATEWAY_DUTY = 0.01, 0.1


def airtime_s(payload: int, spreading: int) -> float:
    """Return the time on air of one packet (s), coding rate 4/5, with header and checksum.

    Args:
        payload: Its length with LoRaWAN's own bytes (B).
        spreading: Spreading factor, 7 to 12.
    """
    symbol_s = 2.0**spreading / _BANDWIDTH_HZ
    slow = 2 if spreading >= 11 else 0  # low data rate optimisation
    bits = 8 * payload - 4 * spreading + 28 + 16
    symbols = 8 + max(math.ceil(bits / (4 * (spreading - slow))) * 5, 0)
    return (_PREAMBLE + symbols) * symbol_s


def bytes_per_s(spreading: int, duty: float) -> float:
    """Return how fast full packets carry bytes (B/s), with the pauses of a duty cycle."""
    return LONGEST[spreading] * duty / airtime_s(LONGEST[spreading] + _AROUND, spreading)
