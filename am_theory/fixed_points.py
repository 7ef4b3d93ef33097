"""Fixed points of the optimal memorizer: which stored sequences the argmax of its `loo` law keeps.

Setting as in `am_theory.trapping`, `am_theory.empirical` names these functions too: K random
sequences are stored, and a clean one is updated at all sites by the likeliest token. A sequence is
kept exactly if no change of one token raises the noisy law p_t. The argmax of `full` keeps stored
sequences at any load, for reasons given there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, pdtr, xlogy

from am_theory._arrays import vocab_size_iv
from am_theory._inputs import bare
from am_theory._random_patterns import finish, problem_iv, sizes_iv
from am_theory.schedules import alpha_iv
from am_theory.trapping import load_iv, trap_log_capacity

__all__ = [
    "fixed_point_alpha",
    "fixed_point_bound",
    "fixed_point_log_capacity",
    "fixed_point_share_small_noise",
]

_MOST = 1e8  # Poisson mean from which on the share is at its limit 1 / (1 + L (V - 1))


def fixed_point_log_capacity(alpha: ArrayLike, vocab_size: int) -> Any:
    """Return the load up to which stored sequences are fixed points of the argmax of `loo`.

    kappa_f = 2 log(1 + (V - 1) alpha) - log(1 + (V - 1) alpha^2)

    Parameters and errors as `trap_log_capacity`.

    Returns
    -------
    Shape of `alpha`, in [0, log V]; at least the `trap_log_capacity`, nearly twice at small alpha.

    Notes
    -----
    At each site the own sequence adds e^(beta (L - 1)) to its token; the others add equal means to
    all V tokens, which cancel, and fluctuations of size (K E e^(2 beta m))^(1/2), m the matches of
    L - 1 sites. The line is where both are equal: `one_step_log_capacity` at match fraction 1 and
    2 beta, below the freezing point there. Holds for random patterns only: a source that is not
    uniform prefers a token, the means no longer cancel, and the line is the trap onset again.

    Unit: nats per token.

    Source: derived in tests/am_theory/test_trapping.py; `fixed_point_bound` proves the lower side.

    >>> round(fixed_point_log_capacity(0.5, 4), 8)
    1.27296568
    """
    vocab = vocab_size_iv(vocab_size)
    kept = np.asarray(alpha_iv(alpha)[1], dtype=float)
    return bare(2 * np.log1p((vocab - 1) * kept) - np.log1p((vocab - 1) * kept**2))


def fixed_point_alpha(log_load: ArrayLike, vocab_size: int) -> Any:
    """Return the kept fraction above which stored sequences are fixed points of `loo`.

    alpha_f = (E - 1) / (n + sqrt(n E (V - E))),   E = e^kappa,   n = V - 1,
    where `fixed_point_log_capacity` equals kappa. Parameters and errors as `trap_alpha`.

    Returns
    -------
    Shape of `log_load`, in [0, 1]; at most the `trap_alpha`.

    Unit: dimensionless, probability that a token is kept.

    Source: inverse of `fixed_point_log_capacity`, a root of a quadratic equation.

    >>> round(fixed_point_alpha(0.6, 4), 6)
    0.127453
    """
    load, vocab = load_iv(log_load, vocab_size)
    grown, others = np.exp(load), vocab - 1
    root = np.sqrt(others * grown * np.maximum(vocab - grown, 0.0))
    return bare(np.minimum(np.expm1(load) / (others + root), 1.0))


def fixed_point_bound(
    train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike
) -> Any:
    """Return a lower bound on the share of stored sequences that the argmax of `loo` keeps.

    1 - L min[(1 - 1/V) T, (V - 1) R / (R + 1)],   T = (K - 1) e^(-(L - 1) kappa_o),
    R = (2 / V) (K - 1) e^(-(L - 1) kappa_f), and 0 where that is negative.

    Parameters and errors as `clean_weight`.

    Returns
    -------
    Broadcast shape, in [0, 1].

    Notes
    -----
    Holds at every K, L, V, on average over sets, ties counted against: Markov's inequality for the
    others' weight, Cantelli's for its difference between two tokens, over all sites.

    Unit: dimensionless, share of the stored sequences.

    Source: derived in tests/am_theory/test_trapping.py; checked there by enumeration.

    >>> round(fixed_point_bound(1000, 16, 4, 0.4), 6)
    0.999542
    """
    size, length, vocab, kept = problem_iv(train_size, seq_len, vocab_size, alpha)
    onset = np.asarray(trap_log_capacity(kept, vocab))
    spread = np.asarray(fixed_point_log_capacity(kept, vocab))
    total = (size - 1) * np.exp(-(length - 1) * onset)
    ratio = (2 / vocab) * (size - 1) * np.exp(-(length - 1) * spread)
    fails = np.minimum((1 - 1 / vocab) * total, (vocab - 1) * ratio / (ratio + 1))
    return finish(1 - length * fails, 1.0)


def fixed_point_share_small_noise(train_size: ArrayLike, seq_len: int, vocab_size: int) -> Any:
    """Return the share of stored sequences that the argmax of `loo` keeps as t -> 0.

    sum_d f(d) {[F(d + 1)^V - F(d)^V] / (V f(d + 1))}^L, with f and F the Poisson law of mean
    (K - 1) V^-L; d counts copies of the sequence itself, ties are broken at random.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.

    Returns
    -------
    Shape of `train_size`, in [0, 1]; about 1 - L (V - 1) K V^-L / 2 while that is small.

    Raises
    ------
    As `retrieval_probability`.

    Notes
    -----
    At t -> 0 the law of site i is that of the stored sequences that agree with x elsewhere, and x
    stays where x_i is their most frequent token, for all i. The Poisson law of their numbers is off
    by at most (1 + L (V - 1)) V^-L in probability. At small finite noise farther sequences settle
    the ties, alike at several sites: with less than one neighbour a sequence, K L (V - 1) V^-L < 1,
    the share comes out up to 0.05 lower. The argmax of `full` keeps every stored sequence.

    Unit: dimensionless, share of the stored sequences.

    Source: derived in tests/am_theory/test_trapping.py; error by Barbour and Hall 1984 (Math. Proc.
    Camb. Phil. Soc. 95, 473).

    >>> round(fixed_point_share_small_noise(1e5, 8, 4), 6)
    0.107344
    """
    size, length, vocab = sizes_iv(train_size, seq_len, vocab_size)
    mean = (size - 1) * np.exp(-length * np.log(vocab))
    return finish(np.vectorize(_kept_share, otypes=[float])(mean, length, vocab), 1.0)


def _kept_share(mean: float, length: int, vocab: int) -> float:
    """Sum over the numbers of copies d that the Poisson law leaves possible."""
    mean = min(mean, _MOST)
    spread = 12 * np.sqrt(mean) + 30
    copies = np.arange(int(max(mean - spread, 0.0)), int(mean + spread))
    below, own = pdtr(copies, mean), _poisson(copies + 1, mean)
    # F(d+1)^V - F(d)^V as F(d)^V (e^y - 1), y = V log(1 + f(d+1) / F(d)), without cancellation
    rise = vocab * np.log1p(own / below)
    site = below**vocab * np.expm1(rise) / (vocab * np.where(own > 0, own, 1.0))
    site = np.where(own > 0, site, below ** (vocab - 1))
    return float(_poisson(copies, mean) @ site**length)


def _poisson(count: Any, mean: float) -> Any:
    return np.exp(xlogy(count, mean) - gammaln(count + 1.0) - mean)
