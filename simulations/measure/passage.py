"""Training-set sizes at which a measured curve passes a level: pure functions of curves.

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

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulations.measure.inputs import strict_share

Floats = NDArray[np.float64]
Direction = Literal["falling", "rising"]


def half_gap_size(train_sizes: ArrayLike, gap: ArrayLike) -> Floats:
    """Training-set size K_half at which the train - held-out gap has fallen to half.

    ``gap(K_half) = gap(K_min) / 2``, the last passage: the bulk of the transition.

    Parameters
    ----------
    train_sizes : (n,) positive, strictly increasing, n at least 2
    gap : (..., n); recovery on training minus recovery on held-out sequences, same t, decoder and
        steps.

    Returns (...) training-set size, +inf when the last point is still at or above half, nan when
    gap(K_min) is not positive (there was no gap to halve) or any point is NaN. Never -inf.

    Raises ValueError on sizes that are not positive and increasing, fewer than 2, or another shape
    than the gap.

    Source: definition ours, phenomenon of arXiv:2604.26841.

    >>> float(half_gap_size([10, 100, 1000], [0.8, 0.6, 0.2]).round(6))
    316.227766
    """
    sizes, curve = curve_iv(train_sizes, gap, "gap")
    first = curve[..., 0]
    return _last_passage(sizes, curve, np.where(first > 0.0, 0.5 * first, np.nan))


def convergence_size(train_sizes: ArrayLike, gap: ArrayLike, tolerance: float = 0.02) -> Floats:
    """Smallest training-set size K_conv from which on the gap stays below a tolerance.

    ``K_conv = min{K : gap(K') < tolerance for all K' > K on the grid}``, interpolated between the
    last point at or above the tolerance and the next.

    Parameters
    ----------
    train_sizes : (n,) positive, strictly increasing, n at least 2
    gap : (..., n); recovery on training minus recovery on held-out sequences.
    tolerance : in (0, 1)

    Returns (...) training-set size, -inf when the gap is below the tolerance everywhere, +inf when
    the last point is not, nan when any point is NaN. Does not rise with the tolerance.

    Raises ValueError as `half_gap_size`, or on a tolerance outside (0, 1).

    Whether the data resolve the tolerance is for `recovery_transition` to say.

    Source: definition ours, phenomenon of arXiv:2604.26841.

    >>> float(convergence_size([10, 100, 1000], [0.8, 0.3, 0.1], 0.2).round(6))
    316.227766
    """
    sizes, curve = curve_iv(train_sizes, gap, "gap")
    hint = "It is a difference of two recoveries: for 2 % pass 0.02."
    return _last_passage(sizes, curve, np.asarray(strict_share("tolerance", tolerance, hint)))


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
    level : broadcasts to (...); NaN where there is none.
    direction : "falling" (fraction of vanishing entropies) or "rising" (mean entropy)

    Returns (...) training-set size, -inf when the curve is past the level everywhere, +inf when the
    last point is not, nan when any point or the level is NaN.

    Raises ValueError as `half_gap_size`, or on an unknown direction or a level that does not
    broadcast.

    Source: definition ours, phenomenon of arXiv:2604.26841.

    >>> float(crossing_size([10, 1000], [0.2, 0.6], 0.4, "rising").round(6))
    100.0
    """
    sizes, table = curve_iv(train_sizes, curve, "curve")
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


def first_rise_size(train_sizes: ArrayLike, curve: ArrayLike, level: ArrayLike) -> Floats:
    """Training-set size at which a curve rises through a level for the first time: the last fall of
    the curve walked from its other end. Parameters as `crossing_size`; -inf when it begins at or
    above the level, +inf when it never reaches it.

    >>> float(first_rise_size([1, 100, 10_000], [0.2, 0.6, 0.1], 0.4).round(6))
    10.0
    """
    sizes = np.asarray(train_sizes, dtype=np.float64)
    table = np.asarray(curve, dtype=np.float64)
    walked = crossing_size(1 / sizes[::-1], table[..., ::-1], level, "falling")
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(np.isinf(walked), -walked, 1 / walked))


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


def last_at_or_above(curve: Floats, level: Floats) -> NDArray[np.intp]:
    """Index (...) of the last point with curve >= level, -1 where there is none."""
    holds = curve >= level[..., None]
    last = curve.shape[-1] - 1 - np.argmax(holds[..., ::-1], axis=-1)
    return np.asarray(np.where(holds.any(axis=-1), last, -1), dtype=np.intp)


def place_of_passage(
    curve: Floats, level: Floats | float, last: NDArray[np.intp]
) -> tuple[NDArray[np.intp], Floats]:
    """The point (...) after which a curve (..., n) falls through `level`, `last` inside the grid,
    and the share of the way to the next point; 0 of the way where the passage is outside."""
    n = curve.shape[-1]
    left, inside = np.clip(last, 0, n - 2), (last >= 0) & (last < n - 1)
    above = np.take_along_axis(curve, left[..., None], axis=-1)[..., 0]
    below = np.take_along_axis(curve, left[..., None] + 1, axis=-1)[..., 0]
    drop = np.where(inside, above - below, 1.0)
    return left, np.where(inside, np.maximum(above - level, 0.0), 0.0) / drop


def censored(found: Floats, last: NDArray[np.intp], n: int, undefined: ArrayLike) -> Floats:
    """What was found (...); -inf and +inf where the grid of n points does not hold it, or nan."""
    found = np.where(last < 0, -np.inf, np.where(last == n - 1, np.inf, found))
    return np.asarray(np.where(undefined, np.nan, found), dtype=np.float64)


def _last_passage(sizes: Floats, curve: Floats, level: Floats) -> Floats:
    """Last downward passage of ``level`` (...), linear in log K; -inf, +inf, nan as in the head."""
    level = np.broadcast_to(level, curve.shape[:-1])
    last = last_at_or_above(curve, level)
    left, share = place_of_passage(curve, level, last)
    # sizes[left] * ratio**share is exact at both ends and scales with the sizes
    found = sizes[left] * (sizes[left + 1] / sizes[left]) ** share
    return censored(found, last, sizes.size, np.isnan(curve).any(axis=-1) | np.isnan(level))


def curve_iv(train_sizes: ArrayLike, curve: ArrayLike, name: str) -> tuple[Floats, Floats]:
    """Sizes (n,) and a curve (..., n) over them, checked. Raises ValueError."""
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
