"""Text of C: the templates that programs are rendered from, and what may safely be put into them."""

from functools import cache

import jinja2
import numpy as np


@cache
def template(name: str) -> jinja2.Template:
    """A template of this package; a variable that it names and is not given is an error, not an empty string."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinyloc.aot"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def in_comment(text: str) -> str:
    """`text` such that it can neither end a C comment nor open another one, nor start a new line."""
    return "".join(c if c.isprintable() else "?" for c in text).replace("*/", "*|").replace("/*", "|*")


def float_literal(value: float) -> str:
    """A C literal that reads back as the same float32."""
    text = f"{np.float32(value):.9g}"
    return text + ("f" if any(c in text for c in ".en") else ".0f")
