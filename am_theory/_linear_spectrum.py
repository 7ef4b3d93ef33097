"""The linear denoiser mode by mode: structured sources, and training time (private).

`am_theory.linear` hands these functions on. A mode is an eigenvalue of the data's covariance; the
noise acts on it as a ridge c = (1 - alpha^2) / alpha^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory._inputs import (
    NOT_NEGATIVE,
    PROBABILITY,
    Floats,
    Interval,
    bare,
    broadcast_iv,
    real_iv,
)
from am_theory._linear_ridge import COUNT, COUNT_HINT, dimension_iv, noise_ridge


@dataclass(frozen=True)
class Errors:
    """Mean squared errors per effective dimension; 1 is the error of the output 0.

    `train` and `heldout` : on fresh noise, of sequences seen in training and of unseen ones.
    `limit` : what both tend to for infinitely many training sequences.
    """

    train: Any
    heldout: Any
    limit: Any


@dataclass(frozen=True)
class StructuredErrors(Errors):
    """`Errors` of a source with a given spectrum, with the state of the solver.

    `kappa` : the effective ridge. `residual` : what is left of its equation, over kappa.
    """

    kappa: Any
    residual: Any
    converged: Any


def structured_errors(
    train_size: ArrayLike, alpha: ArrayLike, spectrum: ArrayLike
) -> StructuredErrors:
    """Return the errors of the linear denoiser trained on sequences of a correlated source.

    With c = (1 - alpha^2) / alpha^2, x_k = e_k / (e_k + kappa) and y_k = 1 - x_k,

    kappa = c + (kappa / K) sum_k x_k,   E_train = (c / d) sum_k x_k,
    E_heldout = (1 / d) {sum_k e_k y_k^2 K / (K - df)
                         + c [df + (sum_k x_k y_k)^2 / (K - df)]},   df = sum_k x_k^2,

    and both tend to (1 / d) sum_k c e_k / (e_k + c).

    Parameters
    ----------
    train_size : number or array, K >= 1.
    alpha : number or array in [0, 1]; probability that a token is kept.
    spectrum : array (d,), finite and not negative, not all 0: the eigenvalues e_k of the covariance
        of the encoded sequence on its d = L (V - 1) dimensions. Tokens encoded with unit variance
        have spectra of mean 1.

    Returns
    -------
    StructuredErrors of the broadcast shape of `train_size` and `alpha`; errors are per effective
    dimension, kappa > 0.

    Raises
    ------
    ValueError for an argument out of range, a spectrum of another shape, or shapes that do not fit.

    Notes
    -----
    Holds for uniform marginals, where noise has covariance 1 - alpha^2 on every dimension; other
    marginals must be whitened first. Deterministic equivalent, exact for K and d to infinity at
    fixed K / d; within 0.01 of simulation at d = 96, K >= 30. The sums have positive terms only
    (K - df is formed as K c / kappa + sum_k x_k y_k). Newton's method from above, where the
    equation is convex and the steps cannot overshoot. Cost d for each element and step.

    Unit: dimensionless

    Source: Bishop 1995 (Neural Computation 7, 108) for noise as ridge; deterministic equivalents
    of ridge regression; checked by simulation in tests/am_theory/test_linear.py.

    >>> spectrum = circulant_chain_spectrum(32, 4, 0.3)
    >>> result = structured_errors(100, 0.5, spectrum)
    >>> round(result.train, 4), round(result.heldout, 4)
    (0.5139, 0.646)
    """
    eigenvalues = real_iv("spectrum", spectrum, NOT_NEGATIVE)
    if eigenvalues.ndim != 1 or not np.any(eigenvalues > 0):
        raise ValueError(
            "`spectrum` must be a one-dimensional array with a positive entry; got "
            f"{'zeros of ' if eigenvalues.size else ''}shape {eigenvalues.shape}. It holds the "
            "eigenvalues of the covariance."
        )
    size, kept = broadcast_iv(
        train_size=real_iv("train_size", train_size, COUNT, COUNT_HINT),
        alpha=real_iv("alpha", alpha, PROBABILITY),
    )
    c = noise_ridge(kept)
    kappa = _effective_ridge(size, c, eigenvalues)
    x = eigenvalues / (eigenvalues + kappa[..., None])
    y = kappa[..., None] / (eigenvalues + kappa[..., None])
    cross = np.sum(x * y, axis=-1)
    room = size * (c / kappa) + cross
    bias = np.sum(eigenvalues * y**2, axis=-1) * (size / room)
    noise = c * (np.sum(x**2, axis=-1) + cross**2 / room)
    residual = np.abs(1 - c / kappa - np.sum(x, axis=-1) / size)
    c_x = c[..., None] * eigenvalues / (eigenvalues + c[..., None])
    return StructuredErrors(
        train=bare(c * np.mean(x, axis=-1)),
        heldout=bare((bias + noise) / eigenvalues.size),
        limit=bare(np.mean(c_x, axis=-1)),
        kappa=bare(kappa),
        residual=bare(residual),
        converged=bare(residual <= 1e-12),
    )


def _effective_ridge(size: Floats, c: Floats, eigenvalues: Floats) -> Floats:
    kappa = c + eigenvalues.sum() / size
    for _ in range(400):
        x = eigenvalues / (eigenvalues + kappa[..., None])
        excess = kappa - c - kappa * x.sum(axis=-1) / size
        slope = 1 - np.sum(x**2, axis=-1) / size
        lower = np.maximum(kappa - excess / np.where(slope > 0, slope, 1.0), c)
        if np.all(kappa - lower <= 1e-15 * kappa):
            break
        kappa = np.minimum(lower, kappa)
    return kappa


def circulant_chain_spectrum(seq_len: int, vocab_size: int, redraw: float) -> Floats:
    """Return the covariance eigenvalues of a chain that steps round the alphabet, or jumps.

    The next token is the present one plus 1 (mod V) with probability 1 - eta, and is drawn anew,
    uniformly, with probability eta. In Fourier space over the alphabet every one of the V - 1
    modes has the covariance (1 - eta)^|i - j| up to phases, of eigenvalues

    e_k = eta (2 - eta) / (eta^2 + 4 (1 - eta) sin^2(theta_k / 2)),   k = 1..L,
    [eta^2 - 2 (1 + (1 - eta)^2) sin^2(theta / 2)] sin(L theta)
        + eta (2 - eta) sin(theta) cos(L theta) = 0,   one root in each ((k - 1, k) pi / (L + 1)).

    Parameters
    ----------
    seq_len, vocab_size : int; L >= 1, V >= 2.
    redraw : number in (0, 1]; eta, the probability that a token is drawn anew.

    Returns
    -------
    Array (L (V - 1),) of mean 1, falling, each eigenvalue V - 1 times; for `structured_errors`.

    Raises
    ------
    ValueError for an argument out of range.

    Notes
    -----
    Bisection, cost 80 L; 8 L (V - 1) bytes. Any other permutation of the alphabet in place of the
    step has the same spectrum.

    Unit: dimensionless

    Source: Kac, Murdock, Szego 1953 (J. Rational Mech. Anal. 2, 767); block diagonalisation derived
    in tests/am_theory/test_linear.py, by diagonalising the full covariance.

    >>> circulant_chain_spectrum(2, 3, 0.5)
    array([1.5, 1.5, 0.5, 0.5])
    """
    length = dimension_iv(seq_len, vocab_size)[0] // (vocab_size - 1)
    allowed = Interval(0.0, 1.0, open_low=True)
    eta = float(real_iv("redraw", redraw, allowed, "It is the chance that a token is drawn anew."))
    keep, mix = 1 - eta, eta * (2 - eta)

    def equation(theta: Floats) -> Floats:
        even = eta**2 - 2 * (1 + keep**2) * np.sin(theta / 2) ** 2
        return even * np.sin(length * theta) + mix * np.sin(theta) * np.cos(length * theta)

    k = np.arange(1, length + 1)
    low, high = (k - 1) * np.pi / (length + 1), k * np.pi / (length + 1)
    falls = (-1.0) ** k
    for _ in range(80):
        middle = (low + high) / 2
        before = equation(middle) * falls < 0
        low, high = np.where(before, middle, low), np.where(before, high, middle)
    values = mix / (eta**2 + 4 * keep * np.sin((low + high) / 4) ** 2)
    return np.repeat(values, vocab_size - 1)


@lru_cache(maxsize=1)
def _nodes() -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    x, weights = np.polynomial.legendre.leggauss(300)
    return (x + 1) / 2, weights / 2


def training_errors(
    train_size: ArrayLike, seq_len: int, vocab_size: int, alpha: ArrayLike, time: ArrayLike
) -> Errors:
    """Return the errors of the linear denoiser after gradient flow from 0 for a given time.

    A mode s of the training data has weight w(s) = alpha s (1 - e^(-r tau)) / r at time tau, with
    rate r = alpha^2 s + 1 - alpha^2, and

    E_train = E_s [s (1 - alpha w)^2 + (1 - alpha^2) w^2],
    E_heldout = E_s [(1 - alpha w)^2 + (1 - alpha^2) w^2],

    s of the Marchenko-Pastur law at ratio gamma = L (V - 1) / K, zero modes included.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [0, 1]; probability that a token is kept.
    time : number or array, tau >= 0; learning rate times steps, for the loss |u - W u_t|^2 / 2.

    Returns
    -------
    Errors of the broadcast shape, per effective dimension; `limit` is the value of both at the same
    time for K to infinity, 1 - alpha^2 (1 - e^(-2 tau)).

    Raises
    ------
    ValueError for an argument out of range or shapes that do not fit.

    Notes
    -----
    Iid uniform source, infinitely many noise draws; exact for K, L (V - 1) to infinity at fixed
    ratio. No rate is below 1 - alpha^2, so there is no time that grows with K; the held-out error
    is not monotone in time: stopping early helps at small K. 300 Gauss-Legendre nodes in an angle
    stretched where the spectrum nears 0; errors below 1e-12.

    Unit: dimensionless

    Source: derived in tests/am_theory/test_linear.py, by adaptive quadrature and by simulation; for
    time scales of memorization see Bonnaire, Urfin, Biroli, Mezard 2025 (arXiv:2505.17638).

    >>> result = training_errors(100, 64, 4, 0.5, 1.0)
    >>> round(result.train, 4), round(result.heldout, 4)
    (0.5621, 0.9174)
    """
    dimension, _ = dimension_iv(seq_len, vocab_size)
    size, kept, tau = broadcast_iv(
        train_size=real_iv("train_size", train_size, COUNT, COUNT_HINT),
        alpha=real_iv("alpha", alpha, PROBABILITY),
        time=real_iv("time", time, NOT_NEGATIVE),
    )
    a, tau_, root = kept[..., None], tau[..., None], np.sqrt(dimension / size)[..., None]
    noise = (1 - a) * (1 + a)
    # s = (1 - root)^2 + 4 root sin^2(phi / 2); the scale of s on which the integrand bends sets
    # that of phi. What lies below 1e-14 adds nothing.
    bend = (1 - root) ** 2 + noise_ridge(a) + 1 / np.maximum(a**2 * tau_, 1e-30)
    scale = np.clip(np.sqrt(bend / root), 1e-14, np.pi)
    reach = np.arcsinh(np.pi / scale)
    nodes, weights = _nodes()
    phi = scale * np.sinh(reach * nodes)
    s = (1 - root) ** 2 + 4 * root * np.sin(phi / 2) ** 2
    rate = a**2 * s + noise
    per_s = a * -np.expm1(-rate * tau_) / rate  # w / s
    left = (noise + a**2 * s * np.exp(-rate * tau_)) / rate  # 1 - alpha w
    measure = (2 / np.pi) * np.sin(phi) ** 2 * scale * np.cosh(reach * nodes) * reach * weights
    # E f(s) = f(0) + E [f(s) - f(0)], in which the zero modes drop out.
    train = np.sum(measure * (left**2 + noise * s * per_s**2), axis=-1)
    heldout = 1 + np.sum(measure * per_s * (s * per_s - 2 * a), axis=-1)
    limit = 1 + kept**2 * np.expm1(-2 * tau)
    return Errors(train=bare(train), heldout=bare(heldout), limit=bare(limit))
