"""The part of the .tflite schema (version 3) that the compiler understands.

Numbers of builtin operators, and for those with options the number of the option table in the BuiltinOptions union
and its fields: name -> (field number, type, default). Types are `struct` codes, or "[i" for a vector of int32.
"""

from typing import NamedTuple

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3

ACTIVATIONS = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}
PADDINGS = {0: "SAME", 1: "VALID"}


class Options(NamedTuple):
    union: int
    fields: dict[str, tuple[int, str, int | float]]


OPERATORS = {
    0: "ADD",
    1: "AVERAGE_POOL_2D",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    6: "DEQUANTIZE",
    9: "FULLY_CONNECTED",
    11: "L2_NORMALIZATION",
    14: "LOGISTIC",
    17: "MAX_POOL_2D",
    18: "MUL",
    19: "RELU",
    21: "RELU6",
    22: "RESHAPE",
    25: "SOFTMAX",
    28: "TANH",
    34: "PAD",
    36: "GATHER",
    39: "TRANSPOSE",
    40: "MEAN",
    41: "SUB",
    42: "DIV",
    43: "SQUEEZE",
    45: "STRIDED_SLICE",
    47: "EXP",
    49: "SPLIT",
    55: "MAXIMUM",
    57: "MINIMUM",
    59: "NEG",
    60: "PADV2",
    65: "SLICE",
    70: "EXPAND_DIMS",
    73: "LOG",
    74: "SUM",
    75: "SQRT",
    76: "RSQRT",
    83: "PACK",
    88: "UNPACK",
    92: "SQUARE",
    99: "SQUARED_DIFFERENCE",
    101: "ABS",
    102: "SPLIT_V",
    111: "ELU",
    114: "QUANTIZE",
    126: "BATCH_MATMUL",
}

_ACTIVATION = {"activation": (0, "b", 0)}
_POOL = {
    "padding": (0, "b", 0),
    "stride_w": (1, "i", 0),
    "stride_h": (2, "i", 0),
    "filter_w": (3, "i", 0),
    "filter_h": (4, "i", 0),
    "activation": (5, "b", 0),
}
_REDUCER = Options(27, {"keep_dims": (0, "?", 0)})

OPTIONS = {
    "ADD": Options(11, _ACTIVATION),
    "SUB": Options(28, _ACTIVATION),
    "MUL": Options(21, _ACTIVATION),
    "DIV": Options(29, _ACTIVATION),
    "CONV_2D": Options(
        1,
        {
            "padding": (0, "b", 0),
            "stride_w": (1, "i", 0),
            "stride_h": (2, "i", 0),
            "activation": (3, "b", 0),
            "dilation_w": (4, "i", 1),
            "dilation_h": (5, "i", 1),
        },
    ),
    "DEPTHWISE_CONV_2D": Options(
        2,
        {
            "padding": (0, "b", 0),
            "stride_w": (1, "i", 0),
            "stride_h": (2, "i", 0),
            "multiplier": (3, "i", 0),
            "activation": (4, "b", 0),
            "dilation_w": (5, "i", 1),
            "dilation_h": (6, "i", 1),
        },
    ),
    "AVERAGE_POOL_2D": Options(5, _POOL),
    "MAX_POOL_2D": Options(5, _POOL),
    "FULLY_CONNECTED": Options(
        8, {"activation": (0, "b", 0), "weights_format": (1, "b", 0), "keep_num_dims": (2, "?", 0)}
    ),
    "L2_NORMALIZATION": Options(12, _ACTIVATION),
    "SOFTMAX": Options(9, {"beta": (0, "f", 0.0)}),
    "CONCATENATION": Options(10, {"axis": (0, "i", 0), "activation": (1, "b", 0)}),
    "GATHER": Options(23, {"axis": (0, "i", 0), "batch_dims": (1, "i", 0)}),
    "MEAN": _REDUCER,
    "SUM": _REDUCER,
    "STRIDED_SLICE": Options(
        32,
        {
            "begin_mask": (0, "i", 0),
            "end_mask": (1, "i", 0),
            "ellipsis_mask": (2, "i", 0),
            "new_axis_mask": (3, "i", 0),
            "shrink_axis_mask": (4, "i", 0),
            "offset": (5, "?", 0),
        },
    ),
    "SPLIT": Options(35, {"num_splits": (0, "i", 0)}),
    "PACK": Options(59, {"values_count": (0, "i", 0), "axis": (1, "i", 0)}),
    "UNPACK": Options(64, {"num": (0, "i", 0), "axis": (1, "i", 0)}),
    "BATCH_MATMUL": Options(101, {"adj_x": (0, "?", 0), "adj_y": (1, "?", 0)}),
}
