"""Medians of calls taken in turn, and the lines in which a benchmark says what it measured."""

from __future__ import annotations

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


def show(title: str, rows: Mapping[str, float], ours: str) -> None:
    """Print the milliseconds of each row, and how many times those of the row `ours`."""
    print(f"\n{title}")
    for name, seconds in rows.items():
        print(f"  {name:62} {1e3 * seconds:10.2f} ms  {seconds / rows[ours]:8.2f}")
