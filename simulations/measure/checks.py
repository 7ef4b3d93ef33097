"""Comparisons of simulated with predicted numbers; needs neither JAX nor a denoiser.

A `Check` is held against an exact value and can fail a run; a `Row` against a model's
prediction, with the interval of the gap: a finding. A hypothesis ends with a `Verdict`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

MAX_Z = 5.0
_NUMBERS = ("simulated", "exact", "standard_error", "sets")  # of a Check, in this order

Verdict = Literal["supported", "not supported", "not decidable at this size"]
SUPPORTED: Verdict = "supported"
NOT_SUPPORTED: Verdict = "not supported"
NOT_DECIDABLE: Verdict = "not decidable at this size"


@dataclass(frozen=True)
class Check:
    """One comparison: simulated mean, exact value, standard error of the gap over `sets`."""

    name: str
    simulated: float
    exact: float
    standard_error: float
    sets: int

    @property
    def z(self) -> float:
        """Deviation in standard errors; 0 when both agree without any spread."""
        gap = self.simulated - self.exact
        if self.standard_error == 0:
            return 0.0 if abs(gap) < 1e-12 else float(np.copysign(np.inf, gap))
        return gap / self.standard_error

    @property
    def agrees(self) -> bool:
        return bool(abs(self.z) <= MAX_Z)


@dataclass(frozen=True)
class Row:
    """One line of the table; `low` and `high` bound simulated minus predicted (95 %)."""

    what: str
    simulated: float
    predicted: float
    low: float
    high: float
    verdict: str


def compare(what: str, simulated: float, predicted: float, low: float, high: float) -> Row:
    """A row with its verdict: "agree" where the interval of the gap holds 0."""
    if np.isnan(low) or np.isnan(high):
        verdict = "no interval"
    else:
        verdict = "agree" if low <= 0 <= high else "deviate"
    return Row(what, float(simulated), float(predicted), float(low), float(high), verdict)


def check_mean(name: str, per_set: NDArray[np.float64], exact: Any) -> Check:
    """`exact` is a number, or per-set values whose noise is shared with `per_set`."""
    gap = per_set - exact
    error = float(gap.std(ddof=1) / np.sqrt(len(gap)))
    return Check(name, float(per_set.mean()), float(np.mean(exact)), error, len(per_set))


def as_dataset(checks: list[Check]) -> xr.Dataset:
    """Comparisons as a dataset with dimension `check`; `read_checks` is the inverse."""
    columns = {name: np.array([getattr(c, name) for c in checks]) for name in _NUMBERS}
    data = {name: ("check", values, {"units": "1"}) for name, values in columns.items()}
    return xr.Dataset(data, {"check": [c.name for c in checks]})


def read_checks(ds: xr.Dataset) -> list[Check]:
    """The comparisons of a saved dataset."""
    rows = zip(ds["check"].values, *(ds[name].values for name in _NUMBERS), strict=True)
    return [Check(str(n), float(s), float(e), float(d), int(m)) for n, s, e, d, m in rows]
