"""The part of the .tflite schema (version 3) that the compiler understands.

Names of builtin operators, and for those that have options and are compiled the number of the option table in the
BuiltinOptions union, and its fields: name -> (field number, `struct` code, default).
"""

from typing import NamedTuple

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3

ACTIVATIONS = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}
PADDINGS = {0: "SAME", 1: "VALID"}


class Options(NamedTuple):
    union: int
    fields: dict[str, tuple[int, str, int | float]]


# Builtin operators by number, so that one that is not supported can be named; later ones are StableHLO's.
OPERATORS = """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
    FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC
    LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX
    SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD
    UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE
    UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE
    BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL
    LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT
    RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT
    UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR
    LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK
    ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4
    NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
    PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
    HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE
    READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL
    GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2
    UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT
""".split()  # noqa: SIM905  (as a list it would take 162 lines)

MAX_OPERANDS = 1024
BIAS = {"TRANSPOSE_CONV": 3}
"""Operator -> the one position at which an input may be absent, where it is not 2."""

_BY_INPUTS = {
    (1, 1): "AVERAGE_POOL_2D MAX_POOL_2D TANH LOGISTIC ELU EXP LOG SQRT RSQRT SQUARE NEG ABS RELU RELU6 SOFTMAX "
    "L2_NORMALIZATION QUANTIZE DEQUANTIZE SQUEEZE UNPACK HARD_SWISH LEAKY_RELU SPACE_TO_DEPTH DEPTH_TO_SPACE SHAPE",
    (1, 2): "RESHAPE",
    (2, 2): "ADD SUB MUL DIV SQUARED_DIFFERENCE MINIMUM MAXIMUM BATCH_MATMUL MEAN SUM EXPAND_DIMS TRANSPOSE SPLIT "
    "GATHER PAD PRELU REDUCE_MAX REDUCE_MIN ARG_MAX ARG_MIN RESIZE_NEAREST_NEIGHBOR BROADCAST_TO",
    (2, 3): "FULLY_CONNECTED CONV_2D DEPTHWISE_CONV_2D",
    (3, 3): "SPLIT_V SLICE PADV2 SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND",
    (3, 4): "TRANSPOSE_CONV",
    (4, 4): "STRIDED_SLICE",
    (1, MAX_OPERANDS): "CONCATENATION PACK",
}
INPUTS = {name: numbers for numbers, names in _BY_INPUTS.items() for name in names.split()}
"""Compiled operators -> (fewest, most) inputs."""

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
    "TRANSPOSE_CONV": Options(
        49, {"padding": (0, "b", 0), "stride_w": (1, "i", 0), "stride_h": (2, "i", 0), "activation": (3, "b", 0)}
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
    "REDUCE_MAX": _REDUCER,
    "REDUCE_MIN": _REDUCER,
    "LEAKY_RELU": Options(75, {"alpha": (0, "f", 0.0)}),
    "RESIZE_NEAREST_NEIGHBOR": Options(74, {"align_corners": (0, "?", 0), "half_pixel_centers": (1, "?", 0)}),
    "SPACE_TO_DEPTH": Options(19, {"block_size": (0, "i", 0)}),
    "DEPTH_TO_SPACE": Options(94, {"block_size": (0, "i", 0)}),
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
