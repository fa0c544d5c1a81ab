"""TensorFlow as `tf`, for everybody here: `from tinyloc.export.tensorflow import tf`.

The builds of torch for CUDA bring triton, and load it late: at the first optimiser, say. Both it and TensorFlow carry
LLVM, and where TensorFlow's comes first, triton's crashes the process. So triton is loaded before TensorFlow, where
there is one.
"""

import contextlib

with contextlib.suppress(ImportError):
    import triton  # noqa: F401

import tensorflow as tf

__all__ = ["tf"]
