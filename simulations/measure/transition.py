"""Where the transition from memorization to generalization is, with its interval.

The sizes themselves, K_half, K_conv and K_H, are defined in `simulations.measure.passage`; here
they are taken of measured curves with their bootstrap replicates and become estimates with
intervals.

Source: arXiv:2604.26841 for the phenomenon; the definitions are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulations.measure.bootstrap import standard_error, stated_interval
from simulations.measure.passage import (
    convergence_size,
    crossing_size,
    curve_iv,
    entropy_level,
    half_gap_size,
    last_at_or_above,
    vanishing_level,
)

Floats = NDArray[np.float64]
Status = Literal["ok", "below grid", "above grid", "undefined", "upper limit"]


@dataclass(frozen=True)
class Curve:
    """One measured curve over training-set sizes, with everything its uncertainty needs.

    train_sizes : (n,) increasing
    estimate : (n,); mean over seeds.
    replicates : (R, n); bootstrap replicates of the estimate, from `bootstrap.combine_seeds`.
    per_seed : (S, n); each seed's own curve.
    method : what was resampled, as `bootstrap.combine_seeds` names it.
    """

    train_sizes: Floats = field(repr=False)
    estimate: Floats = field(repr=False)
    replicates: Floats = field(repr=False)
    per_seed: Floats = field(repr=False)
    method: str

    def __post_init__(self) -> None:
        for name, n_axes in (("estimate", 1), ("replicates", 2), ("per_seed", 2)):
            sizes, table = curve_iv(self.train_sizes, getattr(self, name), name)
            if table.ndim != n_axes:
                raise ValueError(
                    f"`{name}` must have {n_axes} axes, the last over train_sizes; got shape "
                    f"{table.shape}. Give one Curve for each noise level and decoder."
                )
            object.__setattr__(self, name, table)
        object.__setattr__(self, "train_sizes", sizes)


@dataclass(frozen=True)
class Estimate:
    """A training-set size with its interval.

    name : what was estimated
    value : training-set size; -inf, +inf or nan when censored or undefined, see `status`
    low, high : percentile interval; an infinite end reaches past the grid, nan is not available
    status : "ok", "below grid", "above grid", "undefined", or "upper limit" (only `high` is
        claimed: the tolerance is not resolved by the data)
    per_seed : the size from each seed's own curve, with the same codes as `value`
    method : what was resampled
    n_replicates : replicates behind the interval, undefined ones not counted
    n_undefined : replicates in which the size is undefined
    relative : the level was taken from the curve itself, at the largest training-set size
    """

    name: str
    value: float
    low: float
    high: float
    status: Status
    per_seed: tuple[float, ...]
    method: str
    n_replicates: int
    n_undefined: int = 0
    relative: bool = False


def as_estimate(
    name: str,
    value: float,
    replicates: ArrayLike,
    per_seed: ArrayLike,
    method: str,
    *,
    level: float = 0.95,
    relative: bool = False,
) -> Estimate:
    """Record of a size with its percentile interval and its status.

    Parameters
    ----------
    name : what is estimated
    value : training-set size, -inf, +inf or nan
    replicates : (R,) the size in each bootstrap replicate
    per_seed : (S,) the size from each seed's own curve
    method : what was resampled, as `bootstrap.combine_seeds` names it
    level : of the interval, in (0, 1)
    relative : the level that was passed came from the curve itself

    Returns an Estimate. Its interval is one of log K (and so of K: percentiles are order
    statistics). It is nan when more than ``1 - level`` of the replicates are undefined, as for a
    curve that has a point with one sequence only: no interval at that level can be stated.

    >>> as_estimate("K_half", 30.0, [20.0, 30.0, 40.0], [30.0], "sequences only").high
    40.0
    """
    sizes = np.asarray(replicates, dtype=np.float64)
    seeds = np.asarray(per_seed, dtype=np.float64)
    if sizes.ndim != 1 or seeds.ndim != 1:
        raise ValueError(
            "`replicates` and `per_seed` must be one-dimensional; got shapes "
            f"{sizes.shape} and {seeds.shape}. Make one Estimate for each noise level."
        )
    low, high = stated_interval(sizes, level)
    n_undefined = int(np.count_nonzero(np.isnan(sizes)))
    return Estimate(
        name=name,
        value=float(value),
        low=low,
        high=high,
        status=_status(float(value)),
        per_seed=tuple(seeds.tolist()),
        method=method,
        n_replicates=sizes.size - n_undefined,
        n_undefined=n_undefined,
        relative=relative,
    )


def recovery_transition(
    gap: Curve, tolerance: float = 0.02, *, level: float = 0.95
) -> tuple[Estimate, Estimate]:
    """K_half and K_conv of one train - held-out gap, with intervals.

    Parameters
    ----------
    gap : Curve; train minus held-out recovery; replicates paired through the same seeds.
    tolerance : in (0, 1); of K_conv.
    level : of the intervals, in (0, 1)

    Returns two Estimates. The second has status "upper limit" unless the tolerance
    exceeds two standard errors of the gap at the points that decide it: the last at or above the
    tolerance and the next, or the end of the grid that censors it. Then ``low`` is -inf, and K_conv
    is at most ``high`` is all that is claimed. "above grid" stays when the last gap exceeds the
    tolerance by two standard errors, however small the tolerance.

    Source: definitions ours, phenomenon of arXiv:2604.26841.

    >>> table = np.array([[0.8, 0.6, 0.01]])
    >>> gap = Curve([10, 100, 1000], table[0], table.repeat(9, axis=0), table, "sequences only")
    >>> [(size.name, size.status) for size in recovery_transition(gap)]
    [('K_half', 'ok'), ('K_conv', 'ok')]
    """
    half = _from_curve("K_half", gap, half_gap_size, level)
    convergence = _from_curve(
        "K_conv", gap, lambda sizes, curve: convergence_size(sizes, curve, tolerance), level
    )
    error = _deciding_error(gap, tolerance)
    not_yet = convergence.status == "above grid" and gap.estimate[-1] > tolerance + 2.0 * error
    if tolerance > 2.0 * error or not_yet or convergence.status == "undefined":
        return half, convergence
    return half, replace(convergence, low=-np.inf, status="upper limit")


def entropy_transition(
    *,
    vanishing: Curve | None = None,
    entropy: Curve | None = None,
    source_vanishing: float | None = None,
    source_entropy: float | None = None,
    level: float = 0.95,
) -> tuple[Estimate, ...]:
    """K_H from conditional entropies alone, by one or both criteria.

    ``f_eps(K_H) = (1 + f_source) / 2`` (falling) and ``H(K_H) = H_source / 2`` (rising), on
    training or on generated sequences, from the leave-one-out law at small t. Held-out sequences
    alone do not do: a memorizer is confident, and wrong, there too.

    Parameters
    ----------
    vanishing : Curve, optional; fraction of tokens with entropy below a stated eps, in [0, 1].
    entropy : Curve, optional; mean entropy a token, nats.
    source_vanishing : in [0, 1), optional; the same fraction under the exact law of the source.
        When absent, the curve's own value at the largest training-set size, replicate by replicate.
    source_entropy : positive, optional; the mean entropy under the exact law; absent as above.
    level : of the intervals, in (0, 1)

    Returns Estimates named "K_H vanishing" and "K_H entropy", for the curves given, in
    this order. ``relative`` is set where the plateau is the curve's own: such a size lies on the
    grid by construction, and is too small when the curve still moves at its last point.

    Source: definitions ours, phenomenon of arXiv:2604.26841.

    >>> table = np.array([[1.0, 0.8, 0.2]])
    >>> f = Curve([10, 100, 1000], table[0], table.repeat(9, axis=0), table, "sequences only")
    >>> round(entropy_transition(vanishing=f, source_vanishing=0.0)[0].value, 6)
    316.227766
    """
    if vanishing is None and entropy is None:
        raise ValueError(
            "`entropy_transition` needs at least one of `vanishing` and `entropy`; got neither. "
            "Pass the curve of the criterion you want."
        )
    if source_vanishing is not None and not 0.0 <= source_vanishing < 1.0:
        raise ValueError(
            f"`source_vanishing` must lie in [0, 1); got {source_vanishing}. A source whose every "
            "entropy is below eps shows no transition at this eps: choose a smaller eps."
        )
    if source_entropy is not None and not 0.0 < source_entropy < np.inf:
        raise ValueError(
            f"`source_entropy` must be positive and finite; got {source_entropy}. A source "
            "without entropy cannot be told from memory by entropy."
        )

    def fraction_size(sizes: ArrayLike, curve: Floats) -> Floats:
        plateau = curve[..., -1] if source_vanishing is None else source_vanishing
        return crossing_size(sizes, curve, vanishing_level(plateau), "falling")

    def entropy_size(sizes: ArrayLike, curve: Floats) -> Floats:
        plateau = curve[..., -1] if source_entropy is None else source_entropy
        return crossing_size(sizes, curve, entropy_level(plateau), "rising")

    found = []
    if vanishing is not None:
        relative = source_vanishing is None
        found.append(_from_curve("K_H vanishing", vanishing, fraction_size, level, relative))
    if entropy is not None:
        relative = source_entropy is None
        found.append(_from_curve("K_H entropy", entropy, entropy_size, level, relative))
    return tuple(found)


def _from_curve(
    name: str,
    curve: Curve,
    size: Callable[[Floats, Floats], Floats],
    level: float,
    relative: bool = False,
) -> Estimate:
    return as_estimate(
        name,
        float(size(curve.train_sizes, curve.estimate)),
        size(curve.train_sizes, curve.replicates),
        size(curve.train_sizes, curve.per_seed),
        curve.method,
        level=level,
        relative=relative,
    )


def _status(value: float) -> Status:
    if np.isnan(value):
        return "undefined"
    if np.isinf(value):
        return "above grid" if value > 0 else "below grid"
    return "ok"


def _deciding_error(gap: Curve, tolerance: float) -> float:
    """Largest standard error of the gap at the points between which K_conv lies; may be NaN."""
    errors = standard_error(gap.replicates)
    last = int(last_at_or_above(gap.estimate, np.asarray(tolerance)))
    return float(np.max(errors[max(last, 0) : last + 2]))
