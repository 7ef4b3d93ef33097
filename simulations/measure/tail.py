"""The tail of the transition is a law, not a point: the gap falls as d_eff / K.

A regular estimate of d parameters from K sequences has an expected gap between training and
held-out loss of order d / K (Akaike 1974). If train minus held-out recovery does so too, K times
the gap is a constant d_eff, and the size at which the gap is below a tolerance is d_eff over the
tolerance, wherever one puts that. Both are fitted here, and the slope is tested.

Source: H. Akaike, IEEE Trans. Autom. Control 19, 716 (1974), for losses; for recoveries a finding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulations.measure.bootstrap import standard_error, stated_interval
from simulations.measure.transition import Curve

Floats = NDArray[np.float64]

SPANS = (32.0, 16.0, 8.0)  # the tail is K >= K_max / span; the first is the estimate's
LEAST_POINTS = 2
POWERS = np.linspace(0.0, 4.0, 401)  # among which the slope is searched for


@dataclass(frozen=True)
class Tail:
    """gap = effective_dimension / K over the last sizes, and the slope of log gap on log K.

    Each with its 95 % interval, which covers where the tail is taken to begin: a replicate draws
    one of SPANS. `from_size` is where the estimate's begins. The slope, in [-4, 0], is NaN where
    d_eff is not told from 0.
    """

    from_size: float
    effective_dimension: float
    low: float
    high: float
    slope: float
    slope_low: float
    slope_high: float

    @property
    def verdict(self) -> str:
        """Whether the slope is -1."""
        if np.isnan(self.slope_low) or np.isnan(self.slope_high):
            return "no interval"
        return "agree" if self.slope_low <= -1 <= self.slope_high else "deviate"

    def size_below(self, tolerance: float) -> tuple[float, float, float]:
        """K_conv(tolerance) = d_eff / tolerance with its interval, if the law holds that far."""
        ends = (self.effective_dimension, self.low, self.high)
        return tuple(end / tolerance for end in ends)  # type: ignore[return-value]


def fit_tail(rng: np.random.Generator, gap: Curve) -> Tail:
    """d_eff and the slope of a gap, train minus held-out recovery, over the largest sizes.

    Both by least squares in the gap, weighted by inverse squared standard errors, so that gaps
    below 0 count like others. Raises ValueError for fewer than three sizes.

    >>> sizes = np.array([10.0, 100.0, 1000.0, 10000.0])
    >>> rng = np.random.default_rng(0)
    >>> noisy = (5 / sizes) * (1 + 0.01 * rng.normal(size=(200, 4)))
    >>> tail = fit_tail(rng, Curve(sizes, 5 / sizes, noisy, noisy[:1], "sequences only"))
    >>> round(tail.effective_dimension, 3), round(tail.slope, 3), tail.verdict
    (5.0, -1.0, 'agree')
    """
    sizes = gap.train_sizes
    if len(sizes) < 3:
        raise ValueError(f"a tail needs at least three `train_sizes`; got {len(sizes)}.")
    error = standard_error(gap.replicates)
    error = np.where(error > 0, error, np.nanmax(error, initial=0.0) or 1.0)
    starts = [
        min(int(np.searchsorted(sizes, sizes[-1] / span)), len(sizes) - LEAST_POINTS)
        for span in SPANS
    ]
    dimension, slope = (
        _fit(sizes[starts[0] :], gap.estimate[None, starts[0] :], error[starts[0] :])[i][0]
        for i in range(2)
    )
    drawn = rng.integers(len(starts), size=len(gap.replicates))
    dimensions, slopes = np.empty(len(drawn)), np.empty(len(drawn))
    for k, start in enumerate(starts):
        rows = drawn == k
        dimensions[rows], slopes[rows] = _fit(
            sizes[start:], gap.replicates[rows, start:], error[start:]
        )
    low, high = stated_interval(dimensions, 0.95)
    if not low > 0:
        slope, slopes = np.nan, np.full(len(slopes), np.nan)
    ends = stated_interval(slopes, 0.95)
    return Tail(float(sizes[starts[0]]), float(dimension), low, high, float(slope), *ends)


def _fit(sizes: Floats, gap: Floats, error: Floats) -> tuple[Floats, Floats]:
    """d_eff (at slope -1) and slope of rows of gaps (R, n), by weighted least squares in the gap:
    of d K^-s the best d is a ratio, the best s is searched for on a grid and refined."""

    def best(power: Floats) -> tuple[Floats, Floats]:
        """Coefficient and explained square (R, powers)."""
        curves = (sizes / sizes[-1]) ** -power[:, None] / error  # (powers, n)
        product = (gap / error) @ curves.T
        return product / (curves**2).sum(1), product * np.abs(product) / (curves**2).sum(1)

    dimension = best(np.ones(1))[0][:, 0] * sizes[-1]
    explained = best(POWERS)[1]
    k = np.clip(explained.argmax(1), 1, len(POWERS) - 2)
    left, middle, right = (explained[np.arange(len(k)), k + d] for d in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.divide(left - right, 2 * bend, out=np.zeros(len(k)), where=bend < 0)
    return dimension, -(POWERS[k] + np.clip(shift, -1, 1) * (POWERS[1] - POWERS[0]))
