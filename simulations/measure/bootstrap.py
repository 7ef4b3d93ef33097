"""Bootstrap of ratios of sums, with the sequence and the seed as the units that are resampled.

Tokens of one sequence are strongly correlated (retrieval is all or none for a whole sequence), so
a binomial error over tokens is too small. Here the unit is the *cluster*: all queries made from
one clean sequence, with every corruption drawn of it. Resampling whole clusters carries both the
spread between sequences and the spread between their corruptions.

Pairing is decided by the shape of the call. Everything in the trailing axes of one call (noise
levels, decoders) shares one set of weights; so do seeds that are combined in one call of
`combine_seeds`. Form differences, such as train minus held-out recovery, from replicates of the
same call, or of the same seeds, before they are summarised.
"""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

#: From this number of seeds up, seeds are resampled; below it they are held fixed.
MIN_SEEDS = 5
SEEDS_AND_SEQUENCES = "seeds and sequences"
SEQUENCES_ONLY = "sequences only"

_BLOCK_ELEMENTS = 2**22  # weights held at once: 32 MiB in float64


def cluster_sums(values: ArrayLike, clusters: ArrayLike) -> Floats:
    """Sum the values of all queries that were made from the same sequence.

    ``S_c = sum over queries q with clusters[q] = c of values[q]``.

    Parameters
    ----------
    values : (n, ...), finite or NaN
        Per-query counts or sums; a NaN makes its cluster and column NaN.
    clusters : (n,) integers
        Identity of the sequence each query was made from.

    Returns
    -------
    (n_clusters, ...) float64, in increasing order of the identity.

    Raises
    ------
    ValueError, TypeError
        On shapes that do not agree, no query, infinite values, identities that are not integers.

    Examples
    --------
    >>> cluster_sums([1, 2, 4], [7, 3, 7])
    array([2., 5.])
    """
    table, ids = _values_iv("values", values), _clusters_iv(clusters)
    _same_length_iv("values", table, ids)
    return _sums(table, _order(ids))


