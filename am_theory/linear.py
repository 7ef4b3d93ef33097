"""A learned denoiser that can be solved: linear regression of clean tokens on noisy ones.

Tokens are encoded one-hot, centred and scaled to unit variance: u = sqrt(V) (e_x - 1/V), with
d = L (V - 1) effective dimensions. The denoiser is the matrix W that minimises |u - W u_t|^2 over
K training sequences, and the decoded token is the largest entry. With infinitely many noise draws
a sequence, noise is a ridge c = (1 - alpha^2) / alpha^2. On an iid uniform source everything
depends on K through K / d alone.

`train_size` (K >= 1; real values interpolate) and `alpha` (in [0, 1]; the ends stand for the
limits) broadcast against each other. Numbers in give Python floats, arrays in give arrays.
"""

from __future__ import annotations

from typing import Any, Literal

from numpy.typing import ArrayLike

from am_theory._inputs import POSITIVE, PROBABILITY, Floats, bare, broadcast_iv, real_iv
from am_theory._linear_convergence import ConvergenceSize, convergence_size
from am_theory._linear_ridge import (
    COUNT,
    COUNT_HINT,
    dimension_iv,
    effective_ridge,
    error_gap,
    noise_ridge,
    recovery,
)
from am_theory._linear_spectrum import (
    Errors,
    StructuredErrors,
    circulant_chain_spectrum,
    structured_errors,
    training_errors,
)
from am_theory._random_patterns import choice_iv

__all__ = [
    "ConvergenceSize",
    "Errors",
    "StructuredErrors",
    "circulant_chain_spectrum",
    "convergence_size",
    "errors",
    "one_draw_errors",
    "scaled_size",
    "structured_errors",
    "token_recovery",
    "training_errors",
]


def _problem_iv(
    train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike
) -> tuple[Floats, Floats, int]:
    """Check the arguments; returns gamma = d / K and alpha, broadcast, and V."""
    dimension, vocab = dimension_iv(seq_len, vocab_size)
    size, kept = broadcast_iv(
        train_size=real_iv("train_size", train_size, COUNT, COUNT_HINT),
        alpha=real_iv("alpha", alpha, PROBABILITY),
    )
    return dimension / size, kept, vocab


def scaled_size(train_size: ArrayLike, seq_len: int, vocab_size: int) -> Any:
    """Return the one variable through which the linear denoiser depends on its sizes.

    x = K / (L (V - 1)): curves of all L at fixed V and alpha fall onto each other, with no free
    exponent.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.

    Returns
    -------
    Shape of `train_size`, positive.

    Raises
    ------
    ValueError for an argument out of range.

    Unit: training sequences per effective dimension

    Source: derived in tests/am_theory/test_linear.py: `errors` and `token_recovery` see no other
    size.

    >>> scaled_size(96, 32, 4)
    1.0
    """
    dimension, _ = dimension_iv(seq_len, vocab_size)
    return bare(real_iv("train_size", train_size, COUNT, COUNT_HINT) / dimension)


def errors(train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike) -> Errors:
    """Return the train and held-out errors of the linear denoiser on an iid uniform source.

    With gamma = L (V - 1) / K, c = (1 - alpha^2) / alpha^2 and kappa = c + gamma kappa /
    (1 + kappa),

    E_train = c / (1 + kappa),
    E_heldout = E_train + gamma kappa^2 (kappa + c) / [(kappa^2 + c) (1 + kappa)^2],

    and both tend to 1 - alpha^2.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [0, 1]; probability that a token is kept.

    Returns
    -------
    Errors of the broadcast shape: mean squared error per effective dimension on fresh noise.

    Raises
    ------
    ValueError for an argument out of range or shapes that do not fit.

    Notes
    -----
    Infinitely many noise draws a sequence. Exact for K, L (V - 1) to infinity at fixed ratio;
    within 0.012 of simulation for K >= 100. The sum above has positive terms only; it equals the
    form with the moments m_1, m_2 of the Marchenko-Pastur law. For many sequences
    E = (1 - alpha^2) -+ gamma alpha^2 (1 - alpha^2)^2; for few E_train = c / gamma and
    E_heldout = 1 + (c - 1) / gamma, which nears 1 from above for alpha^2 < 1/2, else from below.

    Unit: dimensionless

    Source: Bishop 1995 (Neural Computation 7, 108) for noise as ridge; Marchenko, Pastur 1967
    (Math. USSR Sb. 1, 457); derived in tests/am_theory/test_linear.py, by quadrature over s.

    >>> result = errors(96, 32, 4, 0.5)
    >>> round(result.train, 8), round(result.heldout, 8), result.limit
    (0.62613646, 0.8708876, 0.75)
    """
    gamma, kept, _ = _problem_iv(train_size, seq_len, vocab_size, alpha)
    c = noise_ridge(kept)
    limit = (1 - kept) * (1 + kept)
    train = limit * ((1 + c) / (1 + effective_ridge(c, gamma).kappa))
    return Errors(bare(train), bare(train + error_gap(gamma, kept)), bare(limit))


