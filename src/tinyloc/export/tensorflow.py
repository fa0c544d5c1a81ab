"""TensorFlow as `tf`, for everybody here: `from tinyloc.export.tensorflow import tf`.

The builds of torch for CUDA bring triton, and load it late: at the first optimiser, say. Both it and TensorFlow carry
LLVM, and where TensorFlow's comes first, triton's crashes the process. So triton is loaded before TensorFlow, where
there is one.

It converts models and trains none, so it is kept off GPUs, whose memory it would take whole. Asking for them is what
makes it report, as an error, that a machine has none.
"""

import contextlib

with contextlib.suppress(ImportError):
    import triton  # noqa: F401

import tensorflow as tf

from tinyloc.export.native import native_stderr

with native_stderr():
    tf.config.set_visible_devices([], "GPU")

__all__ = ["tf"]