def bootstrap_ratio(
    rng: np.random.Generator,
    numerator: ArrayLike,
    denominator: ArrayLike,
    clusters: ArrayLike,
    n_replicates: int = 1000,
    *,
    chunk_size: int | None = None,
) -> tuple[Floats, Floats]:
    """Ratio of sums over queries, and its replicates under resampling of whole sequences.

    ``estimate = sum_c A_c / sum_c B_c`` and ``replicate_r = sum_c W_rc A_c / sum_c W_rc B_c`` with
    ``A, B`` the cluster sums of numerator and denominator and ``W_r`` multinomial weights
    (n_clusters draws, equal probabilities). The same ``W`` serves every trailing column.

    Parameters
    ----------
    rng : Generator
    numerator, denominator : (n, ...), finite or NaN
        Per-query counts, e.g. recovered and corrupted tokens, or summed entropy and number of
        tokens. Same number of axes; trailing axes must broadcast together.
    clusters : (n,) integers
        Identity of the sequence each query was made from.
    n_replicates : at least 2
    chunk_size : at least 1, optional
        Replicates weighted at once. The default keeps the weights below 32 MiB. The draws do not
        depend on it.

    Returns
    -------
    estimate : (...)
        NaN where the denominators sum to zero (nothing was corrupted).
    replicates : (n_replicates, ...)
        NaN where a resampled denominator is zero. **All NaN when there is one cluster only**
        (K = 1): a single sequence says nothing on the spread between sequences, and an interval
        of width zero would be false.

    Raises
    ------
    ValueError, TypeError
        On bad shapes, infinite values, bad counts, or a seed in place of a Generator.

    Notes
    -----
    Cost: n_replicates x n_clusters draws and a product (R, n_clusters) @ (n_clusters, columns).
    Queries are exchangeable: for integer counts, their order does not change one bit. Sharing
    across training-set sizes (the same held-out queries at every K) is had by stacking K as a
    trailing axis.

    Source: cluster bootstrap, Davison and Hinkley, Bootstrap Methods and their Application (1997),
    section 3.8.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> estimate, _ = bootstrap_ratio(rng, [1, 3, 0], [4, 4, 2], [0, 0, 1], 100)
    >>> float(estimate)
    0.4
    """
    _rng_iv(rng)
    n_replicates = _count_iv("n_replicates", n_replicates, at_least=2)
    top, bottom = _values_iv("numerator", numerator), _values_iv("denominator", denominator)
    ids = _clusters_iv(clusters)
    _same_length_iv("numerator", top, ids)
    _same_length_iv("denominator", bottom, ids)
    shape = _ratio_shape_iv(top, bottom)
    order = _order(ids)
    top_sums, bottom_sums = _sums(top, order), _sums(bottom, order)
    estimate = _divide(top_sums.sum(axis=0), bottom_sums.sum(axis=0))
    n_clusters = top_sums.shape[0]
    replicates = np.full((n_replicates, *shape), np.nan)
    if n_clusters == 1:
        return estimate, replicates
    if chunk_size is None:
        chunk_size = max(1, _BLOCK_ELEMENTS // n_clusters)
    chunk_size = _count_iv("chunk_size", chunk_size, at_least=1)
    for start in range(0, n_replicates, chunk_size):
        rows = slice(start, min(start + chunk_size, n_replicates))
        weights = _multinomial_weights(rng, rows.stop - rows.start, n_clusters)
        replicates[rows] = _divide(_weighted(weights, top_sums), _weighted(weights, bottom_sums))
    return estimate, replicates


def over_sequences(replicates: ArrayLike) -> Floats:
    """Replicates of the mean over seeds with the seeds held fixed.

    ``replicate_r = (1/S) sum_s replicates[s, r]``. An interval from these says how the mean of
    *these* seeds would vary with other sequences; it does not speak of other seeds.

    Parameters
    ----------
    replicates : (S, R, ...)
        Independent between seeds. Where all seeds are measured on the same held-out sequences,
        make the seed a trailing axis of one `bootstrap_ratio` call, so that they share weights.

    Returns
    -------
    (R, ...)

    Examples
    --------
    >>> over_sequences([[0.0, 1.0], [2.0, 3.0]])
    array([1., 2.])
    """
    table = _replicates_iv(replicates, "(seeds, replicates, ...)", 2)
    return np.asarray(table.mean(axis=0), dtype=np.float64)


def hierarchical(replicates: ArrayLike, rng: np.random.Generator) -> Floats:
    """Replicates of the mean over seeds with seeds resampled, then sequences within each seed.

    ``replicate_r = 1/(S-1) sum_{j<S} replicates[s_rj, q_rj]`` with ``s_rj`` drawn uniformly with
    replacement and ``q_rj`` a replicate number, permuted anew for each j, so that a seed drawn
    twice has its sequences resampled twice. All trailing axes share the draws.

    Parameters
    ----------
    replicates : (S, R, ...), S at least 2
        Per seed, replicates over sequences from `bootstrap_ratio`.
    rng : Generator

    Returns
    -------
    (R, ...)

    Notes
    -----
    S - 1 seeds are drawn, not S: the variance of the mean of S draws falls short by the factor
    (S-1)/S, that of S - 1 draws does not (Rao and Wu 1988). Resampling sequences within the drawn
    seeds adds their noise a second time, since the spread between seeds holds it already. The
    variance is therefore right when seeds dominate and too large, by at most a factor
    1 + S/(S-1), when sequences dominate. A percentile interval is moreover as short as a normal
    one, about P(|t_{S-1}| < 1.96) at the 95 % level. Measured coverage: 0.84 (S = 5), 0.92
    (S = 10), 0.93 (S = 20) with seed noise alone; 0.97 with equal noise of seeds and sequences.

    Source: J. N. K. Rao and C. F. J. Wu, J. Am. Stat. Assoc. 83, 231 (1988); coverage in
    tests/simulations/measure/test_bootstrap.py.

    Examples
    --------
    >>> hierarchical(np.ones((5, 3)), np.random.default_rng(0))
    array([1., 1., 1.])
    """
    _rng_iv(rng)
    table = _replicates_iv(replicates, "(seeds, replicates, ...)", 2)
    n_seeds, n_replicates = table.shape[:2]
    if n_seeds < 2:
        raise ValueError(
            f"`replicates` must hold at least 2 seeds on its first axis; got {n_seeds}. "
            "One seed cannot be resampled: use over_sequences."
        )
    total: Floats = np.zeros(table.shape[1:])
    for _ in range(n_seeds - 1):
        seed = rng.integers(n_seeds, size=n_replicates)
        total += table[seed, rng.permutation(n_replicates)]
    total /= n_seeds - 1
    return total


def combine_seeds(
    rng: np.random.Generator, estimates: ArrayLike, replicates: ArrayLike
) -> tuple[Floats, Floats, str]:
    """Mean over seeds with its replicates, by the method that the number of seeds allows.

    Parameters
    ----------
    rng : Generator
    estimates : (S, ...)
        Each seed's own estimate.
    replicates : (S, R, ...)
        Each seed's replicates over sequences.

    Returns
    -------
    estimate : (...)
        Mean over seeds.
    replicates : (R, ...)
        From `hierarchical` when S is at least `MIN_SEEDS`, else from `over_sequences`.
    method : "seeds and sequences" or "sequences only"

    Raises
    ------
    ValueError
        When the two arrays do not describe the same seeds and columns.

    Examples
    --------
    >>> combine_seeds(np.random.default_rng(0), [0.2, 0.4], [[0.1, 0.3], [0.3, 0.5]])[2]
    'sequences only'
    """
    _rng_iv(rng)
    table = _replicates_iv(replicates, "(seeds, replicates, ...)", 2)
    means = np.asarray(estimates, dtype=np.float64)
    wanted = (table.shape[0], *table.shape[2:])
    if means.shape != wanted:
        raise ValueError(
            f"`estimates` must have the shape of `replicates` without its replicate axis, "
            f"{wanted}; got {means.shape} beside {table.shape}. Put seeds first, replicates second."
        )
    if table.shape[0] < MIN_SEEDS:
        return means.mean(axis=0), over_sequences(table), SEQUENCES_ONLY
    return means.mean(axis=0), hierarchical(table, rng), SEEDS_AND_SEQUENCES


def interval(replicates: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Percentile interval over the first axis; replicates that are NaN are left out.

    ``low, high`` are the order statistics at ``(1-level)/2`` and ``(1+level)/2``, rounded
    outwards, never interpolated: infinite replicates are legal, and the interval of a monotone
    function of the replicates is that function of the interval (log K or K, all one).

    Parameters
    ----------
    replicates : (R, ...)
        May hold -inf and +inf (below or above a grid) and NaN (undefined).
    level : in (0, 1)

    Returns
    -------
    low, high : (...)
        NaN where no replicate is defined.

    Examples
    --------
    >>> low, high = interval([1.0, np.inf, 2.0, np.nan, 3.0], level=0.5)
    >>> float(low), float(high)
    (1.0, inf)
    """
    table = np.sort(_replicates_iv(replicates, "(replicates, ...)", 1), axis=0)  # NaN sorts last
    tail = (1.0 - _level_iv(level)) / 2.0
    last = np.count_nonzero(~np.isnan(table), axis=0) - 1
    slack = 1e-9  # so that 0.025 * 1000 in floating point is 25
    low = np.clip(np.floor(tail * last + slack), 0, None).astype(np.intp)
    high = np.clip(np.ceil((1.0 - tail) * last - slack), 0, None).astype(np.intp)
    return _row(table, low), _row(table, high)


def standard_error(replicates: ArrayLike) -> Floats:
    """Standard deviation over the first axis; replicates that are NaN are left out.

    Parameters
    ----------
    replicates : (R, ...)

    Returns
    -------
    (...)
        NaN where fewer than two replicates are defined, +inf where one of them is infinite.

    Examples
    --------
    >>> float(standard_error([1.0, 3.0, np.nan]))
    1.4142135623730951
    """
    table = _replicates_iv(replicates, "(replicates, ...)", 1)
    defined, infinite = ~np.isnan(table), np.isinf(table)
    finite = np.where(defined & ~infinite, table, 0.0)
    count = np.count_nonzero(defined, axis=0)
    centred = np.where(defined & ~infinite, table - finite.sum(axis=0) / np.maximum(count, 1), 0.0)
    error = np.sqrt((centred**2).sum(axis=0) / np.maximum(count - 1, 1))
    error = np.where(count < 2, np.nan, error)
    return np.asarray(np.where(infinite.any(axis=0), np.inf, error), dtype=np.float64)


def _order(ids: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order that sorts the queries by cluster, and where each cluster starts in it."""
    order = np.argsort(ids, kind="stable")
    ranked = ids[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    return order, starts


def _sums(values: Floats, order: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Floats:
    return np.asarray(np.add.reduceat(values[order[0]], order[1], axis=0), dtype=np.float64)


def _multinomial_weights(rng: np.random.Generator, n_rows: int, n_clusters: int) -> Floats:
    """(n_rows, n_clusters) counts of n_clusters draws with equal probabilities."""
    drawn = rng.integers(n_clusters, size=(n_rows, n_clusters))
    drawn += n_clusters * np.arange(n_rows)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n_rows * n_clusters)
    return counts.reshape(n_rows, n_clusters).astype(np.float64)


def _weighted(weights: Floats, sums: Floats) -> Floats:
    columns = sums.reshape(sums.shape[0], -1)
    return (weights @ columns).reshape(weights.shape[0], *sums.shape[1:])


def _divide(top: Floats, bottom: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(bottom == 0.0, np.nan, top / bottom), dtype=np.float64)


def _row(table: Floats, index: NDArray[np.intp]) -> Floats:
    return np.asarray(np.take_along_axis(table, index[None], axis=0)[0], dtype=np.float64)


def _values_iv(name: str, values: ArrayLike) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim == 0 or table.shape[0] == 0:
        raise ValueError(
            f"`{name}` must have one row a query, shape (n, ...) with n at least 1; "
            f"got shape {table.shape}. Pass per-query counts, not their totals."
        )
    if np.isinf(table).any():
        raise ValueError(
            f"`{name}` must be finite or NaN; got an infinite value. Cap such values (for "
            "instance -log p of an exact zero) at a stated number before averaging."
        )
    return table


def _clusters_iv(clusters: ArrayLike) -> NDArray[np.integer]:
    ids = np.asarray(clusters)
    if not np.issubdtype(ids.dtype, np.integer):
        raise TypeError(
            f"`clusters` must be integers, one a query; got dtype {ids.dtype}. Number the clean "
            "sequences and give every query the number of its own."
        )
    if ids.ndim != 1:
        raise ValueError(f"`clusters` must have shape (n,); got {ids.shape}. Flatten it first.")
    return ids


def _same_length_iv(name: str, table: Floats, ids: NDArray[np.integer]) -> None:
    if table.shape[0] != ids.shape[0]:
        raise ValueError(
            f"`{name}` and `clusters` must have the same number of queries; got "
            f"{table.shape[0]} and {ids.shape[0]}. Put queries on the first axis."
        )


def _ratio_shape_iv(top: Floats, bottom: Floats) -> tuple[int, ...]:
    try:
        if top.ndim != bottom.ndim:
            raise ValueError
        return np.broadcast_shapes(top.shape[1:], bottom.shape[1:])
    except ValueError:
        raise ValueError(
            "`numerator` and `denominator` must have the same number of axes and trailing axes "
            f"that broadcast; got shapes {top.shape} and {bottom.shape}. Give the denominator "
            "axes of length 1 where it is shared."
        ) from None


def _replicates_iv(replicates: ArrayLike, axes: str, n_axes: int) -> Floats:
    table = np.asarray(replicates, dtype=np.float64)
    if table.ndim < n_axes or 0 in table.shape[:n_axes]:
        raise ValueError(
            f"`replicates` must have axes {axes}, the first {n_axes} not empty; got shape "
            f"{table.shape}. Make them with bootstrap_ratio and stack seeds on axis 0."
        )
    return table


def _level_iv(level: float) -> float:
    if not 0.0 < level < 1.0:
        raise ValueError(
            f"`level` must lie strictly between 0 and 1; got {level}. For 95 % pass 0.95."
        )
    return float(level)


def _count_iv(name: str, value: int, *, at_least: int) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be an integer; got {value!r}. Round it first.") from None
    if count < at_least:
        raise ValueError(f"`{name}` must be at least {at_least}; got {count}. Raise it.")
    return count


def _rng_iv(rng: np.random.Generator) -> None:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"`rng` must be a numpy.random.Generator; got {type(rng).__name__}. "
            "Make one with numpy.random.default_rng(seed)."
        )
