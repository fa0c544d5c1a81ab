"""Who is faster, on a machine that does other things as well."""

import time
from collections.abc import Callable, Mapping


def race(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of one call of each contender: the fastest of `rounds`, in which they take turns.

    Whatever else the machine does can only slow a call down, so the fastest is the one to compare; and by turns all
    meet the same disturbances. One more round before warms the caches up.
    """
    fastest = dict.fromkeys(contenders, float("inf"))
    for i in range(rounds + 1):
        for name, call in contenders.items():
            began = time.perf_counter()
            call()
            seconds = time.perf_counter() - began
            if i:
                fastest[name] = min(fastest[name], seconds)
    return fastest
