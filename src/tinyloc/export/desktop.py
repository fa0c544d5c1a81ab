"""TensorFlow Lite's own interpreter, for the one kind that TFLite Micro has no kernel for: weights of float16.

TFLite Micro's DEQUANTIZE takes integers alone. A phone or a single-board computer runs such a file, at half the size of
float32, so it is exported and compared all the same, and everything that says what it takes says that it is not for a
microcontroller.
"""

import warnings
from pathlib import Path

import numpy as np

from tinyloc.config import ExportKind
from tinyloc.errors import InputError
from tinyloc.export.native import native_stderr
from tinyloc.export.tflm import Tflm

MICRO, DESKTOP = "TFLite Micro", "TensorFlow Lite"


def runtime(kind: ExportKind) -> str:
    """The name of what runs an export of a kind."""
    return DESKTOP if kind == "float16" else MICRO


def load(path: Path, kind: ExportKind) -> Tflm:
    """The model at `path` in the runtime of its kind. Raises InputError: it is corrupt, or refused."""
    return Tflm(path, Desktop) if runtime(kind) == DESKTOP else Tflm(path)


class Desktop:
    """A model in TensorFlow Lite, with the calls of TFLite Micro's interpreter."""

    def __init__(self, path: Path) -> None:
        """Raises InputError: TensorFlow Lite does not take the model at `path`, with its reason."""
        # TensorFlow takes seconds to import, talks, and points at its interpreter's successor
        with native_stderr(), warnings.catch_warnings(action="ignore"):
            from tinyloc.export.tensorflow import tf

            try:
                self._interpreter = tf.lite.Interpreter(str(path), num_threads=1)
                self._interpreter.allocate_tensors()
            except (RuntimeError, ValueError) as error:
                problem = " ".join(str(error).split())
                raise InputError(f"{path}: TensorFlow Lite does not take this model: {problem}") from None
        self._inputs = [port["index"] for port in self._interpreter.get_input_details()]  # in the order of the file
        self._outputs = [port["index"] for port in self._interpreter.get_output_details()]

    def invoke(self) -> None:
        self._interpreter.invoke()

    def set_input(self, values: np.ndarray, index: int) -> None:
        self._interpreter.set_tensor(self._inputs[index], values)

    def get_output(self, index: int) -> np.ndarray:
        return self._interpreter.get_tensor(self._outputs[index])
