"""The digest of a dataset's contents: what agrees if and only if two runs gave the same numbers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import xarray as xr

from simulations.results.provenance import PROVENANCE_KEYS

_UNSIGNED = frozenset({"content_digest", "wall_time_s", "peak_rss_mb", *PROVENANCE_KEYS})


def content_digest(ds: xr.Dataset) -> str:
    """Return the SHA-256 (hex) of a dataset's contents: variables and attributes in a fixed order.

    Each variable counts with its name, dimensions, dtype, shape, raw little-endian bytes and
    attributes. Global attributes count except those of time, host and versions (`provenance`,
    `wall_time_s`, `peak_rss_mb`). Raises TypeError for what a results file does not hold.
    """
    total = hashlib.sha256()
    signed = {key: value for key, value in ds.attrs.items() if key not in _UNSIGNED}
    total.update(_attributes(signed).encode())
    for name in sorted(ds.variables, key=str):
        variable = ds.variables[name]
        kind, data = _raw(str(name), np.asarray(variable.values))
        head = [str(name), list(variable.dims), kind, list(variable.shape)]
        total.update(json.dumps([*head, _attributes(variable.attrs)]).encode())
        total.update(data)
    return total.hexdigest()


def _raw(name: str, values: np.ndarray) -> tuple[str, bytes]:
    """Return the kind of an array and its bytes, the same before writing and after reading."""
    if values.dtype.kind in "iufb":
        little = values.astype(values.dtype.newbyteorder("<"), order="C", copy=False)
        return little.dtype.str, little.tobytes()
    words = values.ravel().tolist()
    if values.dtype.kind in "UOT" and all(isinstance(word, str) for word in words):
        return "str", json.dumps(words).encode()
    raise TypeError(
        f"variable `{name}` has dtype {values.dtype}; a results file holds integers, floats, "
        f"booleans or strings. Convert it first."
    )


def _attributes(attrs: dict[Any, Any]) -> str:
    items = {str(key): _attribute(str(key), value) for key, value in attrs.items()}
    return json.dumps(items, sort_keys=True)


def _attribute(key: str, value: Any) -> str | list[Any]:
    """Return an attribute as it looks on both sides of a file: text, or a list."""
    if isinstance(value, str):
        return value
    items = np.atleast_1d(np.asarray(value))
    words = items.ravel().tolist()
    if len(words) == 1 and isinstance(words[0], str):
        return words[0]  # HDF5 gives a list of one text back as a text
    if words and (items.dtype.kind in "iuf" or all(isinstance(word, str) for word in words)):
        return words
    raise TypeError(
        f"attribute `{key}` is {value!r}; a results file holds text, numbers or non-empty lists "
        f"of these. Convert it, for instance with json.dumps."
    )
