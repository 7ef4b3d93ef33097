"""The uniform channel of discrete diffusion: kernel, posterior, information and training loss.

A token is kept with probability alpha and otherwise redrawn uniformly, its old value included:

    q(x_t = k | x_0 = j) = alpha 1[k = j] + (1 - alpha) / V,   independently for each token.

The formulas take NumPy and JAX arrays alike and may be used inside ``jax.jit``, ``vmap`` and
``grad``. Values are checked on concrete input only. `alpha` is a number, or an array whose axes are
the leading axes of the tokens, as (batch,). The dtype of the distribution sets that of the result;
give `alpha` as a Python float or a float64 array to keep 1 - alpha accurate near alpha = 1.
"""

from __future__ import annotations

import numpy as np

from am_theory._arrays import (
    Array,
    align,
    expm1_minus,
    hits,
    is_concrete,
    logsumexp,
    rows_iv,
    xlogy,
)
from am_theory.information import (
    capacity,
    corruption_rate,
    dispersion,
    inverse_temperature,
    match_odds,
    mutual_information,
    prior_loss,
)
from am_theory.schedules import (
    Cosine,
    Linear,
    LogLinear,
    ScheduleDomainError,
    alpha_iv,
    ordered_alphas_iv,
)

__all__ = [
    "Cosine",
    "Linear",
    "LogLinear",
    "ScheduleDomainError",
    "capacity",
    "corruption_rate",
    "dispersion",
    "full_from_loo",
    "inverse_temperature",
    "logsumexp",
    "loo_from_full",
    "mutual_information",
    "nelbo_rate",
    "nelbo_rate_small_noise",
    "posterior",
    "prior_loss",
    "xlogy",
]


def posterior(x0_probs: Array, x_t: Array, alpha_s: Array, alpha_t: Array) -> Array:
    """Return the law of a less noisy token, given the noisy one and a law of the clean one.

    q(x_s = k | x_t, x) is proportional to
    (r 1[k = x_t] + (1 - r) / V) (alpha_s x_k + (1 - alpha_s) / V),   r = alpha_t / alpha_s.

    Parameters
    ----------
    x0_probs : (..., V) probabilities x; one-hot on x_0 for the Bayes posterior, a denoiser's
        leave-one-out law for the reverse kernel.
    x_t : (...) integers in [0, V).
    alpha_s, alpha_t : number or leading axes of `x_t`, in [0, 1], alpha_s >= alpha_t.

    Returns
    -------
    (..., V) probabilities with the dtype of `x0_probs`.

    Raises
    ------
    ScheduleDomainError for an alpha outside of [0, 1] or alpha_s < alpha_t; ValueError or
    TypeError for tokens out of range or shapes and dtypes that do not fit.

    Notes
    -----
    Where x_t is impossible under `x0_probs` (only at alpha_t = 1), the token stays at x_t.

    Unit: dimensionless, probability.

    Source: Austin et al. 2021, eq. 3; plugged-in law as in Schiff et al. 2024 (arXiv:2412.10193).

    >>> posterior(np.eye(4)[3], 1, 0.7, 0.4).round(8).tolist()
    [0.05357143, 0.33928571, 0.05357143, 0.55357143]
    """
    xp, x, (tokens,) = rows_iv(x0_probs, (x_t,), "x0_probs")
    ns, alpha_s, alpha_t = ordered_alphas_iv(alpha_s, alpha_t)
    fresh = ns.where(alpha_s > alpha_t, (alpha_s - alpha_t) / ns.where(alpha_s > 0, alpha_s, 1), 0)
    size = x.shape[-1]
    keep, fresh = (align(xp, x.dtype, v, (*tokens.shape, 1), "alpha") for v in (alpha_s, fresh))
    hit = hits(xp, tokens, size)
    joint = (keep * x + (1 - keep) / size) * xp.where(hit, 1 - fresh + fresh / size, fresh / size)
    total = xp.sum(joint, axis=-1, keepdims=True)
    stay = xp.where(hit, xp.ones_like(joint), 0.0)
    return xp.where(total > 0, joint / xp.where(total > 0, total, 1.0), stay)


