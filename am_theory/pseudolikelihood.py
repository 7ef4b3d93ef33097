"""Memories trained row by row: pseudo-likelihood, maximum margin, pseudo-inverse.

P random patterns xi^mu on N binary neurons, load = P / N. Each neuron i has a row of couplings to
the others, chosen on its own; with rows of unit norm the stability of pattern mu at neuron i is
Delta = xi_i^mu sum_{j != i} J_ij xi_j^mu, and a state is updated by x_i = sign sum_j J_ij x_j.
Pseudo-likelihood training tends to the rows of maximum margin when nothing limits their norm; with
an L2 term it stops short of them. Only one update is predicted; whole basins need simulation.

All of it is for random patterns and rows without biases. With biases, and samples without end of
any source, the rows minimize sum_i E KL(p(x_i | rest) || pairwise law): the conditional laws of a
pairwise Markov field exactly, as those of a chain, log P[x_{i-1}, v] + log P[v, x_{i+1}] + const.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf, ndtr, owens_t

from am_theory._inputs import POSITIVE, Floats, Interval, bare, broadcast_iv, real_iv
from am_theory._logistic_rows import one_step, solve

__all__ = [
    "Replica",
    "StabilityLaw",
    "critical_load",
    "gardner_margin",
    "one_step_overlap",
    "replica",
    "stability_law",
]

Memory = Literal["max_margin", "pseudo_inverse", "hebb"]

_LOAD = "It is patterns per neuron, P / N."
_OVERLAP = Interval(-1.0, 1.0)


@dataclass(frozen=True)
class StabilityLaw:
    """Stabilities at maximum margin: a mass `atom` at the margin `kappa`, a density above it."""

    kappa: Any
    atom: Any
    exists: Any

    def density(self, stability: ArrayLike) -> Any:
        """Density above the margin, phi(h) 1[h > kappa]; the atom is not part of it."""
        h = np.asarray(stability, dtype=np.float64)
        above = np.where(h > self.kappa, np.exp(-(h**2) / 2) / np.sqrt(2 * np.pi), 0.0)
        return bare(np.where(self.exists, above, np.nan))

    def cdf(self, stability: ArrayLike) -> Any:
        """Probability of a stability of at most h: Phi(h) from the margin on, 0 below it."""
        h = np.asarray(stability, dtype=np.float64)
        return bare(np.where(self.exists, np.where(h >= self.kappa, ndtr(h), 0.0), np.nan))


@dataclass(frozen=True)
class Replica:
    """Trained rows: squared norm q, response chi, loss per pattern and row, share of stable bits.

    Stabilities are Delta = x / sqrt(q), x = sqrt(q) z + chi sigma(-x) with z standard normal.
    """

    q: Any
    chi: Any
    loss: Any
    stable: Any
    converged: Any
    residual: Any

    def one_step_overlap(self, overlap: ArrayLike) -> Any:
        """Overlap after one update from `overlap` in [-1, 1], E erf(m_0 Delta / sqrt(2 - 2 m_0^2)).

        Dimensionless, of the broadcast shape; odd in `overlap`; 2 stable - 1 at overlap 1.
        """
        m, q, chi = broadcast_iv(
            overlap=real_iv("overlap", overlap, _OVERLAP),
            result=np.asarray(self.q, dtype=np.float64),
            chi=np.asarray(self.chi, dtype=np.float64),
        )
        steps = [one_step(*v) for v in zip(_gain(m).flat, q.flat, chi.flat, strict=True)]
        return bare(np.reshape(steps, m.shape))


def critical_load() -> float:
    """Return the load up to which any couplings can hold random patterns as fixed points.

    2, where the margin of `gardner_margin` reaches 0.

    Returns
    -------
    Number.

    Unit: patterns per neuron

    Source: Cover 1965 (IEEE Trans. Electron. Comput. 14, 326); Gardner 1988 (J. Phys. A 21, 257).

    >>> critical_load()
    2.0
    """
    return 2.0


def gardner_margin(load: ArrayLike) -> Any:
    """Return the largest margin that rows of unit norm can give to random patterns.

    1 / load = (1 + kappa^2) Phi(kappa) + kappa phi(kappa),   kappa >= 0.

    Parameters
    ----------
    load : number or array, P / N > 0.

    Returns
    -------
    Shape of `load`, not negative; NaN beyond load 2, where some bits must be wrong.

    Raises
    ------
    ValueError for a load that is not positive.

    Notes
    -----
    Newton's method from above on a convex function, minus its value at kappa = 0 so that small
    margins keep their digits.

    Unit: dimensionless

    Source: Gardner 1988 (J. Phys. A 21, 257).

    >>> round(gardner_margin(0.5), 8)
    1.03431406
    """
    x = real_iv("load", load, POSITIVE, _LOAD)
    x = np.where(x <= 2, x, np.nan)
    excess = (2 - x) / (2 * x)  # 1 / load - 1/2
    kappa = np.sqrt(1 / x)
    for _ in range(12):  # quadratic from the first step on; 7 suffice on loads from 1e-12 to 2
        phi = np.exp(-(kappa**2) / 2) / np.sqrt(2 * np.pi)
        value = erf(kappa / np.sqrt(2)) / 2 + kappa**2 * ndtr(kappa) + kappa * phi
        kappa = np.maximum(kappa - (value - excess) / (2 * (kappa * ndtr(kappa) + phi)), 0.0)
    return bare(np.where(excess == 0, 0.0, kappa))


def stability_law(load: ArrayLike) -> StabilityLaw:
    """Return the law of the stabilities of rows of maximum margin.

    Mass Phi(kappa) at the margin kappa, density phi(h) above: the law of max(z, kappa).

    Parameters
    ----------
    load : number or array, P / N > 0.

    Returns
    -------
    StabilityLaw with fields of the shape of `load`; NaN with `exists` False beyond load 2. Its
    methods `density(stability)` and `cdf(stability)` broadcast with the fields.

    Raises
    ------
    ValueError for a load that is not positive.

    Unit: dimensionless

    Source: Kepler and Abbott 1988 (J. Phys. (Paris) 49, 1657); Gardner 1988 (J. Phys. A 21, 257).

    >>> law = stability_law(1.0)
    >>> round(law.kappa, 8), round(law.atom, 6), round(law.cdf(1.0), 6)
    (0.47065535, 0.681057, 0.841345)
    """
    kappa = np.asarray(gardner_margin(load))
    return StabilityLaw(*map(bare, (kappa, ndtr(kappa), np.isfinite(kappa))))


def one_step_overlap(overlap: ArrayLike, load: ArrayLike, memory: Memory = "max_margin") -> Any:
    """Return the overlap after one update of all neurons, from random errors.

    m_1 = E erf(m_0 Delta / sqrt(2 (1 - m_0^2))) over the stabilities Delta of the memory:
    max(z, kappa) for "max_margin", sqrt((1 - load) / load) for "pseudo_inverse", and
    z + load^(-1/2) for "hebb", where it is erf(m_0 / sqrt(2 load)).

    Parameters
    ----------
    overlap : number or array, m_0 in [-1, 1].
    load : number or array, P / N > 0.
    memory : "max_margin", "pseudo_inverse" or "hebb".

    Returns
    -------
    Broadcast shape, in [-1, 1]; NaN beyond the capacity: load 2 at maximum margin, 1 for the
    pseudo-inverse.

    Raises
    ------
    ValueError for arguments out of range, shapes that do not fit or an unknown memory.

    Notes
    -----
    Exact for large N. With b = m_0 / sqrt(1 - m_0^2) the maximum-margin average is
    Phi(kappa) erf(b kappa / sqrt(2)) + 2 T(kappa, b), T the function of Owen.

    Unit: dimensionless

    Source: Kanter and Sompolinsky 1987 (Phys. Rev. A 35, 380) for the pseudo-inverse, Gardner 1988
    (J. Phys. A 21, 257) for the margin; averages derived in
    tests/am_theory/test_pseudolikelihood.py.

    >>> round(one_step_overlap(0.6, 0.5), 6), round(one_step_overlap(0.6, 0.5, "hebb"), 6)
    (0.587708, 0.603856)
    """
    m, x = broadcast_iv(
        overlap=real_iv("overlap", overlap, _OVERLAP), load=real_iv("load", load, POSITIVE, _LOAD)
    )
    if memory == "hebb":
        return bare(erf(m / np.sqrt(2 * x)))
    if memory == "pseudo_inverse":
        margin = np.sqrt(np.where(x <= 1, (1 - x) / x, np.nan))
        return bare(_erf_product(_gain(m), margin))
    if memory != "max_margin":
        raise ValueError(
            f"`memory` must be one of max_margin, pseudo_inverse, hebb; got {memory!r}."
        )
    kappa, gain = np.asarray(gardner_margin(x)), _gain(m)
    return bare(ndtr(kappa) * _erf_product(gain, kappa) + 2 * owens_t(kappa, gain))


def replica(load: ArrayLike, regularisation: ArrayLike) -> Replica:
    """Return what training a row on its logistic loss with an L2 term ends in.

    Minimized: sum_mu log(1 + exp(-x_mu)) + (lambda / 2) |w|^2, x_mu = xi_i^mu w.xi^mu / sqrt(N).
    With x = sqrt(q) z + chi s, s = sigma(-x) and z standard normal,

        1 / chi = lambda + load E[s (1 - s) / (1 + chi s (1 - s))],   q = chi^2 load E s^2,

    q the squared norm |w|^2 / N; loss E log(1 + e^-x), stable share Pr(x > 0).

    Parameters
    ----------
    load : number or array, P / N > 0.
    regularisation : number or array, lambda > 0, the weight of the L2 term.

    Returns
    -------
    Replica with fields of the broadcast shape; its method `one_step_overlap(overlap)` gives the
    one-step map. `residual` is the larger of the two equations' relative differences; `converged`
    says that it is below 1e-9.

    Raises
    ------
    ValueError for arguments out of range or shapes that do not fit.

    Notes
    -----
    Exact for large N (replica-symmetric, convex). As lambda -> 0 below load 2 the norm diverges as
    log(1 / lambda) and the stabilities tend to those of `stability_law`. Averages are taken on a
    grid in x, where they are smooth at any norm. About 20 ms a point, up to 100 ms near load 2 with
    lambda < 1e-4; checked for loads from 1e-6 to 1e4 and lambda from 1e-6 to 1e3.

    Unit: dimensionless (q, chi, stable); nats per pattern and neuron (loss)

    Source: D'Amico, Bocchi, Del Bono, Rossi, Negri 2025 (arXiv:2507.05147) for the model; convex
    replica calculation, checked by training in tests/am_theory/test_pseudolikelihood.py.

    >>> rows = replica(1.0, 0.1)
    >>> round(rows.q, 6), round(rows.chi, 6), round(rows.one_step_overlap(0.6), 6)
    (2.16695, 5.427253, 0.45981)
    """
    x, penalty = broadcast_iv(
        load=real_iv("load", load, POSITIVE, _LOAD),
        regularisation=real_iv(
            "regularisation",
            regularisation,
            POSITIVE,
            "Without it the norm has no limit: see `stability_law`.",
        ),
    )
    rows = [solve(*v) for v in zip(x.flat, penalty.flat, strict=True)]
    fields = np.reshape(rows, (*x.shape, 5))
    q, chi, loss, stable, residual = np.moveaxis(fields, -1, 0)
    return Replica(*map(bare, (q, chi, loss, stable, residual < 1e-9, residual)))


def _gain(m: Floats) -> Floats:
    """m / sqrt(1 - m^2), infinite at the ends."""
    with np.errstate(divide="ignore"):
        return m / np.sqrt((1 - m) * (1 + m))


def _erf_product(gain: Floats, margin: Floats) -> Floats:
    """erf(gain margin / sqrt(2)), 0 at margin 0 whatever the gain."""
    with np.errstate(invalid="ignore"):
        return np.where(margin == 0, 0.0, erf(gain * margin / np.sqrt(2)))
