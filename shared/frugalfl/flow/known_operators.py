"""Which operators a training program may have, and the rule of each.

The list is what the compiler makes of models, gradients and optimisers. Whatever is not on it is
refused: control flow, variables, random numbers, GATHER, scatter, sort, top-k, cumulative sums,
one-hot and the like, which a program needs to pick rows out of a batch, and all custom operators.
"""

from __future__ import annotations

from typing import NamedTuple

from frugalfl.flow import moves, reductions
from frugalfl.flow.elementwise import along_last, broadcast, choice, several, unary
from frugalfl.flow.products import PRODUCTS
from frugalfl.flow.tensor_facts import Rule


class Known(NamedTuple):
    """An operator: its name, the schema's number of its options, its rule.

    ``like`` is the input whose numbers' type its outputs must have; -1: it may be another.
    """

    name: str
    options: int
    rule: Rule
    like: int = 0


def _make_table() -> dict[int, Known]:
    keeping = {
        "ABS": (101, 78), "CAST": (53, 37), "NEG": (59, 42), "RELU": (19, 0), "RELU6": (21, 0),
        "RELU_N1_TO_1": (20, 0), "RELU_0_TO_1": (152, 0), "TANH": (28, 0), "SQRT": (75, 0),
        "SQUARE": (92, 66), "SIN": (66, 0), "SIGN": (158, 123), "FLOOR": (8, 0), "ELU": (111, 0),
        "GELU": (150, 116), "HARD_SWISH": (117, 91), "LEAKY_RELU": (98, 75),
    }  # fmt: skip
    moving = {
        "EXP": (47, 33), "LOG": (73, 0), "LOGISTIC": (14, 0), "RSQRT": (76, 0), "COS": (108, 84),
        "LOGICAL_NOT": (87, 63),
    }  # fmt: skip
    ranging = ("RELU",)
    table = {
        code: Known(name, options, unary(True, name in ranging), -1 if name == "CAST" else 0)
        for name, (code, options) in keeping.items()
    }
    table |= {code: Known(n, options, unary(False)) for n, (code, options) in moving.items()}
    table |= {code: Known(n, options, several(n, 0)) for n, code, options in (
        ("ADD", 0, 11), ("SUB", 41, 28), ("MUL", 18, 21), ("DIV", 42, 29),
    )}  # fmt: skip
    table |= {code: Known(n, options, several(n)) for n, code, options in (
        ("MAXIMUM", 55, 39), ("MINIMUM", 57, 39), ("SQUARED_DIFFERENCE", 99, 76), ("POW", 78, 56),
        ("LOGICAL_OR", 84, 60), ("LOGICAL_AND", 86, 62),
    )}  # fmt: skip
    table |= {code: Known(n, options, several(n), -1) for n, code, options in (
        ("LESS", 58, 41), ("GREATER", 61, 44), ("GREATER_EQUAL", 62, 45), ("LESS_EQUAL", 63, 46),
        ("EQUAL", 71, 53), ("NOT_EQUAL", 72, 54),
    )}  # fmt: skip
    table[64] = Known("SELECT", 47, choice, 1)
    table[130] = Known("BROADCAST_TO", 104, broadcast)
    table[123] = Known("SELECT_V2", 98, several("SELECT_V2"), 1)
    table |= {25: Known("SOFTMAX", 9, along_last), 50: Known("LOG_SOFTMAX", 36, along_last)}
    table |= {code: Known(n, 27, reductions.reduction(n)) for n, code in (
        ("SUM", 74), ("MEAN", 40), ("REDUCE_MAX", 82), ("REDUCE_MIN", 89),
    )}  # fmt: skip
    table[56] = Known("ARG_MAX", 40, reductions.place_of_largest, -1)
    table |= {code: Known(*one) for code, one in {
        2: ("CONCATENATION", 10, moves.join), 22: ("RESHAPE", 17, moves.reshape),
        34: ("PAD", 22, moves.pad), 39: ("TRANSPOSE", 26, moves.transpose),
        45: ("STRIDED_SLICE", 32, moves.strided), 60: ("PADV2", 43, moves.pad),
        65: ("SLICE", 48, moves.cut), 107: ("GATHER_ND", 83, moves.gather),
        105: ("REVERSE_V2", 81, moves.reverse),
    }.items()}  # fmt: skip
    table |= {code: Known(name, options, PRODUCTS[name], like) for name, code, options, like in (
        ("AVERAGE_POOL_2D", 1, 5, 0), ("BATCH_MATMUL", 126, 101, 0), ("CONV_2D", 3, 1, 0),
        ("DEPTHWISE_CONV_2D", 4, 2, 0), ("FULLY_CONNECTED", 9, 8, 0), ("MAX_POOL_2D", 17, 5, 0),
        ("TRANSPOSE_CONV", 67, 49, 2),
    )}  # fmt: skip
    return table


#: By the schema's ``BuiltinOperator``.
KNOWN = _make_table()
#: Names of some others, for messages.
OTHERS = {
    5: "DEPTH_TO_SPACE", 26: "SPACE_TO_DEPTH", 32: "CUSTOM", 36: "GATHER", 37: "BATCH_TO_SPACE_ND",
    38: "SPACE_TO_BATCH_ND", 48: "TOPK_V2", 49: "SPLIT", 68: "SPARSE_TO_DENSE",
    69: "TILE", 77: "SHAPE", 81: "REDUCE_PROD", 83: "PACK", 85: "ONE_HOT", 88: "UNPACK",
    94: "FILL", 96: "RANGE", 102: "SPLIT_V", 103: "UNIQUE", 109: "WHERE",
    112: "REVERSE_SEQUENCE", 113: "MATRIX_DIAG", 115: "MATRIX_SET_DIAG", 118: "IF", 119: "WHILE",
    122: "SCATTER_ND", 124: "DENSIFY", 125: "SEGMENT_SUM", 128: "CUMSUM", 129: "CALL_ONCE",
    142: "VAR_HANDLE", 143: "READ_VARIABLE", 144: "ASSIGN_VARIABLE",
    146: "RANDOM_STANDARD_NORMAL", 148: "RANDOM_UNIFORM", 149: "MULTINOMIAL",
    151: "DYNAMIC_UPDATE_SLICE", 155: "UNSORTED_SEGMENT_SUM", 159: "BITCAST",
    160: "BITWISE_XOR", 161: "RIGHT_SHIFT", 206: "STABLEHLO_COMPOSITE",
}  # fmt: skip
