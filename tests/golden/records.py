"""What a comparison with the golden data is: groups of arrays, and the largest error found.

A group is a function that takes an `Archive` (an .npz that notes which arrays were read) and
yields one `Check` an array and precision. `GROUPS` in the modules `compare_*` list, with each
group, the arrays it covers; `test_golden` holds the two to each other, so that no array is
skipped in silence, and `table` prints the errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tests.helpers import shared

# The golden README's tolerances, absolute but where the name says otherwise.
TOLERANCE = {
    "logits": {"float32": 2e-4, "float64": 1e-10},
    "logits, float32 tables": {"float64": 1e-10},
    "logits of UDLM": {"float32": 1e-4, "float64": 1e-10},
    "activations": {"float32": 2e-4},  # of the order of the logits, which follow from them
    "alpha": {"float32": 1e-6, "float64": 1e-13},
    "sigma (relative to 1 + abs(sigma))": {"float32": 1e-6, "float64": 1e-13},
    "posterior": {"float32": 1e-6, "float64": 1e-13},
    "posterior in a run": {"float64": 1e-10},  # through the network
    "NELBO (relative to 1 + abs(nll)), t <= 1e-4": {"float32": 5e-3, "float64": 1e-11},
    "NELBO (relative to 1 + abs(nll)), t = 1": {"float32": 3e-4, "float64": 1e-11},
    "NELBO (relative to 1 + abs(nll)), other t": {"float32": 1e-4, "float64": 1e-11},
    "training loss (relative)": {"float32": 1e-4, "float64": 1e-11},
    "gradients (relative)": {"float32": 1e-4, "float64": 1e-9},
    "AdamW step (relative)": {"float32": 1e-4, "float64": 1e-9},
    "metrics": {"float32": 1e-6},
    "curvature": {"float32": 1e-5, "float64": 1e-12},
    "curvature, norms": {"float32": 5e-5, "float64": 1e-12},
    "trajectory": {"float64": 1e-10},  # as the logits
    "token entropy": {"float32": 1e-4, "float64": 1e-10},  # as in the golden_trained README
    "times": {"float32": 0.0, "float64": 2e-16},  # one rounding near 1
    "ids, masks, names": {"exact": 0.0},
}


class Check(NamedTuple):
    """One comparison: quantity (a row of TOLERANCE), precision, weights, array, largest error."""

    quantity: str
    precision: str
    weights: str
    array: str
    error: float

    @property
    def tolerance(self) -> float:
        return TOLERANCE[self.quantity][self.precision]


class Group(NamedTuple):
    """Arrays of one file (patterns of whole names): those compared, and those only given."""

    name: str
    file: str
    compared: str
    given: str
    run: Callable[[Archive], Iterator[Check]]

    def names(self, pattern: str, all_names: list[str]) -> set[str]:
        return {name for name in all_names if re.fullmatch(pattern, name)}


class Archive:
    """The arrays of golden/<file>.npz, and the names of those that were read."""

    def __init__(self, file: str) -> None:
        self._arrays = np.load(shared(f"golden/{file}.npz"))
        self.names: list[str] = self._arrays.files
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return self._arrays[name]


def error(ours: Any, theirs: Any, relative_to: Any = 1.0) -> float:
    """Largest |ours - theirs| / relative_to, with NaN and shape in the same places."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, f"shape {ours.shape}, expected {theirs.shape}"
    if theirs.dtype.kind in "biuU" and ours.dtype.kind in "biuU":
        return float(np.sum(ours != theirs))  # the number of differing entries
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    assert (np.isnan(ours) == np.isnan(theirs)).all(), "NaN in different places"
    gap = np.abs(ours - theirs) / relative_to
    return float(np.nanmax(gap, initial=0.0))


def relative(ours: Any, theirs: Any) -> float:
    """Largest error in units of the largest entry."""
    return error(ours, theirs, np.abs(theirs).max())
