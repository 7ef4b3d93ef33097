"""What released networks put out, read as the leave-one-out law p(x_0^i | x_t without site i).

- the token posterior, as of DiffusionGemma or flow matching: `am_theory.channel.loo_from_full`;
- log ratios of noisy probabilities, of SEDD: `loo_from_log_ratios`;
- logits at masked sites, of MDLM, MD4, LLaDA, Dream, D3PM with masks: `loo_from_masked_logits`;
- a tilted law, of GIDD with its "dynamic" loss: `loo_from_weighted` with `gidd_tilt`.

How far the reading can be trusted: `logit_cap_entropy_floor` and `bf16_error`, in words `readable`.
All laws have V columns, never one for the mask; masked sites hold the id V, and `without_mask`
moves a mask there. NumPy and JAX arrays alike. Networks trained on masked sites alone say nothing
at visible ones: the point mass on the visible token is put there, and a law needs a forward pass
with the site masked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from am_theory.channel import Channel, Hybrid, inverse_temperature, logsumexp
from am_theory.channels import channel_iv, laws_iv
from models._logit_limits import bf16_error, logit_cap_entropy_floor, readable
from models.tokens import is_tracer

__all__ = [
    "bf16_error",
    "gidd_tilt",
    "logit_cap_entropy_floor",
    "loo_from_log_ratios",
    "loo_from_masked_logits",
    "loo_from_weighted",
    "readable",
    "without_mask",
]

Array = Any


def loo_from_log_ratios(log_ratios: Array, x_t: Array, alpha: Array, channel: Channel) -> Array:
    """Return log p(x_0^i | x_t without i) from log p_t(x_t with y at i) / p_t(x_t).

    loo_y = (P_y - (1 - r) / V) / r,   P = softmax of the log ratios over the V values,
    with r = a / (1 - m) the kept fraction of visible tokens; clipped at 0 and normalized.

    Parameters
    ----------
    log_ratios : (..., V) log scores, or (..., V + 1) with a last column for the mask, which is not
        read. The entry of the token itself is 0 whatever is given.
    x_t : (...) integers in [0, V), or [0, V] with a mask.
    alpha : number or leading axes of `x_t`, in (0, 1]; for SEDD e^(-sigma).
    channel : record of `am_theory.channel`, `Uniform`, `Absorbing` or `Hybrid`.

    Returns
    -------
    (..., V) log-probabilities; under pure erasures the point mass at visible sites.

    Raises
    ------
    ValueError for alpha = 0, at which nothing can be read, tokens out of range or other shapes.

    Notes
    -----
    An error of at most eta in the log scores moves loo_y by at most
    (e^(2 eta) - 1) (loo_y + (1 - r) / (r V)): best at small noise, meaningless for small loo_y.

    Unit: nats, log-probability.

    Source: Lou, Meng, Ermon 2023 (arXiv:2310.16834) for the scores; derived in
    tests/models/test_conversions.py.

    >>> from am_theory.channel import Uniform
    >>> noisy = 0.5 * np.array([0.4, 0.5, 0.1]) + 0.5 / 3
    >>> ratios = np.log(noisy / noisy[1])
    >>> np.exp(loo_from_log_ratios(ratios, 1, 0.5, Uniform(3))).round(4).tolist()
    [0.4, 0.5, 0.1]
    """
    vocab = channel_iv(channel).vocab_size
    rows = _rows(log_ratios, "log_ratios")
    if rows.shape[-1] == vocab + 1:
        rows = rows[..., :vocab]
    xp, rows, (tokens,), found = laws_iv(rows, (x_t,), "log_ratios", channel)
    rates = found.rates(alpha)
    if not is_tracer(alpha) and np.any(np.asarray(rates.keep) == 0):
        raise ValueError("`alpha` must be above 0; got 0, at which a token says nothing.")
    kept = _column(xp, rates.keep / (rates.keep + rates.redraw), rows)
    hit = _hits(xp, tokens, vocab)
    seen = xp.where(hit, 0.0, rows)
    law = xp.exp(seen - logsumexp(seen))
    part = xp.clip((law - (1 - kept) / vocab) / kept, 0.0, None)
    log_loo = _log(xp, part / xp.sum(part, axis=-1, keepdims=True))
    return log_loo if found.redraws else _settled(xp, log_loo, hit)


def loo_from_masked_logits(
    logits: Array, x_t: Array, *, mask_id: int, shift: bool = False
) -> Array:
    """Return log p(x_0^i | x_t without i) from the logits of a network trained on masked sites.

    Log-softmax over the values, the mask's column left out: at masked sites loo and full are one
    law, the same at every noise level that leaves these tokens visible.

    Parameters
    ----------
    logits : (..., L, W) outputs over the network's W ids. D3PM's law over all ids counts as such.
    x_t : (..., L) integers, ids of the network.
    mask_id : int, the mask's id, in [0, W) where it has a column (126336 in LLaDA), W where not.
    shift : whether the logits at position i - 1 speak of site i, as in Dream; position 0 is then
        read at itself.

    Returns
    -------
    (..., L, V) log-probabilities over the values as `without_mask` numbers them; the point mass on
    the token at visible sites, where such networks have learned nothing.

    Raises
    ------
    ValueError for a mask outside of [0, W], tokens out of range or shapes that do not fit.

    Unit: nats, log-probability.

    Source: Sahoo et al. 2024 (arXiv:2406.07524), Nie et al. 2025 (arXiv:2502.09992), Ye et al.
    2025 (arXiv:2508.15487) for the shift.

    >>> logits = np.log([[0.1, 0.6, 0.3], [0.2, 0.7, 0.1]])  # the mask is id 1
    >>> np.exp(loo_from_masked_logits(logits, [1, 2], mask_id=1)).round(4).tolist()
    [[0.25, 0.75], [0.0, 1.0]]
    """
    rows = _rows(logits, "logits")
    width = rows.shape[-1]
    if isinstance(mask_id, bool) or not 0 <= mask_id <= width:
        raise ValueError(
            f"`mask_id` must lie in [0, {width}], the ids of the logits and the next; "
            f"got {mask_id!r}."
        )
    xp = rows.__array_namespace__()
    if shift:
        if rows.ndim < 2:
            raise ValueError(f"`logits` must have shape (..., L, W) to shift; got {rows.shape}.")
        rows = xp.concat([rows[..., :1, :], rows[..., :-1, :]], axis=-2)
    rows = xp.concat([rows[..., :mask_id], rows[..., mask_id + 1 :]], axis=-1)
    vocab = rows.shape[-1]
    _ids_iv(x_t, max(width, mask_id + 1))
    tokens = without_mask(x_t, mask_id=mask_id, vocab_size=vocab)
    if tokens.shape != rows.shape[:-1]:
        raise ValueError(
            f"`x_t` must have the leading shape {rows.shape[:-1]} of `logits`; got {tokens.shape}."
        )
    return _settled(xp, rows - logsumexp(rows), _hits(xp, xp.asarray(tokens), vocab))


def loo_from_weighted(log_x: Array, x_t: Array, tilt: Array) -> Array:
    """Return log p(x_0^i | x_t without i) from a law that a weighted loss has tilted.

    log loo_v = log x_v - tilt 1[v = x_t], normalized; a masked site, x_t = V, is left as it is.

    Parameters
    ----------
    log_x : (..., V) logits or log-probabilities over the values.
    x_t : (...) integers in [0, V].
    tilt : number or leading axes of `x_t`; `gidd_tilt` for GIDD's dynamic loss.

    Returns
    -------
    (..., V) log-probabilities.

    Raises
    ------
    ValueError for tokens out of range or shapes that do not fit.

    Unit: nats, log-probability.

    Source: minimum of a loss E w(x_t, x_0) [KL + IS], in tests/models/test_conversions.py.

    >>> np.exp(loo_from_weighted(np.log([0.5, 0.25, 0.25]), 0, np.log(2.0))).round(4).tolist()
    [0.3333, 0.3333, 0.3333]
    """
    rows = _rows(log_x, "log_x")
    masked = Hybrid(rows.shape[-1], 0.5)
    xp, rows, (tokens,), _ = laws_iv(rows, (x_t,), "log_x", masked)
    told = xp.where(_hits(xp, tokens, rows.shape[-1]), rows - _column(xp, tilt, rows), rows)
    return told - logsumexp(told)


def gidd_tilt(time: Array, channel: Hybrid) -> Array:
    """Return by how much GIDD's dynamic loss raises the logit of the visible token.

    Delta_t = beta + log(B / (V + 1)) + sigmoid(-t) / 2,   B = 2 p / (1 - p),
    with beta = log(1 + V a / u) at GIDD's clock t.

    Parameters
    ----------
    time : number or array, GIDD's clock in (0, 1).
    channel : `Hybrid(V, p)` with p inside (0, 1); V does not count the mask.

    Returns
    -------
    Shape of `time`; nearly independent of p.

    Raises
    ------
    ValueError for another channel, p = 0 or 1, or a time outside of [0, 1].

    Notes
    -----
    Networks trained at p = 0 learn nothing at visible sites, as MDLM's. The term sigmoid(-t) is
    what the released code calls log_snr. Not checked against released weights.

    Unit: nats.

    Source: von Ruette et al. 2025 (arXiv:2503.04482), released loss; minimum derived in
    tests/models/test_conversions.py.

    >>> round(gidd_tilt(0.5, Hybrid(50257, 0.1)), 3)
    0.189
    """
    if not isinstance(channel, Hybrid) or not 0 < channel.p_uniform < 1:
        raise ValueError(f"`channel` must be Hybrid(V, p) with 0 < p < 1; got {channel!r}.")
    odds = 2 * channel.p_uniform / (1 - channel.p_uniform)
    beta = inverse_temperature(channel.alpha_at(time), channel)
    xp = time.__array_namespace__() if hasattr(time, "__array_namespace__") else np
    snr = 1 / (1 + xp.exp(xp.asarray(time)))
    value = beta + float(np.log(odds / (channel.vocab_size + 1))) + snr / 2
    return float(value) if isinstance(time, int | float) else value


def without_mask(x: Array, *, mask_id: int, vocab_size: int) -> Array:
    """Ids in which the mask is the last one, V, from ids in which it is `mask_id`.

    Parameters
    ----------
    x : integers in [0, V].
    mask_id : int in [0, V].
    vocab_size : int, V, the mask not counted.

    Returns
    -------
    Shape of `x`: ids above the mask move down by one.

    >>> without_mask(np.array([0, 1, 2, 3]), mask_id=1, vocab_size=3).tolist()
    [0, 3, 1, 2]
    """
    tokens = x if hasattr(x, "__array_namespace__") else np.asarray(x)
    xp = tokens.__array_namespace__()
    if not xp.isdtype(tokens.dtype, "integral"):
        raise TypeError(f"Token ids must have an integer dtype; got {tokens.dtype}.")
    tokens = xp.astype(tokens, xp.int32)
    moved = xp.where(tokens > mask_id, tokens - 1, tokens)
    return xp.where(tokens == mask_id, vocab_size, moved)


def _ids_iv(x: Array, count: int) -> None:
    """Refuse ids that the network does not have."""
    if not is_tracer(x):
        values = np.asarray(x)
        wrong = values[(values < 0) | (values >= count)]
        if wrong.size:
            raise ValueError(f"Token ids must lie in [0, {count}); got {wrong.flat[0]}.")


def _rows(rows: Array, name: str) -> Array:
    found = rows if hasattr(rows, "__array_namespace__") else np.asarray(rows)
    if found.ndim < 1:
        raise ValueError(f"`{name}` must have shape (..., V); got a single number.")
    if not found.__array_namespace__().isdtype(found.dtype, "real floating"):
        raise TypeError(f"`{name}` must have a floating dtype; got {found.dtype}.")
    return found


def _column(xp: Any, value: Any, rows: Array) -> Array:
    """A number or array of leading axes, made to meet (..., V)."""
    value = xp.asarray(value, dtype=rows.dtype)
    return xp.reshape(value, value.shape + (1,) * (rows.ndim - value.ndim)) if value.ndim else value


def _hits(xp: Any, tokens: Array, vocab: int) -> Array:
    return xp.arange(vocab) == xp.astype(tokens, xp.int32)[..., None]


def _settled(xp: Any, log_law: Array, hit: Array) -> Array:
    """The point mass at visible sites."""
    visible = xp.any(hit, axis=-1, keepdims=True)
    return xp.where(visible, xp.where(hit, xp.zeros_like(log_law), -xp.inf), log_law)


def _log(xp: Any, law: Array) -> Array:
    return xp.where(law > 0, xp.log(xp.where(law > 0, law, 1.0)), -xp.inf)
