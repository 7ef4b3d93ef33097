"""The channels of discrete diffusion: kernel, posterior, information and training loss.

A token is kept with probability a = alpha, else redrawn uniformly (its old value included), u, or
masked, m; independently for each token, as `am_theory.channels` says:

    q(x_t = k | x_0 = j) = a 1[k = j] + u / V  for k < V,      q(x_t = V | x_0 = j) = m.

Functions take a `channel`; None is the uniform channel, u = 1 - alpha, of as many values as the
last axis holds. Laws of clean tokens have V columns, never one for the mask; noisy tokens may hold
the mask's id V. The formulas take NumPy and JAX arrays alike and may be used inside ``jax.jit``,
``vmap`` and ``grad``. Values are checked on concrete input only. `alpha` is a number, or an array
whose axes are the leading axes of the tokens, as (batch,). The dtype of the distribution sets that
of the result; give `alpha` as a Python float or a float64 array to keep 1 - alpha accurate near
alpha = 1. The loss is in `am_theory.nelbo`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from am_theory._arrays import (
    Array,
    align,
    hits,
    is_concrete,
    logsumexp,
    namespace,
    xlogy,
)
from am_theory.channels import Absorbing, Channel, Hybrid, Uniform, laws_iv, tokens_iv
from am_theory.channels import channel_iv as channel_iv
from am_theory.information import (
    capacity,
    corruption_rate,
    dispersion,
    inverse_temperature,
    mutual_information,
    prior_loss,
    visible_alpha,
)
from am_theory.nelbo import nelbo_rate, nelbo_rate_small_noise
from am_theory.schedules import (
    Cosine,
    Linear,
    LogLinear,
    ScheduleDomainError,
    alpha_iv,
    ordered_alphas_iv,
)

__all__ = [
    "Absorbing",
    "Channel",
    "Cosine",
    "Hybrid",
    "Linear",
    "LogLinear",
    "ScheduleDomainError",
    "Uniform",
    "capacity",
    "corruption_rate",
    "dispersion",
    "full_from_loo",
    "inverse_temperature",
    "kernel",
    "likelihood",
    "logsumexp",
    "loo_from_full",
    "mutual_information",
    "nelbo_rate",
    "nelbo_rate_small_noise",
    "posterior",
    "prior_loss",
    "visible_alpha",
    "xlogy",
]


def kernel(alpha: Array, vocab_size: int | Channel) -> Array:
    """Return the law of a noisy token for each value of the clean one, q(x_t = k | x_0 = j).

    Parameters
    ----------
    alpha : number in [0, 1]; probability that a token is kept.
    vocab_size : int, V >= 2, for the uniform channel, or a record of `am_theory.channels`.

    Returns
    -------
    (V, V) probabilities, rows of sum 1; (V, V + 1) with a mask, whose column is the last.

    Raises
    ------
    ScheduleDomainError for an alpha outside of [0, 1]; ValueError for one that is an array.

    Unit: dimensionless, probability.

    Source: Austin et al. 2021 (arXiv:2107.03006), section 3.1; von Ruette et al. 2025
    (arXiv:2503.04482) for the hybrid.

    >>> kernel(0.5, Absorbing(2)).tolist()
    [[0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
    """
    found = channel_iv(vocab_size)
    xp, alpha, _ = alpha_iv(alpha)
    if alpha.ndim:
        raise ValueError(f"`alpha` must be one number; got shape {alpha.shape}. Call it for each.")
    rates, size = found.rates(alpha), found.vocab_size
    seen = rates.keep * xp.eye(size) + rates.redraw / size
    if found.mask_id is None:
        return seen
    return xp.concat([seen, xp.broadcast_to(rates.mask, (size, 1))], axis=-1)


def likelihood(x_t: Array, alpha: Array, vocab_size: int | Channel, dtype: Any = float) -> Array:
    """Return q(x_t^i | x_0^i = v) for each value v: what a noisy token says of the clean one.

    Parameters
    ----------
    x_t : (...) integers, values or the mask.
    alpha : number or leading axes of `x_t`, in [0, 1].
    vocab_size : int, V >= 2, for the uniform channel, or a record of `am_theory.channels`.
    dtype : of the result.

    Returns
    -------
    (..., V) probabilities, not normalized over v.

    Raises
    ------
    ScheduleDomainError for an alpha outside of [0, 1]; ValueError or TypeError for tokens out of
    range or shapes that do not fit.

    Unit: dimensionless, probability.

    Source: as `kernel`, its columns.

    >>> likelihood(np.array([1, 2]), 0.5, Absorbing(2)).tolist()
    [[0.0, 0.5], [0.5, 0.5]]
    """
    found = channel_iv(vocab_size)
    xp = namespace(x_t)
    _, alpha, _ = alpha_iv(alpha)
    (z,) = tokens_iv(xp, (x_t,), xp.asarray(x_t).shape, found, "the likelihood")
    rates = found.rates(alpha)
    keep, redraw, mask = (
        align(xp, dtype, rate, (*z.shape, 1), "alpha")
        for rate in (rates.keep, rates.redraw, rates.mask)
    )
    seen = xp.where(hits(xp, z, found.vocab_size), keep, 0.0) + redraw / found.vocab_size
    return seen if found.mask_id is None else xp.where((z == found.mask_id)[..., None], mask, seen)


def posterior(
    x0_probs: Array, x_t: Array, alpha_s: Array, alpha_t: Array, channel: Channel | None = None
) -> Array:
    """Return the law of a less noisy token, given the noisy one and a law of the clean one.

    q(x_s = k | x_t, x) is proportional to (r 1[k = x_t] + rho) (alpha_s x_k + b_k),
    r = alpha_t / alpha_s, b = u_s / V at values and m_s at the mask, where x is 0; rho, the noise
    that comes in between s and t, is (u_t - r u_s) / V if x_t is a value, m_t - r m_s if a mask.

    Parameters
    ----------
    x0_probs : (..., V) probabilities x; one-hot on x_0 for the Bayes posterior, a denoiser's
        leave-one-out law for the reverse kernel.
    x_t : (...) integers in [0, V), or [0, V] with a mask.
    alpha_s, alpha_t : number or leading axes of `x_t`, in [0, 1], alpha_s >= alpha_t.
    channel : record of `am_theory.channels`; None for the uniform one.

    Returns
    -------
    (..., V) probabilities with the dtype of `x0_probs`; (..., V + 1) where the channel masks.

    Raises
    ------
    ScheduleDomainError for an alpha outside of [0, 1] or alpha_s < alpha_t; ValueError or
    TypeError for tokens out of range or shapes and dtypes that do not fit.

    Notes
    -----
    Where x_t is impossible under `x0_probs` (u_t = 0 and a value that it forbids), the token stays.

    Unit: dimensionless, probability.

    Source: Austin et al. 2021, eq. 3; plugged-in law as in Schiff et al. 2024 (arXiv:2412.10193).

    >>> posterior(np.eye(4)[3], 1, 0.7, 0.4).round(8).tolist()
    [0.05357143, 0.33928571, 0.05357143, 0.55357143]
    >>> posterior(np.eye(4)[3], 4, 0.7, 0.4, Absorbing(4)).round(8).tolist()
    [0.0, 0.0, 0.0, 0.5, 0.5]
    """
    xp, x, (tokens,), found = laws_iv(x0_probs, (x_t,), "x0_probs", channel)
    _, alpha_s, alpha_t = ordered_alphas_iv(alpha_s, alpha_t)
    size, before, step = found.vocab_size, found.rates(alpha_s), found.step(alpha_s, alpha_t)
    keep, redrawn, masked, stay, redraw, mask = (
        align(xp, x.dtype, v, (*tokens.shape, 1), "alpha")
        for v in (before.keep, before.redraw, before.mask, step.keep, step.redraw, step.mask)
    )
    hit = hits(xp, tokens, size)
    joint = (keep * x + redrawn / size) * xp.where(hit, stay + redraw / size, redraw / size)
    if found.mask_id is not None:
        at_mask = (tokens == found.mask_id)[..., None]
        joint = xp.where(at_mask, (keep * x + redrawn / size) * mask, joint)
        to_mask = masked * xp.where(at_mask, stay + mask, redraw / size)
        joint = xp.concat([joint, xp.broadcast_to(to_mask, (*tokens.shape, 1))], axis=-1)
        hit = xp.concat([hit, at_mask], axis=-1)
    total = xp.sum(joint, axis=-1, keepdims=True)
    stays = xp.where(hit, xp.ones_like(joint), 0.0)
    return xp.where(total > 0, joint / xp.where(total > 0, total, 1.0), stays)


def loo_from_full(
    log_full: Array, x_t: Array, alpha: Array, channel: Channel | None = None
) -> Array:
    """Return log p(x_0^i | x_t without i) from log p(x_0^i | x_t): take the own evidence out.

    log loo_v = log full_v - beta 1[v = x_t], normalized over v; beta the inverse temperature. At a
    mask the two are the same.

    Parameters
    ----------
    log_full : (..., V) log-probabilities, up to a constant a row; -inf is legal.
    x_t : (...) integers in [0, V), or [0, V] with a mask.
    alpha : number or leading axes of `x_t`, in [0, 1].
    channel : record of `am_theory.channels`; None for the uniform one.

    Returns
    -------
    (..., V) normalized log-probabilities with the dtype of `log_full`.

    Raises
    ------
    As `posterior`, and ValueError for a visible token of a channel that does not redraw: its full
    law is the point mass on it, from which nothing can be taken out. NaN there for a traced token.

    Notes
    -----
    As alpha -> 1 the observed token takes the whole of `log_full`, and what the other tokens said
    is lost to rounding: convert from loo to full, not back, whenever there is a choice.

    Unit: nats, log-probability.

    Source: Bayes' rule; compare Gourevitch et al. 2026 (arXiv:2605.22765).

    >>> np.exp(loo_from_full(np.log([0.6, 0.3, 0.1]), 0, 0.5)).round(8).tolist()
    [0.27272727, 0.54545455, 0.18181818]
    """
    xp, log_full, (tokens,), found = laws_iv(log_full, (x_t,), "log_full", channel)
    hit = hits(xp, tokens, found.vocab_size)
    if not found.redraws:
        if is_concrete(tokens) and np.any(np.asarray(tokens) != found.mask_id):
            raise ValueError(
                "A visible token of an absorbing channel has no leave-one-out law in `log_full`, "
                f"which is the point mass on it; got the token {np.asarray(tokens).min()}. Mask "
                f"the site (id {found.mask_id}) and ask the denoiser again."
            )
        return xp.where(xp.any(hit, axis=-1, keepdims=True), xp.nan, log_full - logsumexp(log_full))
    beta = inverse_temperature(alpha, found)
    beta = align(xp, log_full.dtype, beta, (*tokens.shape, 1), "alpha")
    bare = xp.where(hit, log_full - beta, log_full)
    return bare - logsumexp(bare)


def full_from_loo(
    log_loo: Array, x_t: Array, alpha: Array, channel: Channel | None = None
) -> Array:
    """Return log p(x_0^i | x_t) from log p(x_0^i | x_t without i): put the own evidence in.

    log full_v = log loo_v + beta 1[v = x_t], normalized over v; beta the inverse temperature.
    Parameters and shapes as `loo_from_full`, whose inverse it is.

    Notes
    -----
    Where a visible token is the true one, alpha = 1 or a channel that does not redraw, the result
    is the point mass on x_t if loo gives x_t any probability. If it gives none, the two laws agree
    at every u > 0, and so they do here.

    Unit: nats, log-probability.

    Source: Bayes' rule; compare Gourevitch et al. 2026 (arXiv:2605.22765).

    >>> np.exp(full_from_loo(np.log([3 / 11, 6 / 11, 2 / 11]), 0, 0.5)).round(8).tolist()
    [0.6, 0.3, 0.1]
    """
    xp, log_loo, (tokens,), found = laws_iv(log_loo, (x_t,), "log_loo", channel)
    shape = (*tokens.shape, 1)
    _, alpha, _ = alpha_iv(alpha)
    hit = hits(xp, tokens, found.vocab_size)
    told = log_loo
    if found.redraws:
        beta = align(xp, log_loo.dtype, inverse_temperature(alpha, found), shape, "alpha")
        told = xp.where(hit, log_loo + beta, log_loo)
    log_full = told - logsumexp(told)
    if found.redraws and is_concrete(alpha) and not np.any(np.asarray(alpha) >= 1):
        return log_full
    clean = align(xp, xp.bool, alpha >= (1 if found.redraws else 0), shape, "alpha")
    clean = clean & xp.any(hit & xp.isfinite(log_loo), axis=-1, keepdims=True)
    return xp.where(clean, xp.where(hit, xp.zeros_like(log_full), -xp.inf), log_full)
