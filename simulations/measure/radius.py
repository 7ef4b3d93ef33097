"""Basin radius: the largest noise level up to which a criterion still holds.

A rate measured at increasing noise levels t (share of corrupted tokens restored, or share of
queries decoded to the right stored sequence) is made non-increasing by an isotonic fit and read
off where it passes a threshold, linearly in t. A radius outside the measured levels is censored,
never extrapolated: ``-inf`` when the rate is below the threshold at the first level already,
``+inf`` when it is not below it at the last. Criterion and threshold belong to every report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulations.measure.bootstrap import stated_interval
from simulations.measure.inputs import strict_share
from simulations.measure.passage import censored, place_of_passage

Floats = NDArray[np.float64]
_ROUNDING = 1e-12  # a pooled rate this close below the threshold has met it

RadiusStatus = Literal["ok", "censored below", "censored above", "undefined"]


@dataclass(frozen=True)
class Radius:
    """A basin radius with its interval.

    value : noise level t; -inf, +inf or nan when censored or undefined, see `status`
    low, high : percentile interval, with the same codes; nan when not available
    status : "ok", "censored below" (the first level), "censored above" (the last), "undefined"
    criterion : what the rate counts, e.g. "exact" or "token_recovery"
    threshold : of the rate, in (0, 1)
    """

    value: float
    low: float
    high: float
    status: RadiusStatus
    criterion: str
    threshold: float


def isotonic_decreasing(rate: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Non-increasing sequence nearest to ``rate`` in weighted least squares, for many at once.

    ``fit_j = min over k <= j of max over l >= j of mean(rate[k..l])``, the min-max form of what
    pool-adjacent-violators computes.

    Parameters
    ----------
    rate : (..., n), finite or NaN
    weights : broadcasts to (..., n), positive, optional; for instance the number of corrupted
        tokens. Equal by default.

    Returns (..., n), all NaN where any of the n rates is NaN.

    O(n^2) a sequence with n vector operations over all leading axes: meant for some tens of
    levels and thousands of replicates. For one long sequence use
    scipy.optimize.isotonic_regression, to which the tests hold this one.

    Source: Robertson, Wright and Dykstra, Order Restricted Statistical Inference (1988),
    section 1.4.

    >>> isotonic_decreasing([1.0, 0.2, 0.4])
    array([1. , 0.3, 0.3])
    """
    table = np.asarray(rate, dtype=np.float64)
    if table.ndim == 0 or table.shape[-1] == 0:
        raise ValueError(
            f"`rate` must have noise levels on its last axis; got shape {table.shape}. "
            "Give at least one level."
        )
    weight = _weights_iv(weights, table.shape)
    n_levels = table.shape[-1]
    fit: Floats = np.full(table.shape, np.inf)
    for start in range(n_levels):
        tail_weight = np.cumsum(weight[..., start:], axis=-1)
        means = np.cumsum((weight * table)[..., start:], axis=-1) / tail_weight
        highest = np.maximum.accumulate(means[..., ::-1], axis=-1)[..., ::-1]
        fit[..., start:] = np.minimum(fit[..., start:], highest)
    return fit  # a NaN reaches every level by itself, from the right or through k = 0


def basin_radius(
    t: ArrayLike,
    rate: ArrayLike,
    threshold: float = 0.5,
    *,
    weights: ArrayLike | None = None,
) -> Floats:
    """Largest noise level at which the monotone fit of a rate is at or above a threshold.

    ``t* = max{t : fit(t) >= threshold}``, the fit piecewise linear between the levels.

    Parameters
    ----------
    t : (n,) noise levels, strictly increasing, in [0, 1], n at least 2
    rate : (..., n), in [0, 1] or NaN
    threshold : in (0, 1)
    weights : broadcasts to (..., n), positive, optional; of the levels in the fit; equal by
        default.

    Returns (...) noise level, -inf when the fit is below the threshold at the first level, +inf
    when it is not below it at the last, nan when any rate is NaN. Does not rise with the threshold.

    Raises ValueError on levels, rates, weights or a threshold outside their range, or shapes that
    disagree.

    Source: definition ours; the fit as in `isotonic_decreasing`.

    >>> float(basin_radius([0.1, 0.3, 0.5], [1.0, 0.8, 0.2]).round(6))
    0.4
    """
    levels, table = _levels_iv(t, rate)
    threshold = strict_share("threshold", threshold, "It is a share: for one half pass 0.5.")
    fit = isotonic_decreasing(table, weights)
    last = np.count_nonzero(fit >= threshold - _ROUNDING, axis=-1) - 1  # the fit falls
    left, share = place_of_passage(fit, threshold, last)
    found = levels[left] + share * (levels[left + 1] - levels[left])
    return censored(found, last, levels.size, np.isnan(table).any(axis=-1))


