"""The training loss of discrete diffusion: the continuous-time negative ELBO of every channel."""

from __future__ import annotations

from typing import Any, NamedTuple

from am_theory._arrays import Array, align, expm1_minus, hits, rows_iv
from am_theory.channels import Channel, Uniform, laws_iv, tokens_iv
from am_theory.information import MIN_RESAMPLE, match_odds
from am_theory.schedules import alpha_iv

__all__ = ["nelbo_rate", "nelbo_rate_small_noise"]


def nelbo_rate(
    log_x_theta: Array,
    x_t: Array,
    x_0: Array,
    alpha: Array,
    alpha_rate: Array,
    channel: Channel | None = None,
) -> Array:
    """Return the integrand of the continuous-time negative ELBO for each token, never negative.

    l = -alpha' g_z sum_{y != z} (q_y / q_z) [e^{D_y} - 1 - D_y],   z = x_t,
    D_y = log[(p_y / p_z) / (q_y / q_z)],   q = q(. | x_0),   p = q(. | x_theta),
    g_z the noise that comes into z as alpha falls: f / (alpha V) at a value, (1 - f) / alpha at the
    mask. For erasures alone it is -alpha' / (1 - alpha) (-log x_theta(x_0)) at masks, 0 elsewhere.

    Parameters
    ----------
    log_x_theta : (..., V) normalized log-probabilities of the denoiser; -inf is legal.
    x_t, x_0 : (...) integers; noisy and clean tokens, `x_t` in [0, V] with a mask, else [0, V).
    alpha, alpha_rate : number or leading axes of `x_t`; alpha in [0, 1] and its time derivative,
        which is negative.
    channel : record of `am_theory.channels`; None for the uniform one.

    Returns
    -------
    (...) nats per token and unit of t, with the dtype of `log_x_theta`.

    Raises
    ------
    As `posterior`.

    Notes
    -----
    Zero only for certainty in the truth; the exact *leave-one-out* law minimizes its mean. Finite
    throughout where the channel redraws, as u is not let below 1e-12; at alpha = 0 the limit 0 is
    returned for uniform noise. Weights reach V / u, so that at small t the mean over samples has a
    heavy tail; for erasures they are 1 / (1 - alpha).

    Unit: nats per token and unit of t.

    Source: Schiff et al. 2024 (arXiv:2412.10193); Sahoo et al. 2025 (arXiv:2506.10892), regrouped
    into non-negative terms; von Ruette et al. 2025 (arXiv:2503.04482) for the hybrid, Sahoo et al.
    2024 (arXiv:2406.07524) for erasures; derived in tests/oracles.py.

    >>> import numpy as np
    >>> round(float(nelbo_rate(np.log([0.5, 0.3, 0.2]), 1, 0, 0.6, -0.999)), 10)
    1.9407501605
    >>> from am_theory.channels import Absorbing
    >>> round(float(nelbo_rate(np.log([0.5, 0.3, 0.2]), 3, 0, 0.6, -1.0, Absorbing(3))), 10)
    1.7328679514
    """
    xp, log_x, (z,), found = laws_iv(log_x_theta, (x_t,), "log_x_theta", channel)
    (truth,) = tokens_iv(xp, (x_0,), z.shape, Uniform(found.vocab_size), "`log_x_theta`")
    _, alpha, _ = alpha_iv(alpha)
    shape = z.shape
    rate = align(xp, log_x.dtype, alpha_rate, shape, "alpha_rate")
    at_truth = hits(xp, truth, found.vocab_size)
    if not found.redraws:
        lost = align(xp, log_x.dtype, found.rates(alpha).mask, shape, "alpha")
        surprise = -xp.sum(xp.where(at_truth, log_x, 0.0), axis=-1)
        at_mask = z == found.mask_id
        return xp.where(at_mask, -rate / xp.where(lost > 0, lost, 1.0) * surprise, 0.0)
    kept = align(xp, log_x.dtype, alpha, shape, "alpha")
    mean = -rate / (found.vocab_size * xp.where(kept > 0, kept, 1.0))
    if found.mask_id is None:
        return mean * xp.sum(_value_terms(xp, log_x, z, truth, alpha, found).terms, axis=-1)
    terms, share = _masking_terms(xp, log_x, z, truth, alpha, found)
    return mean * share * xp.sum(terms, axis=-1)


