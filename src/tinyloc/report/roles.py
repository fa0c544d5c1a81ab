"""Which model of a configuration plays which part in the chapters, so that no chapter depends on a name."""

from dataclasses import dataclass

from tinyloc.config import Config, EnsembleModel, ForestModel, MambaModel, MdcsaModel, Model
from tinyloc.errors import InputError


@dataclass(frozen=True)
class Roles:
    """The entries that the study's claims are about; the defaults are their names in the profiles."""

    teacher: str = "teacher"
    yardstick: str = "forest"
    compressed: str = "student-distilled.int8"
    compact: str = "mamba.float32"


def teacher(config: Config) -> str:
    """The model that others are distilled from, or else the widest transformer.

    Raises InputError: there is neither.
    """
    taught = (getattr(model, "distillation", None) for model in config.models.values())
    named = [name for distillation in taught if distillation for name in distillation.teachers]
    wide = [name for name, model in config.models.items() if isinstance(model, MdcsaModel)]
    if not named and not wide:
        raise InputError(f"profile {config.name!r}: no teacher; add a model of family mdcsa to its `models`")
    return named[0] if named else max(wide, key=lambda name: config.models[name].d)


def rivals(config: Config) -> list[str]:
    """What a practitioner would try before the study's two families: all models of other families that have no teacher.

    Raises InputError: there are none.
    """
    found = [name for name, model in config.models.items() if _is_other(model) and name != teacher(config)]
    if not found:
        raise InputError(
            f"profile {config.name!r}: nothing to compare with; add a model of family forest or neighbours"
        )
    return found


def of(config: Config) -> Roles:
    """Who plays what. The yardstick is the forest, or the first other rival; the compressed model is the first int8
    export, the compact one the first exported Mamba. A part for which there is no model keeps its usual name, under
    which no result will be found."""
    usual = Roles()
    exported = [(export.model, kind) for export in config.exports for kind in export.kinds]
    int8 = [f"{model}.{kind}" for model, kind in exported if kind == "int8"]
    mamba = [f"{model}.{kind}" for model, kind in exported if isinstance(config.models[model], MambaModel)]
    others = [name for name, model in config.models.items() if _is_other(model)]
    forests = [name for name in others if isinstance(config.models[name], ForestModel)]
    return Roles(
        teacher=teacher(config),
        yardstick=next(iter(forests + others), usual.yardstick),
        compressed=next(iter(int8), usual.compressed),
        compact=next(iter(mamba), usual.compact),
    )


NAMED = ("forest", "neighbours", "teacher", "student", "student-distilled")
"""Models that chapters 1, 3 and 4 call by these names."""


def require_chapters(config: Config) -> None:
    """Raises InputError: some chapter would find nothing to show; the line says what to add."""
    without = "or compute without a book (--target results)"
    if lacking := [name for name in NAMED if name not in config.models]:
        raise InputError(
            f"profile {config.name!r}: the chapters show models called {', '.join(NAMED)}, and `models` lacks "
            f"{', '.join(lacking)}; add it, {without}"
        )
    kinds(config, NAMED[-1])
    stream(config)
    if not config.devices:
        raise InputError(f"profile {config.name!r}: `devices` names nothing to run on a board; add one, {without}")


def kinds(config: Config, model: str) -> list[str]:
    """What the chapter on quantisation exports of a model: all kinds of the configuration, float32 and int8 among them.

    Raises InputError: the model is not exported in these two; the line names those that are.
    """
    found = {export.model: export.kinds for export in config.exports}
    if not {"float32", "int8"} <= set(found.get(model, ())):
        able = [name for name, kinds in found.items() if {"float32", "int8"} <= set(kinds)]
        raise InputError(
            f"model {model!r}: profile {config.name!r} does not export it in float32 and int8; add it to `exports`, "
            f"or take one of: {', '.join(able) or 'none'}"
        )
    return found[model]


def _is_other(model: Model) -> bool:
    return (
        not isinstance(model, MdcsaModel | MambaModel | EnsembleModel) and getattr(model, "distillation", None) is None
    )


def stream(config: Config) -> tuple[str, str]:
    """The Mamba that is exported first, and the first kind that it is exported as.

    Raises InputError: no Mamba is exported.
    """
    for export in config.exports:
        if isinstance(config.models[export.model], MambaModel):
            return export.model, export.kinds[0]
    raise InputError(f"profile {config.name!r}: no Mamba to run along a stream; add one to `models` and to `exports`")
