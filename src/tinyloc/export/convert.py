"""A TensorFlow twin to the bytes of a `.tflite`, float32 or full-integer int8."""

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from tinyloc.errors import InputError
from tinyloc.export import flatbuffer, passes
from tinyloc.export.native import native_stderr

if TYPE_CHECKING:
    import tensorflow as tf

Kind = Literal["float32", "int8"]

_SIGNATURE = "serving_default"


def convert(twin: "tf.Module", kind: Kind, calibration: Mapping[str, np.ndarray] | None = None) -> bytes:
    """Convert `twin.run`, a `tf.function` with an input signature that returns its outputs by name.

    Arguments `state_<x>` and outputs `next_<x>` become the tensors `state/<x>` and `next/<x>`; the others keep
    their names. Inputs and outputs lie in the file in the order of the signature and of the returned mapping.
    kind: `int8` quantises weights and activations, inputs and outputs included (full-integer post-training
    quantisation, Jacob et al., CVPR 2018), with ranges from the `calibration` inputs, by argument name [N, ...].
    The same weights and calibration inputs always give the same bytes.
    Raises InputError: an operator of the twin has no int8 form, and would run in float.
    """
    import tensorflow as tf

    function = twin.run.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], twin)
    if kind == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _samples(calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    with native_stderr(), warnings.catch_warnings(action="ignore"):  # what goes wrong comes as an exception
        converted = converter.convert()
    model = flatbuffer.parse(converted, f"{type(twin).__name__} ({kind})")
    names = [spec.name for spec in function.structured_input_signature[0]]
    passes.name_ports(model, {n: _port(n) for n in names}, {n: _port(n) for n in function.structured_outputs})
    passes.quantise_elu(model)
    passes.fold_scale_into_softmax(model)
    passes.compact(model)
    if kind == "int8":
        _refuse_float(model)
    return flatbuffer.pack(model)


def _samples(calibration: Mapping[str, np.ndarray]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    for row in range(len(next(iter(calibration.values())))):
        yield _SIGNATURE, {name: values[row : row + 1] for name, values in calibration.items()}


def _port(name: str) -> str:
    for prefix in ("state", "next"):
        name = name.replace(f"{prefix}_", f"{prefix}/", 1) if name.startswith(f"{prefix}_") else name
    return name


def _refuse_float(model: flatbuffer.schema.ModelT) -> None:
    tensors = flatbuffer.graph(model).tensors
    for operator in flatbuffer.graph(model).operators:
        if any(flatbuffer.dtype(tensors[t]) == np.float32 for t in operator.outputs):
            raise InputError(
                f"int8 export: {flatbuffer.operator_name(model, operator)} would run in float32; "
                "write the twin with an operator that has an int8 form"
            )
