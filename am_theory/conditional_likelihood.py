"""A trained memory without energy, solved: rows of conditional likelihood under fresh noise.

Each site has a row of couplings to the others: the logistic regression of its clean token on the
noisy tokens of the rest, over K random training sequences and all their noise, every draw fresh.
What the row ends in depends on K through the load K / ((L - 1) (V - 1)), sequences per coupling to
one logit, and on alpha, the probability that the channel keeps a token. Noise acts as a ridge that
the row sets itself; at alpha = 1 there is none, as in `am_theory.pseudolikelihood`.

Where rows exist that put every clean training token right, training without a ridge ends with no
loss and no entropy as alpha -> 1; beyond `critical_load` both stay above 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory import _potts_rows
from am_theory._chain_rows import chain_load
from am_theory._inputs import (
    NOT_NEGATIVE,
    POSITIVE,
    PROBABILITY,
    Interval,
    bare,
    broadcast_iv,
    real_iv,
    whole_iv,
)
from am_theory._noisy_rows import Noise, solve
from am_theory._separable_rows import wall_law

__all__ = ["Rows", "chain_critical_load", "critical_load", "rows"]

_OPEN = Interval(0.0, 1.0, open_low=True, open_high=True)

_LOAD = "It is sequences per coupling to one logit, K / ((L - 1) (V - 1))."


@dataclass(frozen=True)
class Rows:
    """Trained rows: squared norm q, response chi, ridge that noise amounts to, losses and entropy.

    `train` is the loss on training sequences under fresh noise, `heldout` that on unseen ones, both
    in nats a token, `gap` their difference; `entropy` is the mean entropy of the law that the row
    gives on training sequences. `exists` is False where the row has no largest norm.
    """

    q: Any
    chi: Any
    noise_ridge: Any
    train: Any
    heldout: Any
    gap: Any
    entropy: Any
    exists: Any
    converged: Any
    residual: Any


def critical_load(vocab_size: int) -> float:
    """Return the load up to which rows exist that put every random training token right.

    With y of V independent standard normal numbers and t the root of
    t - y_0 = sum_v (y_v - t)_+ over v = 1, ..., V - 1,

        alpha_c = (V - 1) / E #{v : y_v > t};   2 at V = 2, 12 / 5 at V = 3.

    Parameters
    ----------
    vocab_size : int, V >= 2.

    Returns
    -------
    Number: K_c / ((L - 1) (V - 1)).

    Raises
    ------
    ValueError for a vocabulary below 2.

    Notes
    -----
    (V - 1) / alpha_c is the mean squared distance of a standard normal vector from the cone where
    logit 0 is the largest: a row of V - 1 logits is separable while the statistical dimensions of
    its K cones allow for it, with couplings that are alike for all tokens. Exact for large L at
    fixed V. About V / (2 log V) for large V; computed up to 10^6, to 9 digits.

    Unit: training sequences per effective input, K / ((L - 1) (V - 1))

    Source: Cover 1965 (IEEE Trans. Electron. Comput. 14, 326) for V = 2; Gardner 1988 (J. Phys. A
    21, 257) for the volume argument; Amelunxen, Lotz, McCoy, Tropp 2014 (Inf. Inference 3, 224) for
    statistical dimensions; derived in tests/am_theory/test_conditional_likelihood.py.

    >>> [round(critical_load(v), 6) for v in (2, 3, 4, 8)]
    [2.0, 2.4, 2.758012, 3.979094]
    """
    vocab = whole_iv("vocab_size", vocab_size, 2)
    law = wall_law(vocab)
    return float((vocab - 1) / (law @ np.arange(len(law))))


def chain_critical_load(flip: ArrayLike) -> Any:
    """Return the load up to which rows exist that put every token of chains of two tokens right.

    Of a site with two neighbours, in stationary chains whose token differs from the one before
    with chance p. With z standard normal, x_- = max(0, -x) and q = 1 - p,

        1 / alpha_c = min_c {q^2 E (z + 2c)_-^2 + p q + p^2 E (z - 2c)_-^2};   2 at p = 1/2.

    Parameters
    ----------
    flip : number or array in (0, 1); p, or 1 - p, which gives the same.

    Returns
    -------
    Number or array: K_c / (L - 1).

    Raises
    ------
    ValueError for `flip` out of range.

    Notes
    -----
    The neighbours are a signal of two inputs, all others a bulk that goes on from them with noise
    of its own: only its covariance is that of a chain, which a linear change of the couplings
    undoes. Exact for large L at fixed p, as long as no two training sequences are alike: p L must
    be large. About 1 / p for small p: sequences are lost where one neighbour differs.

    Unit: training sequences per input, K / (L - 1)

    Source: Candes and Sur 2020 (Ann. Stat. 48, 27) for a Gaussian signal; Cover 1965 for none;
    derived in tests/am_theory/test_conditional_likelihood.py.

    >>> [round(chain_critical_load(p), 6) for p in (0.15, 0.3, 0.5)]
    [4.666837, 2.495649, 2.0]
    """
    chances = real_iv("flip", flip, _OPEN)
    return bare(np.reshape([chain_load(float(p)) for p in chances.flat], chances.shape))


def rows(load: ArrayLike, alpha: ArrayLike, ridge: ArrayLike = 0.0, *, vocab_size: int = 2) -> Rows:
    """Return what rows trained on conditional likelihood with fresh noise end in.

    Minimized, of two tokens: sum_mu E log(1 + e^-u) + (lambda / 2) |w|^2,
    u = y w.x_t / sqrt(L - 1), y = +-1 the clean token of the site and x_t the noisy others. With
    v = alpha x + sqrt((1 - alpha^2) q) g, l(x) = E_g log(1 + e^-v), x = sqrt(q) z - chi l'(x) and
    g, z standard normal,

        1 / chi = lambda + load (1 - alpha^2) E[sigma(v) sigma(-v)] + load E[l'' / (1 + chi l'')],
        q = chi^2 load E l'^2,

    q the squared norm |w|^2 / (L - 1), the second term of 1 / chi the ridge that noise amounts to;
    train loss E l(x), held-out loss E log(1 + e^(sqrt(q) z)), entropy train + lambda q / load.

    Of V tokens the logits are Q W.x_t / sqrt(2 d), with d = (L - 1) (V - 1) coordinates x_t of unit
    variance and orthonormal columns Q of sum 0; W has V - 1 rows and the squared norm q (V - 1) d.
    x is a vector, and the averages are traces over its V - 1 directions, divided by their number.

    Parameters
    ----------
    load : number or array, K / ((L - 1) (V - 1)) > 0.
    alpha : number or array in [0, 1]; probability that a token is kept.
    ridge : number or array, lambda >= 0, the weight of the L2 term in nats of one sequence.
    vocab_size : int, V >= 2.

    Returns
    -------
    Rows with fields of the broadcast shape. Without noise or ridge there is no row up to
    `critical_load`: `exists` is False there, and numbers are NaN. `residual` is the larger of the
    two equations' relative differences; `converged` says that it is below 1e-9, of more than two
    tokens below 1e-6.

    Raises
    ------
    ValueError for arguments out of range or shapes that do not fit.

    Notes
    -----
    Independent uniform tokens, no biases, infinitely many noise draws; exact for large L
    (replica-symmetric, convex). load * gap tends to alpha^2 (V - 1) for large loads. Just above
    `critical_load`, at alpha = 1 and no ridge, the loss falls to 0 so slowly, about as
    1 / sqrt(log 1 / (load - 2)), that it looks like a jump: it is still 0.24 nats at load 2.002,
    0.50 of log 4 = 1.39 at V = 4, load 2.77. Losses below about e^-90 are not solved for:
    `converged` is False and numbers are NaN, as at load 0.01, alpha 0.9, without a ridge. About
    0.1 s a point, seconds where the norm is large. From V = 3 on the average over z is one over a
    fixed net, good for a relative error of 1e-3 in losses; up to 10 s a point with noise.

    Unit: nats per token (train, heldout, gap, entropy); dimensionless (q, chi, noise_ridge)

    Source: D'Amico, Bocchi, Del Bono, Rossi, Negri 2025 (arXiv:2507.05147) for the model without
    noise; Bishop 1995 (Neural Computation 7, 108) for noise as ridge; derived and checked by
    training in tests/am_theory/test_conditional_likelihood.py.

    >>> row = rows(2.0, 0.6)
    >>> round(row.q, 6), round(row.chi, 6), round(row.train, 6), round(row.heldout, 6)
    (0.855487, 2.535304, 0.605788, 0.790962)
    """
    x, kept, penalty = broadcast_iv(
        load=real_iv("load", load, POSITIVE, _LOAD),
        alpha=real_iv("alpha", alpha, PROBABILITY),
        ridge=real_iv("ridge", ridge, NOT_NEGATIVE),
    )
    vocab = whole_iv("vocab_size", vocab_size, 2)
    found = [_row(*values, vocab) for values in zip(x.flat, kept.flat, penalty.flat, strict=True)]
    fields = np.moveaxis(np.reshape(found, (*x.shape, 6)), -1, 0)
    q, chi, own, train, heldout, residual = fields
    exists = (x > _critical(vocab)) | (kept < 1) | (penalty > 0)
    entropy = train + penalty * q * (vocab - 1) / x
    numbers = (q, chi, own, train, heldout, heldout - train, entropy)
    settled = residual < (1e-9 if vocab == 2 else 1e-6)
    return Rows(*map(bare, (*numbers, exists, settled, residual)))


def _critical(vocab: int) -> float:
    return 2.0 if vocab == 2 else critical_load(vocab)


def _row(load: float, alpha: float, ridge: float, vocab: int) -> tuple[float, ...]:
    """q, chi, noise ridge, train and held-out loss, residual; NaN where there is no solution."""
    if alpha == 0:  # noise alone: the row is 0
        own = load / (2 * vocab)
        return 0.0, 1 / (ridge + own), own, np.log(vocab), np.log(vocab), 0.0
    if alpha == 1 and ridge == 0 and load <= _critical(vocab):
        return (np.nan,) * 6
    try:
        if vocab > 2:
            fewer = 2 / _critical(vocab)
            like = solve(fewer * load, alpha, fewer * ridge)[:2]
            q, chi, train, own, residual = _potts_rows.solve(load, alpha, ridge, vocab, like)
            return q, chi, own, train, _potts_rows.unseen_loss(q, vocab), residual
        q, chi, train, own, residual = solve(load, alpha, ridge)
    except ArithmeticError:
        return (np.nan,) * 6
    unseen = Noise(1.0, float(np.sqrt(q)))
    return q, chi, own, train, float(unseen.loss(np.zeros(1))[0]), residual
