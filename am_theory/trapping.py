"""Traps of the optimal memorizer: up to which load a stored sequence outweighs all others.

K random sequences are stored (see `am_theory.empirical`, which names these functions too) and the
posterior at kept fraction alpha is asked about a *clean* stored sequence x. With Z_other the sum of
exp(beta m_mu) over the others, three events must be told apart, log K / L being the load:

    the own weight exp(beta L) beats Z_other             up to log(1 + (V - 1) alpha)
    x is a fixed point of the argmax of `loo`             up to twice that, less a logarithm
    x is a fixed point of the argmax of `full`            at any load

The first is the trap onset (`trap_log_capacity`), beyond which a posterior draw leaves x. The
second is `am_theory.fixed_points`: on random patterns the others favour no token at a site, so
that only their fluctuations compete with the own weight. A state is a fixed point of the argmax of
`loo` exactly if no change of one token raises p_t, the noisy law: these are the traps of the
potential -log p_t. The third shows no trap: the query's own evidence, which `full` contains, keeps
every token of every sequence, stored or not, from log(1 + (V - 1) alpha^2) on, where the others
outweigh their fluctuations; that is before the own weight of a stored sequence gives way.

All lie beyond the collapse, log K / L = C(alpha), which is about noisy queries: the Renyi
divergence of a noisy token's law, given the clean token, from the uniform law is C at order 1,
log(1 + (V - 1) alpha^2) at order 2 and the trap onset at order infinity. Data with structure:
`models.sources.traps`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory._arrays import vocab_size_iv
from am_theory._inputs import Floats, Interval, bare, real_iv
from am_theory._posterior_average import average, clean_averages
from am_theory._random_patterns import finish, problem_iv
from am_theory.schedules import alpha_iv

__all__ = ["clean_weight", "trap_alpha", "trap_log_capacity"]


def trap_log_capacity(alpha: ArrayLike, vocab_size: int) -> Any:
    """Return the load up to which a clean stored sequence outweighs all others together.

    kappa_o = log(1 + (V - 1) alpha) = beta + log(1 - alpha)

    Parameters
    ----------
    alpha : number or array in [0, 1]; probability that a token is kept.
    vocab_size : int, V >= 2.

    Returns
    -------
    Shape of `alpha`, in [0, log V]; at least the capacity C(alpha), equal at 0 and 1 only.

    Raises
    ------
    ScheduleDomainError for `alpha` outside of [0, 1], ValueError for V < 2.

    Notes
    -----
    Signal beta a token against the annealed free energy log(1 + (e^beta - 1) / V) = -log(1 - alpha)
    of the others, which at a clean query (match fraction 1) never freezes first. It is
    `one_step_log_capacity` at match fraction 1 and the posterior's own `inverse_temperature`.
    Belongs to the posterior's weights, and so to dynamics that replace x by a posterior draw; for
    the argmax of `loo` see `fixed_point_log_capacity`. Finite sizes: `clean_weight`.

    Unit: nats per token.

    Source: onset of traps in continuous diffusion, Achilli, Ambrogioni, Lucibello, Mezard, Ventura
    2025 (arXiv:2502.09578); for tokens derived in tests/am_theory/test_trapping.py. Collapse of
    discrete diffusion as condensation: Takahashi, Takahashi, Kabashima 2026 (arXiv:2604.10961).

    >>> round(trap_log_capacity(0.5, 4), 8)
    0.91629073
    """
    vocab = vocab_size_iv(vocab_size)
    return bare(np.log1p((vocab - 1) * np.asarray(alpha_iv(alpha)[1], dtype=float)))


def trap_alpha(log_load: ArrayLike, vocab_size: int) -> Any:
    """Return the kept fraction above which clean stored sequences outweigh all others.

    alpha_o = (e^kappa - 1) / (V - 1), where `trap_log_capacity` equals kappa = log K / L.

    Parameters
    ----------
    log_load : number or array, kappa in [0, log V]; nats a token.
    vocab_size : int, V >= 2.

    Returns
    -------
    Shape of `log_load`, in [0, 1]; at most `critical_alpha`.

    Raises
    ------
    ValueError for a load below 0 or above log V, which no noise level can serve, or V < 2.

    Unit: dimensionless, probability that a token is kept.

    Source: inverse of `trap_log_capacity`.

    >>> round(1 - trap_alpha(0.6065, 16), 3)
    0.944
    """
    load, vocab = load_iv(log_load, vocab_size)
    return bare(np.minimum(np.expm1(load) / (vocab - 1), 1.0))


def clean_weight(train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike) -> Any:
    """Return the mean posterior weight of a stored sequence that is queried clean.

    E w = int_0^inf e^(beta L) exp(-s e^(beta L)) M(s)^(K - 1) ds,
    with M(s) = sum_j Bin(j; L, 1/V) exp(-s e^(beta j)): `true_weight` with all L tokens matched.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [0, 1]; kept fraction that the posterior believes in.

    Returns
    -------
    Broadcast shape, in [1/K, 1]; it is at least 1 / (1 + (K - 1) e^(-L kappa_o)), with kappa_o the
    `trap_log_capacity` (Jensen's inequality), and tends to that step as L grows.

    Raises
    ------
    As `retrieval_probability`.

    Notes
    -----
    Also the probability that a posterior draw returns the sequence. More than half of the weight
    makes a fixed point of the argmax of `full`; the converse fails.

    Unit: dimensionless, probability per query.

    Source: 1/Z as a Laplace integral; checked by enumeration in tests/am_theory/test_trapping.py.

    >>> round(clean_weight(1000, 12, 4, 0.3), 6)
    0.690063
    """
    problem = problem_iv(train_size, seq_len, vocab_size, alpha)
    return finish(average(clean_averages, "true_weight", *problem), 1.0)


def load_iv(log_load: ArrayLike, vocab_size: int) -> tuple[Floats, int]:
    """Check a load in [0, log V] and a vocabulary size."""
    vocab = vocab_size_iv(vocab_size)
    hint = "It is log(train_size) / seq_len, in nats, at most log V."
    return real_iv("log_load", log_load, Interval(0.0, float(np.log(vocab))), hint), vocab
