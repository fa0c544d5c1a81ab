"""What stages take: seconds on the clock, and seconds of a core, which do not depend on what else the machine did."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinyloc.files import read_json, write_json


def costed(function: Callable, *arguments: Any, **keywords: Any) -> tuple[Any, float]:
    """What a function returns, and the core-seconds that this process and the programs it ran spent on it."""
    before = _core_seconds()
    result = function(*arguments, **keywords)
    return result, _core_seconds() - before


def _core_seconds() -> float:
    """User and system time, of children that have ended as well."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


class Clock:
    """A stage's `timing.json`: key, seconds, core_seconds, workers.

    It is written after every part of the stage. One that `resumes` goes on from a run of the same key that was killed,
    as its stage does, which would look cheap otherwise; what that run had begun and not ended is not counted.
    """

    def __init__(self, path: Path, key: str, workers: int, resumes: bool = False) -> None:
        kept = read_json(path) if resumes and path.is_file() else {}
        before = kept if kept.get("key") == key else {"seconds": 0.0, "core_seconds": 0.0}
        self.path, self.key, self.workers = path, key, workers
        self.before, self.core_seconds = before["seconds"], before["core_seconds"]
        self.began = time.perf_counter()

    def add(self, core_seconds: float) -> None:
        self.core_seconds += core_seconds
        write_json(
            self.path,
            {
                "key": self.key,
                "seconds": round(self.before + time.perf_counter() - self.began, 2),
                "core_seconds": round(self.core_seconds, 4),
                "workers": self.workers,
            },
        )
