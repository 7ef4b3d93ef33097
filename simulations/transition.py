"""Where the transition from memorization to generalization is, with its interval.

Every size here is a *last passage*: the last point of the grid of training-set sizes K at which a
curve is still on the memorizing side of a level, interpolated linearly in log K to the next point.

============  ======================================================  ==========================
size          curve and level                                         function
============  ======================================================  ==========================
``K_half``    gap = train - held-out recovery, half its first value   `half_gap_size`
``K_conv``    the same gap, a tolerance                               `convergence_size`
``K_H``       fraction of tokens with H < eps, (1 + f_source) / 2     `crossing_size`, falling
``K_H``       mean entropy H, H_source / 2                            `crossing_size`, rising
============  ======================================================  ==========================

A last passage that the grid does not hold is censored: ``-inf`` below the first size, ``+inf``
above the last; ``nan`` is undefined. Percentiles stay meaningful with infinities, so an interval
whose end is infinite reaches past the grid.

Noise moves a last passage upwards, since one late point on the wrong side is enough; replicates
are noisier than the data, so that the upper ends of intervals are the generous ones.

Source: arXiv:2604.26841 for the phenomenon; the definitions are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulations.bootstrap import interval, standard_error

Floats = NDArray[np.float64]
Status = Literal["ok", "below grid", "above grid", "undefined", "upper limit"]
Direction = Literal["falling", "rising"]


@dataclass(frozen=True)
class Curve:
    """One measured curve over training-set sizes, with everything its uncertainty needs.

    Attributes
    ----------
    train_sizes : (n,) increasing
    estimate : (n,)
        Mean over seeds.
    replicates : (R, n)
        Bootstrap replicates of the estimate, from `bootstrap.combine_seeds`.
    per_seed : (S, n)
        Each seed's own curve.
    method : what was resampled, as `bootstrap.combine_seeds` names it.
    """

    train_sizes: Floats = field(repr=False)
    estimate: Floats = field(repr=False)
    replicates: Floats = field(repr=False)
    per_seed: Floats = field(repr=False)
    method: str

    def __post_init__(self) -> None:
        for name, n_axes in (("estimate", 1), ("replicates", 2), ("per_seed", 2)):
            sizes, table = _curve_iv(self.train_sizes, getattr(self, name), name)
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

    Attributes
    ----------
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


def half_gap_size(train_sizes: ArrayLike, gap: ArrayLike) -> Floats:
    """Training-set size K_half at which the train - held-out gap has fallen to half.

    ``gap(K_half) = gap(K_min) / 2``, the last passage: the bulk of the transition.

    Parameters
    ----------
    train_sizes : (n,) positive, strictly increasing, n at least 2
    gap : (..., n)
        Recovery on training minus recovery on held-out sequences, same t, decoder and steps.

    Returns
    -------
    (...) training-set size
        +inf when the last point is still at or above half, nan when gap(K_min) is not positive
        (there was no gap to halve) or any point is NaN. Never -inf.

    Raises
    ------
    ValueError
        On sizes that are not positive and increasing, fewer than 2, or another shape than the gap.

    Source: definition ours, phenomenon of arXiv:2604.26841.

    Examples
    --------
    >>> float(half_gap_size([10, 100, 1000], [0.8, 0.6, 0.2]).round(6))
    316.227766
    """
    sizes, curve = _curve_iv(train_sizes, gap, "gap")
    first = curve[..., 0]
    return _last_passage(sizes, curve, np.where(first > 0.0, 0.5 * first, np.nan))


def convergence_size(train_sizes: ArrayLike, gap: ArrayLike, tolerance: float = 0.02) -> Floats:
    """Smallest training-set size K_conv from which on the gap stays below a tolerance.

    ``K_conv = min{K : gap(K') < tolerance for all K' > K on the grid}``, interpolated between the
    last point at or above the tolerance and the next.

    Parameters
    ----------
    train_sizes : (n,) positive, strictly increasing, n at least 2
    gap : (..., n)
        Recovery on training minus recovery on held-out sequences.
    tolerance : in (0, 1)

    Returns
    -------
    (...) training-set size
        -inf when the gap is below the tolerance everywhere, +inf when the last point is not, nan
        when any point is NaN. Does not rise with the tolerance.

    Raises
    ------
    ValueError
        As `half_gap_size`, or on a tolerance outside (0, 1).

    Notes
    -----
    Whether the data resolve the tolerance is for `recovery_transition` to say.

    Source: definition ours, phenomenon of arXiv:2604.26841.

    Examples
    --------
    >>> float(convergence_size([10, 100, 1000], [0.8, 0.3, 0.1], 0.2).round(6))
    316.227766
    """
    sizes, curve = _curve_iv(train_sizes, gap, "gap")
    return _last_passage(sizes, curve, np.asarray(_tolerance_iv(tolerance)))


def crossing_size(
    train_sizes: ArrayLike,
    curve: ArrayLike,
    level: ArrayLike,
    direction: Direction = "falling",
) -> Floats:
    """Training-set size at which a curve passes a level for the last time.

    Falling: ``min{K : curve(K') < level for all K' > K on the grid}``; rising: the same with
    ``>``. Gives K_H with the levels of `vanishing_level` and `entropy_level`.

    Parameters
    ----------
    train_sizes : (n,) positive, strictly increasing, n at least 2
    curve : (..., n)
    level : broadcasts to (...)
        NaN where there is none.
    direction : "falling" (fraction of vanishing entropies) or "rising" (mean entropy)

    Returns
    -------
    (...) training-set size
        -inf when the curve is past the level everywhere, +inf when the last point is not, nan
        when any point or the level is NaN.

    Raises
    ------
    ValueError
        As `half_gap_size`, or on an unknown direction or a level that does not broadcast.

    Source: definition ours, phenomenon of arXiv:2604.26841.

    Examples
    --------
    >>> float(crossing_size([10, 1000], [0.2, 0.6], 0.4, "rising").round(6))
    100.0
    """
    sizes, table = _curve_iv(train_sizes, curve, "curve")
    if direction not in ("falling", "rising"):
        raise ValueError(
            f'`direction` must be "falling" or "rising"; got {direction!r}. A fraction of '
            "vanishing entropies falls with the training-set size, a mean entropy rises."
        )
    levels = np.asarray(level, dtype=np.float64)
    try:
        levels = np.broadcast_to(levels, table.shape[:-1])
    except ValueError:
        raise ValueError(
            f"`level` must broadcast to the leading axes {table.shape[:-1]} of `curve`; got shape "
            f"{levels.shape}. Give one level a replicate, or one for all."
        ) from None
    sign = 1.0 if direction == "falling" else -1.0
    return _last_passage(sizes, sign * table, sign * levels)


def vanishing_level(plateau: ArrayLike) -> Floats:
    """Level ``(1 + f_source) / 2`` half-way from memory (f = 1) to the source's own fraction.

    ``f`` is the fraction of tokens whose predictive entropy is below eps. ``plateau`` (...) is
    f_source, in [0, 1]. Source: definition ours.
    """
    return 0.5 * (1.0 + np.asarray(plateau, dtype=np.float64))


def entropy_level(plateau: ArrayLike) -> Floats:
    """Level ``H_source / 2`` half-way from memory (H = 0) to the source's own mean entropy.

    ``plateau`` (...) is H_source in nats a token; a plateau that is not positive has no level
    (NaN). Source: definition ours.
    """
    source = np.asarray(plateau, dtype=np.float64)
    return np.asarray(np.where(source > 0.0, 0.5 * source, np.nan), dtype=np.float64)


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

    Returns
    -------
    Estimate
        The interval is one of log K (and so of K: percentiles are order statistics). It is nan
        when more than ``1 - level`` of the replicates are undefined, as for a curve that has a
        point with one sequence only: no interval at that level can be stated.

    Examples
    --------
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
    low, high = interval(sizes, level)
    n_undefined = int(np.count_nonzero(np.isnan(sizes)))
    stated = n_undefined <= (1.0 - level) * sizes.size + 1e-9
    return Estimate(
        name=name,
        value=float(value),
        low=float(low) if stated else np.nan,
        high=float(high) if stated else np.nan,
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
    gap : Curve
        Train minus held-out recovery; replicates paired through the same seeds.
    tolerance : in (0, 1)
        Of K_conv.
    level : of the intervals, in (0, 1)

    Returns
    -------
    half, convergence : Estimate
        The second has status "upper limit" unless the tolerance exceeds two standard errors of
        the gap at the points that decide it: the last at or above the tolerance and the next, or
        the end of the grid that censors it. Then ``low`` is -inf, and K_conv is at most ``high``
        is all that is claimed. "above grid" stays when the last gap exceeds the tolerance by two
        standard errors, however small the tolerance.

    Source: definitions ours, phenomenon of arXiv:2604.26841.

    Examples
    --------
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
    return half, _as_upper_limit(convergence)


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
    vanishing : Curve, optional
        Fraction of tokens with entropy below a stated eps, in [0, 1].
    entropy : Curve, optional
        Mean entropy a token, nats.
    source_vanishing : in [0, 1), optional
        The same fraction under the exact law of the source. When absent, the curve's own value
        at the largest training-set size, replicate by replicate.
    source_entropy : positive, optional
        The mean entropy under the exact law; absent as above.
    level : of the intervals, in (0, 1)

    Returns
    -------
    tuple of Estimate
        Named "K_H vanishing" and "K_H entropy", for the curves given, in this order. ``relative``
        is set where the plateau is the curve's own: such a size lies on the grid by construction,
        and is too small when the curve still moves at its last point.

    Source: definitions ours, phenomenon of arXiv:2604.26841.

    Examples
    --------
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


def _as_upper_limit(size: Estimate) -> Estimate:
    return Estimate(**{**size.__dict__, "low": -np.inf, "status": "upper limit"})


def _deciding_error(gap: Curve, tolerance: float) -> float:
    """Largest standard error of the gap at the points between which K_conv lies; may be NaN."""
    errors = standard_error(gap.replicates)
    last = int(_last_at_or_above(gap.estimate, np.asarray(tolerance)))
    return float(np.max(errors[max(last, 0) : last + 2]))


def _last_at_or_above(curve: Floats, level: Floats) -> NDArray[np.intp]:
    """Index (...) of the last point with curve >= level, -1 where there is none."""
    holds = curve >= level[..., None]
    last = curve.shape[-1] - 1 - np.argmax(holds[..., ::-1], axis=-1)
    return np.asarray(np.where(holds.any(axis=-1), last, -1), dtype=np.intp)


def _last_passage(sizes: Floats, curve: Floats, level: Floats) -> Floats:
    """Last downward passage of ``level`` (...), linear in log K; -inf, +inf, nan as in the head."""
    n_sizes = sizes.size
    level = np.broadcast_to(level, curve.shape[:-1])
    last = _last_at_or_above(curve, level)
    left = np.clip(last, 0, n_sizes - 2)
    inside = (last >= 0) & (last < n_sizes - 1)
    above = np.take_along_axis(curve, left[..., None], axis=-1)[..., 0]
    below = np.take_along_axis(curve, left[..., None] + 1, axis=-1)[..., 0]
    drop = np.where(inside, above - below, 1.0)
    share = np.where(inside, above - level, 0.0) / drop
    # sizes[left] * ratio**share is exact at both ends and scales with the sizes
    found = sizes[left] * (sizes[left + 1] / sizes[left]) ** share
    found = np.where(last < 0, -np.inf, np.where(last == n_sizes - 1, np.inf, found))
    undefined = np.isnan(curve).any(axis=-1) | np.isnan(level)
    return np.asarray(np.where(undefined, np.nan, found), dtype=np.float64)


def _curve_iv(train_sizes: ArrayLike, curve: ArrayLike, name: str) -> tuple[Floats, Floats]:
    sizes = np.asarray(train_sizes, dtype=np.float64)
    table = np.asarray(curve, dtype=np.float64)
    if sizes.ndim != 1 or sizes.size < 2:
        raise ValueError(
            f"`train_sizes` must hold at least 2 sizes on one axis; got shape {sizes.shape}. "
            "A transition needs a point on either side: add training-set sizes."
        )
    if not (np.all(sizes > 0.0) and np.all(np.isfinite(sizes)) and np.all(np.diff(sizes) > 0.0)):
        raise ValueError(
            "`train_sizes` must be positive, finite and strictly increasing; got "
            f"{sizes.tolist()}. Sort the sizes, and the curve with them, and merge repeated ones."
        )
    if table.ndim == 0 or table.shape[-1] != sizes.size:
        raise ValueError(
            f"`{name}` must have its last axis over train_sizes, length {sizes.size}; got shape "
            f"{table.shape}. Move that axis to the end."
        )
    if np.isinf(table).any():
        raise ValueError(
            f"`{name}` must be finite or NaN; got an infinite value. Mark points that were not "
            "measured with NaN, or leave them out of the grid."
        )
    return sizes, table


def _tolerance_iv(tolerance: float) -> float:
    if not 0.0 < tolerance < 1.0:
        raise ValueError(
            f"`tolerance` must lie strictly between 0 and 1; got {tolerance}. It is a difference "
            "of two recoveries: for 2 % pass 0.02."
        )
    return float(tolerance)
