"""Puts a notebook's prose around the outputs of its last execution.

A chapter's prose changes far more often than its code, and an execution takes minutes. So the workflow executes a
notebook when its code changes, and *weaves* when anything does: cells, their order and their tags come from the
notebook as it is now, outputs from the executed copy, matched by cell id.
"""

import copy
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tinyloc.errors import InputError
from tinyloc.files import sha256

WIDGET = "application/vnd.jupyter.widget-view+json"
INJECTED = "injected-parameters"


def code_digest(notebook: Path) -> str:
    """A digest of what decides a notebook's outputs: its code cells in order, and which one holds the parameters."""
    cells = (cell for cell in read(notebook).cells if cell.cell_type == "code")
    return sha256(
        *(part.encode() for c in cells for part in (c.id, c.source, str("parameters" in c.metadata.get("tags", []))))
    )


def read(notebook: Path) -> NotebookNode:
    """Raises InputError: not a notebook, or one of a format older than 4.5, whose cells have no ids."""
    try:
        content = nbformat.read(notebook, as_version=nbformat.NO_CONVERT)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise InputError(f"{notebook}: not a notebook: {str(error).splitlines()[0]}") from None
    version = (content.nbformat, content.nbformat_minor)
    if version < (4, 5):
        raise InputError(f"{notebook}: format {version[0]}.{version[1]} has no cell ids; save it again in JupyterLab")
    return content


def weave(notebook: Path, executed: Path) -> NotebookNode:
    """`notebook` with the outputs of `executed`; neither file is changed.

    Papermill's own cell, which holds the parameters of this execution, stays after the defaults that it overrides,
    folded away.
    Raises InputError: a code cell was not executed as it now stands, or leaves a widget, which a page cannot show.
    """
    woven = copy.deepcopy(read(notebook))
    ran = {cell.id: cell for cell in read(executed).cells}
    cells = []
    for number, cell in enumerate(woven.cells, start=1):
        cells.append(cell)
        if cell.cell_type != "code":
            continue
        done = ran.get(cell.id)
        if done is None or done.source != cell.source:
            raise InputError(f"{notebook}, cell {number}: was not executed as it now stands; build the book again")
        if any(WIDGET in output.get("data", {}) for output in done.outputs):
            raise InputError(
                f"{notebook}, cell {number}: shows a widget, which needs a running kernel; show a figure instead"
            )
        cell.outputs = done.outputs
        cell.execution_count = done.execution_count
        if "parameters" in cell.metadata.get("tags", []):
            cells += [_folded(c) for c in ran.values() if INJECTED in c.metadata.get("tags", [])]
    woven.cells = cells
    return woven


def _folded(injected: NotebookNode) -> NotebookNode:
    return nbformat.v4.new_code_cell(
        injected.source,
        id=injected.id,
        execution_count=injected.execution_count,
        metadata={
            "tags": [INJECTED, "hide-input"],
            "mystnb": {
                "code_prompt_show": "Show the parameters of this build",
                "code_prompt_hide": "Hide the parameters of this build",
            },
        },
    )