def loo_from_full(log_full: Array, x_t: Array, alpha: Array) -> Array:
    """Return log p(x_0^i | x_t without i) from log p(x_0^i | x_t): take the own evidence out.

    log loo_v = log full_v - beta 1[v = x_t], normalized over v; beta the inverse temperature.

    Parameters
    ----------
    log_full : (..., V) log-probabilities, up to a constant a row; -inf is legal.
    x_t : (...) integers in [0, V).
    alpha : number or leading axes of `x_t`, in [0, 1].

    Returns
    -------
    (..., V) normalized log-probabilities with the dtype of `log_full`.

    Raises
    ------
    As `posterior`.

    Notes
    -----
    As alpha -> 1 the observed token takes the whole of `log_full`, and what the other tokens said
    is lost to rounding: convert from loo to full, not back, whenever there is a choice.

    Unit: nats, log-probability.

    Source: Bayes' rule; compare Gourevitch et al. 2026 (arXiv:2605.22765).

    >>> np.exp(loo_from_full(np.log([0.6, 0.3, 0.1]), 0, 0.5)).round(8).tolist()
    [0.27272727, 0.54545455, 0.18181818]
    """
    xp, log_full, (tokens,) = rows_iv(log_full, (x_t,), "log_full")
    beta = inverse_temperature(alpha, log_full.shape[-1])
    beta = align(xp, log_full.dtype, beta, (*tokens.shape, 1), "alpha")
    bare = xp.where(hits(xp, tokens, log_full.shape[-1]), log_full - beta, log_full)
    return bare - logsumexp(bare)


def full_from_loo(log_loo: Array, x_t: Array, alpha: Array) -> Array:
    """Return log p(x_0^i | x_t) from log p(x_0^i | x_t without i): put the own evidence in.

    log full_v = log loo_v + beta 1[v = x_t], normalized over v; beta the inverse temperature.
    Parameters, shapes and errors as `loo_from_full`, whose inverse it is.

    Notes
    -----
    At alpha = 1 the result is the point mass on x_t wherever loo gives x_t any probability. Where
    it gives none, the two laws agree at every alpha < 1, and so they do here.

    Unit: nats, log-probability.

    Source: Bayes' rule; compare Gourevitch et al. 2026 (arXiv:2605.22765).

    >>> np.exp(full_from_loo(np.log([3 / 11, 6 / 11, 2 / 11]), 0, 0.5)).round(8).tolist()
    [0.6, 0.3, 0.1]
    """
    xp, log_loo, (tokens,) = rows_iv(log_loo, (x_t,), "log_loo")
    shape = (*tokens.shape, 1)
    _, alpha, _ = alpha_iv(alpha)
    beta = align(xp, log_loo.dtype, inverse_temperature(alpha, log_loo.shape[-1]), shape, "alpha")
    hit = hits(xp, tokens, log_loo.shape[-1])
    told = xp.where(hit, log_loo + beta, log_loo)
    log_full = told - logsumexp(told)
    if is_concrete(alpha) and not np.any(np.asarray(alpha) >= 1):
        return log_full
    clean = align(xp, xp.bool, alpha >= 1, shape, "alpha")
    clean = clean & xp.any(hit & xp.isfinite(log_loo), axis=-1, keepdims=True)
    return xp.where(clean, xp.where(hit, xp.zeros_like(log_full), -xp.inf), log_full)