def token_recovery(
    train_size: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    tokens: Literal["all", "clean", "corrupted"] = "all",
    split: Literal["train", "test"] = "train",
) -> Any:
    """Return the expected fraction of tokens that the linear denoiser puts right.

    With gamma, c, kappa as in `errors`, h = kappa / (1 + kappa) and Dz the standard normal law,

    test, clean: P = int Dz Phi(z + T)^(V - 1),   T^2 = V (1 + c / kappa^2) / (gamma h),
    test, corrupted: (1 - P) / (V - 1),
    train, clean: int Dz Phi(z + B_0 + B_1)^(V - 1),
    train, corrupted: int Dz Phi(z + B_0 - B_1) Phi(z + B_0)^(V - 2),
    B_0^2 = V gamma h / c,   B_1^2 = V (1 + 1 / c) / (gamma h);

    all: p clean + (1 - p) corrupted, p = alpha + (1 - alpha) / V.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [0, 1]; probability that a token is kept.
    tokens : "all", "clean" (left intact by the noise) or "corrupted" (changed by it).
    split : "train", sequences seen in training with fresh noise; "test", unseen ones.

    Returns
    -------
    Broadcast shape, in [0, 1].

    Raises
    ------
    ValueError for an argument out of range, shapes that do not fit, or an unknown choice.

    Notes
    -----
    Iid uniform source, infinitely many noise draws, one pass with argmax per site. Exact for K, L
    (V - 1) to infinity at fixed ratio; within 0.012 of simulation for K >= 100; at K = 22, L = 8, V
    = 8 it is off by 0.13 (`simulations/linear_curves/`). On this source corrupted recovery of
    unseen sequences falls to 0 with K, since keeping the token is best, while that of all tokens
    rises to p. At little noise (alpha >= 0.95) corrupted recovery can be lower on training
    sequences than on unseen ones, and corrections in 1 / K are larger (0.02 at K = 100). Cost 401
    for each element.

    Unit: dimensionless

    Source: derived in tests/am_theory/test_linear.py, where the Gaussian law of the outputs is
    written out and the formulas are held to direct simulation.

    >>> round(token_recovery(96, 32, 4, 0.5), 8)
    0.66233523
    >>> round(token_recovery(96, 32, 4, 0.5, tokens="corrupted", split="test"), 8)
    0.03241153
    """
    choice_iv("tokens", tokens, ("all", "clean", "corrupted"))
    choice_iv("split", split, ("train", "test"))
    gamma, kept, vocab = _problem_iv(train_size, seq_len, vocab_size, alpha)
    return bare(recovery(gamma, kept, vocab, tokens, split))


def one_draw_errors(
    train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike, ridge: ArrayLike
) -> Errors:
    """Return the errors of the linear denoiser trained on one noise draw a sequence.

    With gamma = L (V - 1) / K, kappa = lambda + gamma kappa / (1 + kappa) and
    D = 1 - gamma / (1 + kappa)^2,

    E_heldout = [alpha^2 kappa^2 / (1 + kappa)^2 + 1 - alpha^2] / D,
    E_train = (lambda / kappa)^2 E_heldout.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [0, 1]; probability that a token is kept.
    ridge : number or array, lambda > 0, added to the mean of u_t u_t^T.

    Returns
    -------
    Errors of the broadcast shape, per effective dimension. `train` is on the noise seen in
    training; `limit` is the common value for K to infinity.

    Raises
    ------
    ValueError for an argument out of range or shapes that do not fit.

    Notes
    -----
    Iid uniform source; exact for K, L (V - 1) to infinity at fixed ratio. The held-out error peaks
    at K = L (V - 1), without bound as lambda falls to 0 (double descent); with infinitely many
    draws (`errors`) there is no such peak. D is formed as (kappa + lambda / kappa) / (1 + kappa).

    Unit: dimensionless

    Source: ridge regression in the proportional limit, as in Hastie, Montanari, Rosset, Tibshirani
    2022 (Ann. Statist. 50, 949); checked by simulation in tests/am_theory/test_linear.py.

    >>> result = one_draw_errors(96, 32, 4, 0.5, ridge=0.1)
    >>> round(result.train, 4), round(result.heldout, 4)
    (0.12, 1.6439)
    """
    gamma, kept, _ = _problem_iv(train_size, seq_len, vocab_size, alpha)
    gamma, kept, penalty = broadcast_iv(
        train_size=gamma, alpha=kept, ridge=real_iv("ridge", ridge, POSITIVE)
    )
    kappa, other, total, share = effective_ridge(penalty, gamma)
    noise = (1 - kept) * (1 + kept)
    heldout = (share**2 * kept**2 + noise) * ((1 + kappa) / total)
    limit = (penalty / (1 + penalty) * kept) ** 2 + noise
    return Errors(bare(other**2 * heldout), bare(heldout), bare(limit))
