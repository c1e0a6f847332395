"""An MCU file to a C source and header, for firmware that has no file system."""

from __future__ import annotations

import re

from frugalfl_server.export.flatbuffer import ALIGNMENT

BYTES_A_LINE = 12

_HEADER = """\
/* {symbol}: quantized TFLite model, {length} bytes. Made by FrugalFL; do not edit. */
#ifndef {guard}_H_
#define {guard}_H_

{arena}
#ifdef __cplusplus
extern "C" {{
#endif

/* The .tflite file; its address is a multiple of {alignment}. */
extern const unsigned char {symbol}_model[];
extern const unsigned int {symbol}_model_len;

#ifdef __cplusplus
}}
#endif

#endif /* {guard}_H_ */
"""

_ARENA = """\
/* Bytes of RAM for TFLite-Micro's arena, measured with the x86-64 interpreter.
 * Its pointers are twice as wide: this overstates what a 32-bit Cortex-M needs. */
#define {guard}_ARENA_BYTES {arena_bytes}
"""

_NO_ARENA = """\
/* The arena was not measured: TFLite-Micro did not run on the host that exported this. */
"""

_SOURCE = """\
/* {symbol}: quantized TFLite model. Made by FrugalFL; do not edit. */
#include "model_data.h"

/* TFLite-Micro reads the weights in place, with aligned loads. */
#ifndef MODEL_ALIGNED
#ifdef __GNUC__
#define MODEL_ALIGNED __attribute__((aligned({alignment})))
#else
#error "define MODEL_ALIGNED: how your compiler aligns an array to {alignment} bytes"
#endif
#endif

const unsigned char {symbol}_model[] MODEL_ALIGNED = {{
{rows}
}};

const unsigned int {symbol}_model_len = {length}u;
"""


def c_array(model: bytes, name: str, arena_bytes: int | None) -> tuple[str, str]:
    """Write a model as C99.

    Args:
        model: The stripped int8 .tflite file.
        name: Of the model; letters, digits and underscores of it become the C names.
        arena_bytes: What TFLite-Micro needed on x86-64; None if that was not measured.

    Returns:
        Text of ``model_data.h`` and of ``model_data.c``, which includes it by that name.
    """
    symbol = _identifier(name)
    words = {
        "symbol": symbol,
        "guard": symbol.upper(),
        "length": len(model),
        "alignment": ALIGNMENT,
        "arena_bytes": arena_bytes,
        "rows": _rows(model),
    }
    arena = (_NO_ARENA if arena_bytes is None else _ARENA).format(**words)
    return _HEADER.format(arena=arena, **words), _SOURCE.format(**words)


def _identifier(name: str) -> str:
    word = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()
    return word if word[:1].isalpha() else f"m_{word}"


def _rows(data: bytes) -> str:
    starts = range(0, len(data), BYTES_A_LINE)
    return "\n".join(
        "  " + " ".join(f"0x{byte:02x}," for byte in data[start : start + BYTES_A_LINE])
        for start in starts
    )
