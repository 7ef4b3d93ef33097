"""Masks undone as deployed masked models do it, by confidence; and laws of single masked sites."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.denoiser import Denoiser, channel_of
from models.sampler import decode_sample
from models.tokens import Tokens, check_tokens

Floats = NDArray[np.float64]
Score = Literal["probability", "margin", "entropy"]
ROWS = 4096  # sequences of one call of the denoiser


def unmask_confident(
    denoiser: Denoiser,
    rng: np.random.Generator,
    x_t: ArrayLike,
    k: int = 1,
    score: Score = "probability",
    sample: bool = False,
) -> Tokens:
    """Fill the k masked sites of largest score in every step, until none is left, (batch, L).

    The candidate of a site is the likeliest token of its law, or with `sample` a draw of it. Score:
    the candidate's probability (LLaDA's low_confidence, Dream's maskgit_plus), the margin between
    the two likeliest tokens, or minus the entropy of the law. The noise level told is that at which
    as many tokens are masked. Visible tokens never change. Raises ValueError for a denoiser whose
    channel has no mask, for k < 1 or an unknown score.
    """
    mask = _mask_iv(denoiser)
    if k < 1 or score not in ("probability", "margin", "entropy"):
        raise ValueError(
            "`k` must be at least 1 and `score` one of probability, margin, entropy; got "
            f"{k} and {score!r}."
        )
    tokens = check_tokens(x_t, denoiser.vocab_size, denoiser.seq_len, mask_id=mask).copy()
    while (masked := tokens == mask).any():
        law = np.asarray(_laws(denoiser, tokens), dtype=np.float64)
        chosen = law.argmax(-1)
        if sample:
            chosen = np.asarray(decode_sample(rng.random(tokens.shape), law))
        sure = np.where(masked, _scores(law, chosen, score), -np.inf)
        best = np.argsort(-sure, axis=1, kind="stable")[:, :k]
        fill = np.zeros_like(masked)
        np.put_along_axis(fill, best, True, axis=1)
        tokens = np.where(fill & masked, chosen, tokens).astype(tokens.dtype)
    return tokens


def _scores(law: Floats, chosen: NDArray[np.int64], score: Score) -> Floats:
    if score == "probability":
        return np.exp(np.take_along_axis(law, chosen[..., None], axis=-1)[..., 0])
    probs = np.exp(law)
    if score == "margin":
        top = np.partition(probs, -2, axis=-1)[..., -2:]
        return top[..., 1] - top[..., 0]
    finite = np.where(probs > 0, law, 0.0)
    return (probs * finite).sum(-1)


def single_mask_laws(
    denoiser: Denoiser, x_0: ArrayLike, sites: ArrayLike, t: float | None = None
) -> Floats:
    """`loo` of the tokens at `sites` (n, S) of x_0 (n, L), one site masked at a time, (n, S, V).

    What the uniform channel's law becomes as t -> 0, for a denoiser whose visible sites carry none:
    a pass for each site. `t` is the level told, by default that at which one token is masked.
    Raises ValueError for a denoiser whose channel has no mask.
    """
    mask = _mask_iv(denoiser)
    tokens = check_tokens(x_0, denoiser.vocab_size, denoiser.seq_len, mask_id=mask)
    asked = np.asarray(sites)
    rows, columns = np.repeat(np.arange(len(tokens)), asked.shape[1]), asked.ravel()
    out = np.empty((len(rows), denoiser.vocab_size))
    for start in range(0, len(rows), ROWS):
        part = slice(start, start + ROWS)
        site = columns[part]
        masked = tokens[rows[part]].copy()
        masked[np.arange(len(site)), site] = mask
        law = _laws(denoiser, masked, t)
        if isinstance(denoiser, eqx.Module):
            law = jnp.take_along_axis(law, jnp.asarray(site)[:, None, None], axis=1)[:, 0]
            out[part] = np.asarray(law)
        else:
            out[part] = law[np.arange(len(site)), site]
    return out.reshape(*asked.shape, denoiser.vocab_size)


def _mask_iv(denoiser: Denoiser) -> int:
    mask = channel_of(denoiser).mask_id
    if mask is None:
        raise ValueError(
            f"{type(denoiser).__name__} undoes uniform noise and knows no mask; give a denoiser "
            "with the attribute `channel`, `Absorbing(V)` or `Hybrid(V, p)`."
        )
    return mask


@eqx.filter_jit
def _jitted(denoiser: Any, tokens: Any, t: Any) -> Any:
    return denoiser.log_loo(tokens, t)


def _laws(denoiser: Denoiser, tokens: Tokens, t: float | None = None) -> Any:
    """`log_loo` at the level where as many tokens are masked as are here."""
    level = np.full(len(tokens), 0.0 if t is None else t)
    if t is None:
        visible = (tokens != channel_of(denoiser).mask_id).mean(1)
        lowest = float(denoiser.schedule.alpha(1.0))
        level = np.asarray(denoiser.schedule.time_at(np.clip(visible, lowest, 1.0)))
    if isinstance(denoiser, eqx.Module):
        return _jitted(denoiser, jnp.asarray(tokens, jnp.int32), jnp.asarray(level, jnp.float32))
    return denoiser.log_loo(tokens, level)
