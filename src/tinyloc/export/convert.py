"""A TensorFlow twin to `.tflite`: the float graph, by TensorFlow's converter."""

import warnings
from typing import TYPE_CHECKING

from tinyloc.export import flatbuffer, passes
from tinyloc.export.native import native_stderr
from tinyloc.export.order import order_for_memory

if TYPE_CHECKING:
    from tinyloc.export.tensorflow import tf


def float_graph(twin: "tf.Module") -> flatbuffer.schema.ModelT:
    """Convert `twin.run`, a `tf.function` with an input signature that returns its outputs by name.

    Arguments `state_<x>` and outputs `next_<x>` become the tensors `state/<x>` and `next/<x>`; the others keep
    their names. Inputs and outputs lie in the file in the order of the signature and of the returned mapping.
    The same weights always give the same graph. What is between has short names, which its integer forms keep.
    """
    from tinyloc.export.tensorflow import tf

    function = twin.run.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], twin)
    with native_stderr(), warnings.catch_warnings(action="ignore"):  # what goes wrong comes as an exception
        converted = converter.convert()
    model = flatbuffer.parse(converted, type(twin).__name__)
    names = [spec.name for spec in function.structured_input_signature[0]]
    passes.name_ports(model, {n: _port(n) for n in names}, {n: _port(n) for n in function.structured_outputs})
    passes.fold_scale_into_softmax(model)
    passes.compact(model)
    order_for_memory(model)
    passes.shorten_names(model)
    return model


def _port(name: str) -> str:
    for prefix in ("state", "next"):
        name = name.replace(f"{prefix}_", f"{prefix}/", 1) if name.startswith(f"{prefix}_") else name
    return name
