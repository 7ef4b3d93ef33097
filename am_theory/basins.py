"""Basins of attraction: how much noise a memory of random sequences survives, and any could.

Setting and arguments as in `am_theory.empirical`, which names these functions too. The bounds hold
for every rule, iterated or not, trained or built, that knows all K stored sequences and the kept
fraction, as long as the queried one is chosen at random, the channel alters tokens independently
and "retrieved" means equal to it. Corruption by an adversary is another matter (see
`minimum_distance`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory import _masked
from am_theory._inputs import bare
from am_theory._last_time import last_time, threshold_iv
from am_theory._random_patterns import (
    Floats,
    choice_probability,
    finish,
    log_noise,
    problem_iv,
    sizes_iv,
    true_matches,
)
from am_theory.channels import Channel
from am_theory.random_coding import converse, critical_alpha
from am_theory.schedules import Schedule

__all__ = [
    "ShannonBound",
    "ShannonRadius",
    "basin_radius",
    "minimum_distance",
    "shannon_bound",
    "shannon_radius",
]


@dataclass(frozen=True)
class ShannonBound:
    """Upper bounds on the exact-retrieval probability of any memory; see `shannon_bound`.

    Attributes
    ----------
    P_map : on average over random sets of sequences, the right index.
    P_converse : for every set of sequences.
    duplicates : what counting equal sequences as right can add to `P_map`, at most.
    alpha_c : kept fraction at which both turn into a step as L grows, NaN for K > V^L.
    """

    P_map: Any
    P_converse: Any
    duplicates: Any
    alpha_c: Any


@dataclass(frozen=True)
class ShannonRadius:
    """Upper bounds on the basin radius of any memory, as noise levels; see `shannon_radius`.

    Attributes
    ----------
    t_map : on average over random sets of sequences.
    t_converse : for every set of sequences.
    t_c : limit of both as L grows at fixed log K / L; NaN for K > V^L.
    """

    t_map: Any
    t_converse: Any
    t_c: Any


def basin_radius(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    threshold: float = 0.5,
    schedule: Schedule | None = None,
    *,
    channel: Channel | None = None,
) -> Any:
    """Return the largest noise level t at which exact retrieval still succeeds often enough.

    t* = max {t : retrieval_probability(K, L, V, alpha(t)) >= threshold}.

    Parameters
    ----------
    train_size, seq_len, vocab_size : as `retrieval_probability`.
    threshold : number in (0, 1).
    schedule : anything with `alpha(t)`, falling in t; `LogLinear()` when left out.
    channel : as `retrieval_probability`.

    Returns
    -------
    Shape of `train_size`, in [0, 1]. It is 1.0 when even t = 1 meets the threshold (few sequences,
    such as K = 1), and NaN when not even t = 0 does (more sequences than V^L can tell apart).

    Raises as `retrieval_probability`, and ValueError for a `threshold` outside of (0, 1).

    Unit: dimensionless, noise level t.

    Source: derived in tests/am_theory/test_empirical.py, by bisection: the probability falls
    with t.

    >>> round(basin_radius(1000, 32, 4, 0.5), 6)
    0.642914
    """
    threshold_iv(threshold)
    size, L, V = sizes_iv(train_size, seq_len, vocab_size)
    masking = _masked.masking_iv(channel, V)
    g = choice_probability(size, log_noise(L, V))

    def success(alpha: Floats) -> Any:
        if masking is not None:
            return _masked.retrieval(masking, _masked.Problem(size, L, V, alpha))
        return np.vecdot(g, true_matches(L, V, alpha))

    return last_time(success, threshold, size.shape, schedule)


def shannon_bound(
    train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike
) -> ShannonBound:
    """Return what no associative memory of random sequences can do better than, at finite size.

    P <= P_MAP(K, L, V, alpha) on average over random sets;   P <= exp(-L E_sc(log K / L)) for every
    set;   both tend to a step at C(alpha_c) = log K / L.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [0, 1]; probability that a token is kept.

    Returns
    -------
    ShannonBound with fields of the broadcast shape (`alpha_c`: the shape of `train_size`).

    Raises
    ------
    As `retrieval_probability`.

    Notes
    -----
    All-token recovery of a memory is bounded by the Bayes choice token by token instead, for which
    no closed form is known; recovery of corrupted tokens alone is bounded by neither.

    Unit: dimensionless, probability per query.

    Source: Shannon 1948, Arimoto 1973 (IEEE Trans. Inf. Theory 19, 357) for the strong converse;
    finite size derived in tests/am_theory/test_basins.py.

    >>> bound = shannon_bound(1000, 32, 4, 0.3007)
    >>> round(bound.P_map, 6), round(bound.P_converse, 6), round(bound.alpha_c, 6)
    (0.323462, 0.638574, 0.412229)
    """
    size, L, V, kept = problem_iv(train_size, seq_len, vocab_size, alpha)
    success = np.vecdot(choice_probability(size, log_noise(L, V)), true_matches(L, V, kept))
    load, limit = _critical(size, L, V)
    return ShannonBound(
        P_map=finish(success, 1.0),
        P_converse=bare(np.exp(-L * converse(load, np.nan_to_num(limit, nan=1.0), V, kept))),
        duplicates=bare(np.minimum((size - 1) * np.exp(-L * np.log(V)), 1.0)),
        alpha_c=bare(limit),
    )


def shannon_radius(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    threshold: float = 0.5,
    schedule: Schedule | None = None,
) -> ShannonRadius:
    """Return the largest noise levels at which any memory can retrieve often enough.

    t_map = max {t : P_MAP >= threshold},   t_converse = max {t : exp(-L E_sc) >= threshold},
    t_c : C(alpha(t_c)) = log K / L;   a measured basin radius above `t_converse` is a mistake.

    Parameters
    ----------
    train_size, seq_len, vocab_size, threshold, schedule : as `basin_radius`, which is `t_map`.

    Returns
    -------
    ShannonRadius with fields of the shape of `train_size`, in [0, 1]; t_map <= t_converse. `t_c`
    is NaN for K > V^L, and 1 where the schedule ends before alpha falls so low.

    Raises
    ------
    As `basin_radius`.

    Notes
    -----
    `t_map` bounds averages over random sets and may be passed on a lucky one, `t_converse` may not.
    At small L both lie above `t_c`: compare a measurement with them, not with the limit.

    Unit: dimensionless, noise level t.

    Source: as `shannon_bound`.

    >>> radius = shannon_radius(1000, 32, 4)
    >>> round(radius.t_map, 6), round(radius.t_converse, 6), round(radius.t_c, 6)
    (0.642914, 0.727061, 0.588359)
    """
    inner = basin_radius(train_size, seq_len, vocab_size, threshold, schedule)
    size, L, V = sizes_iv(train_size, seq_len, vocab_size)

    load, limit = _critical(size, L, V)
    at_load = np.nan_to_num(limit, nan=1.0)

    def ceiling(alpha: Floats) -> Floats:
        return np.exp(-L * converse(load, at_load, V, alpha))

    def below_capacity(alpha: Floats) -> Floats:
        return np.where(alpha >= limit, 1.0, 0.0)

    outer = last_time(ceiling, threshold, size.shape, schedule)
    return ShannonRadius(inner, outer, last_time(below_capacity, 0.5, size.shape, schedule))


def minimum_distance(train_size: ArrayLike, seq_len: int, vocab_size: int) -> Any:
    """Return the Hamming distance down to which pairs of random stored sequences come close.

    The smallest d with K (K - 1) / 2 Pr[Bin(L, 1/V) >= L - d] >= 1: one pair is expected to differ
    in at most d sites.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.

    Returns
    -------
    Whole numbers of the shape of `train_size`, in [0, L]; L + 1 for K = 1, where there is no pair.

    Raises
    ------
    As `basin_radius`.

    Notes
    -----
    Any D errors, however placed, are survived only if 2 D < d. Random errors are survived in far
    larger number: see `retrieval_probability_errors`. A first-moment estimate, typical to O(1).

    Unit: tokens.

    Source: first-moment argument, Gilbert 1952; checked by simulation in
    tests/am_theory/test_basins.py.

    >>> minimum_distance(1000, 32, 4)
    12
    """
    size, L, V = sizes_iv(train_size, seq_len, vocab_size)
    log_tail = np.logaddexp.accumulate(log_noise(L, V)[::-1])  # of at most d differences, d = 0..L
    log_tail[-1] = 0.0
    with np.errstate(divide="ignore"):
        log_pairs = np.log(size) + np.log(size - 1) - np.log(2.0)
    return bare(np.sum(log_pairs[..., None] + log_tail < 0, axis=-1))


def _critical(size: Floats, seq_len: int, vocab_size: int) -> tuple[Floats, Floats]:
    """Load, and the kept fraction that it asks for, NaN where none is enough."""
    load = np.log(size) / seq_len
    inside = load <= np.log(vocab_size)
    limit = np.asarray(critical_alpha(np.where(inside, load, 0.0), vocab_size))
    return load, np.where(inside, limit, np.nan)