def radius_estimate(
    t: ArrayLike,
    rate: ArrayLike,
    replicates: ArrayLike,
    *,
    criterion: str,
    threshold: float = 0.5,
    level: float = 0.95,
    weights: ArrayLike | None = None,
) -> Radius:
    """Basin radius of one measured curve with its percentile interval.

    Parameters
    ----------
    t : (n,) noise levels, strictly increasing, in [0, 1]
    rate : (n,) in [0, 1]
    replicates : (R, n); bootstrap replicates of the rate, from `bootstrap.combine_seeds`.
    criterion : what the rate counts, e.g. "exact" or "token_recovery"
    threshold : in (0, 1)
    level : of the interval, in (0, 1)
    weights : (n,) positive, optional

    Returns a Radius, whose interval is nan when more than ``1 - level`` of the replicates are
    undefined.

    >>> rate = np.array([1.0, 0.8, 0.2])
    >>> found = radius_estimate([0.1, 0.3, 0.5], rate, rate[None], criterion="exact")
    >>> describe(found, [0.1, 0.3, 0.5])
    '0.40 [0.40, 0.40]'
    """
    table, copies = np.asarray(rate, dtype=np.float64), np.asarray(replicates, dtype=np.float64)
    if table.ndim != 1 or copies.ndim != 2:
        raise ValueError(
            f"`rate` must have shape (n,) and `replicates` (R, n); got {table.shape} and "
            f"{copies.shape}. Make one Radius for each training-set size and split."
        )
    value = float(basin_radius(t, table, threshold, weights=weights))
    radii = basin_radius(t, copies, threshold, weights=weights)
    low, high = stated_interval(radii, level)
    return Radius(value, low, high, _status(value), criterion, float(threshold))


def describe(radius: Radius, levels: ArrayLike, *, digits: int = 2) -> str:
    """Radius in a few characters: ``0.43 [0.41, 0.46]``, ``> 0.75``, ``0.71 [0.66, > 0.75]``.

    Parameters
    ----------
    radius : Radius
    levels : (n,) the noise levels that were measured; the ends bound what is censored
    digits : decimals of what was measured; the ends of the levels are written as they are

    Returns text. The interval is left out when it lies, with the value, beyond the same end of the
    levels, or when it is not available.

    >>> describe(Radius(np.inf, 0.7, np.inf, "censored above", "exact", 0.5), [0.05, 0.75])
    '> 0.75 [0.70, > 0.75]'
    """
    ends = np.asarray(levels, dtype=np.float64)
    if ends.size == 0:
        raise ValueError("`levels` must hold the measured noise levels; got none. Pass t.")

    def text(value: float) -> str:
        if np.isinf(value):
            return f"> {ends.max():.4g}" if value > 0 else f"< {ends.min():.4g}"
        return f"{value:.{digits}f}"

    if radius.status == "undefined":
        return "undefined"
    ends_missing = np.isnan(radius.low) or np.isnan(radius.high)
    all_beyond = np.isinf(radius.value) and radius.low == radius.high == radius.value
    if ends_missing or all_beyond:
        return text(radius.value)
    return f"{text(radius.value)} [{text(radius.low)}, {text(radius.high)}]"


def _status(value: float) -> RadiusStatus:
    if np.isnan(value):
        return "undefined"
    if np.isinf(value):
        return "censored above" if value > 0 else "censored below"
    return "ok"


def _levels_iv(t: ArrayLike, rate: ArrayLike) -> tuple[Floats, Floats]:
    levels, table = np.asarray(t, dtype=np.float64), np.asarray(rate, dtype=np.float64)
    if levels.ndim != 1 or levels.size < 2:
        raise ValueError(
            f"`t` must hold at least 2 noise levels on one axis; got shape {levels.shape}. "
            "Measure the rate on either side of the threshold."
        )
    in_range = np.all((levels >= 0.0) & (levels <= 1.0))
    if not (in_range and np.all(np.diff(levels) > 0.0)):
        raise ValueError(
            f"`t` must be strictly increasing and lie in [0, 1]; got {levels.tolist()}. Sort the "
            "levels, and the rates with them; a step index must be divided by the number of steps."
        )
    if table.ndim == 0 or table.shape[-1] != levels.size:
        raise ValueError(
            f"`rate` must have its last axis over t, length {levels.size}; got shape "
            f"{table.shape}. Move that axis to the end."
        )
    outside = table[(table < -_ROUNDING) | (table > 1.0 + _ROUNDING)]
    if outside.size:
        raise ValueError(
            f"`rate` must lie in [0, 1] or be NaN; got {outside.flat[0]}. "
            "Divide percentages by 100, and counts by their totals."
        )
    return levels, table


def _weights_iv(weights: ArrayLike | None, shape: tuple[int, ...]) -> Floats:
    weight = np.ones(shape[-1]) if weights is None else np.asarray(weights, dtype=np.float64)
    try:
        weight = np.broadcast_to(weight, shape)
    except ValueError:
        raise ValueError(
            f"`weights` must broadcast to the shape of `rate`, {shape}; got {weight.shape}. "
            "Give one weight a level."
        ) from None
    if not (np.all(weight > 0.0) and np.all(np.isfinite(weight))):
        raise ValueError(
            f"`weights` must be positive and finite; got {np.min(weight)} as the smallest. "
            "Leave out levels at which nothing was counted."
        )
    return weight
