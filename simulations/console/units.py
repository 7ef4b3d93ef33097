"""Durations, bytes and the memory of this process, for people."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def format_seconds(seconds: float | None) -> str:
    """Return a duration for people: `8 s`, `2 min 05 s`, `3 h 07 min`, `233 h`, or
    `unknown`.

    >>> format_seconds(125.2)
    '2 min 05 s'
    """
    if seconds is None:
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 360000:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 3600:,} h"


def format_bytes(count: float) -> str:
    """A number of bytes for people.

    >>> format_bytes(83289585)
    '83.3 MB'
    """
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.0f} bytes"


def peak_rss_mb() -> float:
    """Return the peak resident memory of this process in MB (10**6 bytes).

    On Linux from /proc, because getrusage there starts from the launcher's peak.
    """
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