class _Terms(NamedTuple):
    """Summands over the values y != z, (..., V), and logarithms in units of u / V: g of p_y, g_z of
    p_z, beta of a match; all (..., 1) but g."""

    terms: Array
    g: Array
    g_z: Array
    beta: Array


def _value_terms(
    xp: Any, log_x: Array, z: Array, truth: Array, alpha: Array, channel: Channel
) -> _Terms:
    """For a visible z."""
    ns, alpha, _ = alpha_iv(alpha)
    size = channel.vocab_size
    odds = align(xp, log_x.dtype, match_odds(ns, alpha, channel), (*z.shape, 1), "alpha")
    beta = xp.log1p(odds)
    at_z, at_truth = hits(xp, z, size), hits(xp, truth, size)
    kept = (z == truth)[..., None]
    g = xp.log1p(odds * xp.exp(log_x))
    g_z = xp.sum(xp.where(at_z, g, 0.0), axis=-1, keepdims=True)
    w = xp.where(kept, -beta, xp.where(at_truth, beta, 0.0))
    weight = xp.where(kept, 1 / (1 + odds), xp.where(at_truth, 1 + odds, 1.0))
    terms = xp.where(at_z, 0.0, weight * expm1_minus(g - g_z - w))
    return _Terms(terms, g, g_z, beta)


def _masking_terms(
    xp: Any, log_x: Array, z: Array, truth: Array, alpha: Array, channel: Channel
) -> tuple[Array, Array]:
    """Summands over y with the mask, (..., V + 1), and V times the share of the influx that comes
    into z, (...): f at a value, (1 - f) V at the mask."""
    size, shape = channel.vocab_size, (*z.shape, 1)
    terms, g, g_z, beta = _value_terms(xp, log_x, z, truth, alpha, channel)
    rates = channel.rates(alpha)
    fresh, redraw, mask = (
        align(xp, log_x.dtype, v, shape, "alpha")
        for v in (rates.fresh_redraw, rates.redraw, rates.mask)
    )
    value = xp.maximum(redraw, MIN_RESAMPLE) / size
    own = xp.where((z == truth)[..., None], beta, 0.0)  # log q_z in units of u / V
    last = mask / value * xp.exp(-own) * expm1_minus(own - g_z)
    told = xp.where(hits(xp, truth, size), beta, 0.0)
    from_mask = value / xp.where(mask > 0, mask, 1.0) * xp.exp(told) * expm1_minus(g - told)
    at_mask = (z == channel.mask_id)[..., None]
    terms = xp.where(at_mask, from_mask, terms)
    share = xp.where(at_mask, (1 - fresh) * size, fresh)[..., 0]
    return xp.concat([terms, xp.where(at_mask, 0.0, last)], axis=-1), share


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
    For the uniform channel, and the hybrid one, whose noise at small levels is uniform. Asymptotic:
    the next order is (1 - alpha) log(1 - alpha) / min(x). A proper score, whose mean
    over v is least at x_v = p(x_0^i = v | all other clean tokens): at small noise a denoiser that
    is trained by this loss fits the conditionals of the pseudo-likelihood.

    Unit: nats per token and unit of alpha.

    Source: derived in am_theory/derivations/channel.py from `nelbo_rate`.

    >>> import numpy as np
    >>> round(float(nelbo_rate_small_noise(np.log([0.5, 0.3, 0.2]), 0, 1 - 1e-6)), 6)
    9.133709
    """
    xp, log_x, (truth,) = rows_iv(log_x_theta, (x_0,), "log_x_theta")
    ns, alpha, _ = alpha_iv(alpha)
    size, at_truth = log_x.shape[-1], hits(xp, truth, log_x.shape[-1])
    floor = ns.log1p(match_odds(ns, alpha, Uniform(size)))  # -log((1 - alpha) / V) + O(1 - alpha)
    floor = align(xp, log_x.dtype, floor, truth.shape, "alpha")
    gain = log_x - xp.sum(xp.where(at_truth, log_x, 0.0), axis=-1, keepdims=True)
    terms = xp.where(at_truth, 0.0, xp.exp(gain) + gain - 1)
    return (xp.sum(terms, axis=-1) + (size - 1) * floor) / size