def nelbo_rate(
    log_x_theta: Array, x_t: Array, x_0: Array, alpha: Array, alpha_rate: Array
) -> Array:
    """Return the integrand of the continuous-time negative ELBO for each token, never negative.

    l = -alpha' / (V alpha) sum_{y != z} e^{w_y} [e^{D_y} - 1 - D_y],   z = x_t,
    w_y = beta (1[y = x_0] - 1[z = x_0]),   D_y = g_y - g_z - w_y,
    g_y = log(1 + V alpha x_y / (1 - alpha)),   beta the inverse temperature.

    Parameters
    ----------
    log_x_theta : (..., V) normalized log-probabilities of the denoiser; -inf is legal.
    x_t, x_0 : (...) integers in [0, V); noisy and clean tokens.
    alpha, alpha_rate : number or leading axes of `x_t`; alpha in [0, 1] and its time derivative,
        which is negative.

    Returns
    -------
    (...) nats per token and unit of t, with the dtype of `log_x_theta`.

    Raises
    ------
    As `posterior`.

    Notes
    -----
    Zero only for certainty in the truth; the exact *leave-one-out* law minimizes its mean. Finite
    throughout, as 1 - alpha is not let below 1e-12; at alpha = 0 the limit 0 is returned. Weights
    reach V / (1 - alpha), so that at small t the mean over samples has a heavy tail.

    Unit: nats per token and unit of t.

    Source: Schiff et al. 2024 (arXiv:2412.10193); Sahoo et al. 2025 (arXiv:2506.10892), regrouped
    into non-negative terms; derived in tests/oracles.py.

    >>> round(float(nelbo_rate(np.log([0.5, 0.3, 0.2]), 1, 0, 0.6, -0.999)), 10)
    1.9407501605
    """
    xp, log_x, (z, truth) = rows_iv(log_x_theta, (x_t, x_0), "log_x_theta")
    ns, alpha, _ = alpha_iv(alpha)
    size, shape = log_x.shape[-1], z.shape
    odds = align(xp, log_x.dtype, match_odds(ns, alpha, size), (*shape, 1), "alpha")
    beta = xp.log1p(odds)
    at_z, at_truth = hits(xp, z, size), hits(xp, truth, size)
    kept = (z == truth)[..., None]
    g = xp.log1p(odds * xp.exp(log_x))
    g_z = xp.sum(xp.where(at_z, g, 0.0), axis=-1, keepdims=True)
    w = xp.where(kept, -beta, xp.where(at_truth, beta, 0.0))
    weight = xp.where(kept, 1 / (1 + odds), xp.where(at_truth, 1 + odds, 1.0))
    terms = xp.where(at_z, 0.0, weight * expm1_minus(g - g_z - w))
    alpha = align(xp, log_x.dtype, alpha, shape, "alpha")
    rate = align(xp, log_x.dtype, alpha_rate, shape, "alpha_rate")
    return -rate / (size * xp.where(alpha > 0, alpha, 1.0)) * xp.sum(terms, axis=-1)


def nelbo_rate_small_noise(log_x_theta: Array, x_0: Array, alpha: Array) -> Array:
    """Return the leading order, as alpha -> 1, of the mean of `nelbo_rate` over the noisy token.

    l = (1/V) sum_{y != v} [x_y / x_v + log(x_y / x_v) - 1] - (V - 1) / V log((1 - alpha) / V),
    v = x_0, for a time derivative alpha' = -1.

    Parameters
    ----------
    log_x_theta : (..., V) log-probabilities of the denoiser, all finite.
    x_0 : (...) integers in [0, V); clean tokens.
    alpha : number or leading axes of `x_0`, in [0, 1].

    Returns
    -------
    (...) nats per token and unit of alpha, with the dtype of `log_x_theta`.

    Raises
    ------
    As `posterior`.

    Notes
    -----
    Asymptotic: the next order is (1 - alpha) log(1 - alpha) / min(x). A proper score, whose mean
    over v is least at x_v = p(x_0^i = v | all other clean tokens): at small noise a denoiser that
    is trained by this loss fits the conditionals of the pseudo-likelihood.

    Unit: nats per token and unit of alpha.

    Source: derived in am_theory/derivations/channel.py from `nelbo_rate`.

    >>> round(float(nelbo_rate_small_noise(np.log([0.5, 0.3, 0.2]), 0, 1 - 1e-6)), 6)
    9.133709
    """
    xp, log_x, (truth,) = rows_iv(log_x_theta, (x_0,), "log_x_theta")
    ns, alpha, _ = alpha_iv(alpha)
    size, at_truth = log_x.shape[-1], hits(xp, truth, log_x.shape[-1])
    floor = ns.log1p(match_odds(ns, alpha, size))  # -log((1 - alpha) / V) + O(1 - alpha)
    floor = align(xp, log_x.dtype, floor, truth.shape, "alpha")
    gain = log_x - xp.sum(xp.where(at_truth, log_x, 0.0), axis=-1, keepdims=True)
    terms = xp.where(at_truth, 0.0, xp.exp(gain) + gain - 1)
    return (xp.sum(terms, axis=-1) + (size - 1) * floor) / size
