"""Where a result comes from: hash of the configuration, versions, commit, time, kind of host."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("numpy", "scipy", "numba", "jax", "xarray")
PROVENANCE_KEYS = (
    "toolkit_version",
    "python_version",
    *(f"{name}_version" for name in _PACKAGES),
    "commit",
    "code_version",
    "start_time",
    "host_class",
)


def digest(config: Mapping[str, Any]) -> str:
    """Return a hash of a configuration: 16 hex digits, the same in every process and on every host.

    The order of keys does not matter, the type of a number does (1 and 1.0 differ); tuples count
    as lists. Raises TypeError for a value that JSON cannot hold and ValueError for NaN or infinity.

    >>> digest({"seed": 0, "vocab_size": 16}) == digest({"vocab_size": 16, "seed": 0})
    True
    """
    text = json.dumps(
        config, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_as_dict
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _as_dict(value: Any) -> dict[Any, Any]:
    """Let any mapping pass where JSON only knows dict."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(
        f"a configuration holds numbers, strings, booleans, None, lists and mappings of these; "
        f"got {type(value).__name__} ({value!r}). Convert it first."
    )


def provenance() -> dict[str, str]:
    """Say which code made a result, when, and on what kind of host.

    Keys: `toolkit_version`, `python_version`, one `<package>_version` each for numpy, scipy, numba,
    jax, xarray ("absent" if not installed; none is imported), `commit` (with "-dirty" if tracked
    files are modified, "unknown" outside a git checkout), `code_version` (see there), `start_time`
    (UTC, ISO 8601, seconds), `host_class` (architecture, number of CPUs, operating system). No host
    name and no path.
    """
    return {
        "toolkit_version": _version("am-theory", "unknown"),
        "python_version": platform.python_version(),
        **{f"{name}_version": _version(name, "absent") for name in _PACKAGES},
        "commit": commit(Path(__file__).resolve().parents[2]),
        "code_version": code_version(),
        "start_time": now(),
        "host_class": f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}",
    }


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(distribution: str, fallback: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return fallback


@functools.cache
def code_version() -> str:
    """Return a hash of the code that computes: 16 hex digits, one per process.

    Counts every source file of am_theory, models and simulations and the versions of Python and
    of the packages that compute and write; two processes with the same hash give the same numbers
    on one kind of processor.
    """
    root = Path(__file__).resolve().parents[2]
    total = hashlib.sha256(platform.python_version().encode())
    for name in (*_PACKAGES, "jaxlib", "equinox", "optax", "h5py", "h5netcdf"):
        total.update(f"{name}=={_version(name, 'absent')}\n".encode())
    for package in ("am_theory", "models", "simulations"):
        for path in sorted((root / package).rglob("*.py")):
            total.update(f"{path.relative_to(root).as_posix()}\n".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


@functools.cache
def commit(checkout: Path) -> str:
    """Return the commit of a checkout, "-dirty" appended if modified; "unknown" if it has none.

    Asked once per process: what counts is the state when the code was imported. A folder that
    merely lies inside somebody else's repository has no commit.
    """
    if not (checkout / ".git").exists():
        return "unknown"
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(
            command,
            cwd=checkout,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip() or "unknown"
