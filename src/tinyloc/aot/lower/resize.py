"""RESIZE_NEAREST_NEIGHBOR."""

import numpy as np

from tinyloc.aot.lower.common import Context
from tinyloc.aot.program import Constant
from tinyloc.aot.quantise import round_half_away


def nearest(c: Context) -> None:
    source, output = c.input(0), c.output
    c.kind(source, output, wide=True)
    c.need(len(source.shape) == 4, f"{source} is not 4-D")
    size = c.integers(1)
    c.need(len(size) == 2 and min(size) >= 1, f"{size} is not the size of an image")
    batches, in_h, in_w, depth = source.shape
    c.shape(output, (batches, *size, depth))
    pixel = depth * np.dtype(source.dtype).itemsize
    rows, columns = (_chosen(c, n, wanted) for n, wanted in zip((in_h, in_w), size, strict=True))
    parameters = {
        "batches": batches,
        "in_bytes": in_h * in_w * pixel,
        "out_h": size[0],
        "out_w": size[1],
        "pixel_bytes": pixel,
        "rows": Constant("uint32_t", rows * np.uint32(in_w * pixel)),
        "columns": Constant("uint32_t", columns * np.uint32(pixel)),
    }
    c.program.call(c.operator, "resize", parameters, (source.index,), output.index)


def _chosen(c: Context, n: int, wanted: int) -> np.ndarray:
    """Which of n rows each of `wanted` rows is; [wanted] uint32. In single precision, as TFLite computes it."""
    corners, single = c.options["align_corners"], np.float32
    scale = single(n - 1) / single(wanted - 1) if corners and wanted > 1 else single(n) / single(wanted)
    at = (np.arange(wanted, dtype=single) + single(0.5 if c.options["half_pixel_centers"] else 0)) * scale
    found = [round_half_away(float(x)) for x in at] if corners else np.floor(at)
    return np.clip(found, 0, n - 1).astype(np.uint32)


LOWERINGS = {"RESIZE_NEAREST_NEIGHBOR": nearest}
