"""One look for all figures: readable in a phone's column, on paper, and by the colour-blind."""

from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

WIDTH = 6.4  # inches; the text column of the book
FONT = 10  # points at that width

# after Wong, "Points of view: Color blindness", Nature Methods 8 (2011)
COLOURS = (
    "#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
GREY, PALE = "#6b6b6b", "#d4d4d4"

RC = {
    "font.size": FONT,
    "axes.titlesize": FONT,
    "axes.titlelocation": "left",
    "axes.labelsize": FONT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": FONT - 1,
    "xtick.labelsize": FONT - 1,
    "ytick.labelsize": FONT - 1,
    "figure.facecolor": "white",  # a page in dark mode keeps the figure legible
}


# decorates a function that draws: matplotlib reads most of these when an artist is made, not when the figure is saved
styled = mpl.rc_context(RC)


def panels(rows: int, height: float, columns: int = 1, **options: object) -> tuple[Figure, np.ndarray]:
    """A figure of `rows` × `columns` axes, `height` inches a row; the axes come as an array [rows, columns]."""
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


@styled
def note(text: str) -> Figure:
    """In the place of a figure that a profile has nothing to draw for: one line that says so."""
    figure = Figure(figsize=(WIDTH, 0.6))
    figure.text(0.5, 0.5, text, ha="center", va="center", color=GREY)
    return figure


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for every name, in their order."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(dict.fromkeys(names))}


def markers(names: Iterable[str]) -> dict[str, str]:
    """A marker for every name, so that no figure leans on colour alone."""
    return {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(dict.fromkeys(names))}


def matrix(
    axes: Axes, values: np.ndarray, texts: np.ndarray, rows: Sequence[str], columns: Sequence[str], **image: object
) -> None:
    """A table of coloured cells with a text in each, dark or light by what it stands on; a NaN cell stays white."""
    shown = axes.imshow(np.ma.masked_invalid(values), aspect="auto", **image)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for (row, column), text in np.ndenumerate(texts):
        ink = _ink(shown, values[row, column])
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=FONT - 1)


def _ink(image: AxesImage, value: float) -> str:
    """Black or white, whichever is legible on the colour of `value` (luma of ITU-R BT.601)."""
    if np.isnan(value):
        return "black"
    red, green, blue, _ = image.cmap(image.norm(value))
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
