"""The lines at the top of every chapter: which data and profile made it, and which data were not there."""

from collections.abc import Mapping, Sequence
from typing import Protocol

DIGITS = 12  # of a fingerprint: enough to compare two builds by eye


class Prepared(Protocol):
    fingerprint: str


class Config(Protocol):
    name: str


class Study(Protocol):
    """What a banner needs of `tinyloc.study.Study`."""

    config: Config

    @property
    def datasets(self) -> Mapping[str, str]: ...

    @property
    def absent(self) -> Mapping[str, str]: ...

    @property
    def seeds(self) -> Sequence[int]: ...

    def prepared(self, dataset: str) -> Prepared: ...


def banner(study: Study) -> str:
    """Markdown: one quoted line a data set, present or absent, and one for the profile."""
    lines = [
        f"**{name}** – {origin} Fingerprint `{study.prepared(name).fingerprint[:DIGITS]}`."
        for name, origin in study.datasets.items()
    ]
    lines += [
        f"**{name} was not there** when this page was made, so nothing on it is about {name}: {reason.rstrip('.')}."
        for name, reason in study.absent.items()
    ]
    seeds = ", ".join(map(str, study.seeds))
    lines.append(f"Profile **{study.config.name}**, seed{'s' if len(study.seeds) > 1 else ''} {seeds}.")
    return "\n".join(f"> {line}  " for line in lines)
