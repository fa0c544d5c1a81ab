"""Which C file of firmware/kernels defines which kernel."""

import re
from collections.abc import Collection
from functools import cache

from tinyloc.files import shipped

HEADER = "tinyloc_kernels.h"


# `type tl_name(parameters)` at the start of a line, or the same made by a macro: `MACRO(tl_name, …)`
_DEFINITION = r"^(?:[a-z]\w*(?: \w+)* \*?|[A-Z]+\()(tl_\w+)[(,]"
_INLINE = r"^static inline [^;{]*?(tl_\w+)\([^{]*\n\{(.*?)^\}"  # (name, body)
_NAME = r"\btl_\w+"


@cache
def _defined_and_used() -> tuple[dict[str, str], dict[str, set[str]], dict[str, str]]:
    """Read from the sources: function -> its file; file -> the functions of other files that it calls; inline function
    of the header -> its body."""
    folder = shipped("firmware") / "kernels"
    texts = {path.name: path.read_text() for path in sorted(folder.glob("*.c"))}
    inline = dict(re.findall(_INLINE, (folder / HEADER).read_text(), re.M | re.S))
    home = {}
    for name, text in texts.items():
        for function in re.findall(_DEFINITION, text, re.M):
            home[function] = name
    uses = {}
    for name, text in texts.items():
        named = set(re.findall(_NAME, text))
        for function in named & inline.keys():
            named |= _called(function, inline)
        uses[name] = {f for f in named if home.get(f, name) != name}
    return home, uses, inline


def _called(function: str, inline: dict[str, str]) -> set[str]:
    """What an inline function of the header calls, and what those call."""
    named = set(re.findall(_NAME, inline.get(function, ""))) - {function}
    return named.union(*(_called(f, inline) for f in named & inline.keys()))


def sources_of(kernels: set[str], functions: Collection[str] = ()) -> list[str]:
    """The files that define `kernels` (named without `tl_`) and all that they call, header first.

    functions: of the header, or of a file, that the model's own code calls.
    """
    home, uses, inline = _defined_and_used()
    called = {name for function in functions for name in (function, *_called(function, inline))}
    todo, files = {f"tl_{kernel}" for kernel in kernels} | (called & home.keys()), set()
    while todo:
        name = home[todo.pop()]
        if name not in files:
            files.add(name)
            todo |= uses[name]
    return [HEADER, *sorted(files)]
