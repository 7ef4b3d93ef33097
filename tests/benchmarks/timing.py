"""Medians of calls taken in turn, and the lines in which a benchmark says what it measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

PAUSE = 0.02  # seconds between peers: threads of the last that wait by spinning go to sleep


def interleaved(
    calls: Mapping[str, Callable[[], Any]],
    repeats: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each call, after one untimed call that compiles, loads and caches.

    All calls are made once, then all again: a busy moment of the machine falls on each of them.
    `time.process_time` as the clock counts processor time, of all threads together.
    """
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            time.sleep(PAUSE if len(calls) > 1 else 0)
            begun = clock()
            call()
            times[name].append(clock() - begun)
    return {name: float(np.median(values)) for name, values in times.items()}


def seconds(call: Callable[[], Any]) -> float:
    """Seconds of one call, the first of a compiled function for example."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def show(title: str, times: Mapping[str, float], ours: str) -> None:
    """Print milliseconds by name, and their ratio to those of `ours`: above 1, ours is faster."""
    print(f"\n{title}; load {os.getloadavg()[0]:.1f}\n{'':64}{'ms':>10} {'ratio':>8}")
    for name, found in times.items():
        print(f"  {name:62}{1e3 * found:10.2f} {found / times[ours]:8.2f}")
