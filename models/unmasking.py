"""Masks undone as deployed masked models do it, by confidence; and laws of single masked sites."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.denoiser import Denoiser, channel_of
from models.sampler import decode_sample
from models.slices import Read, joined, read_slices
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


def read_single_masks(
    denoiser: Denoiser,
    x_0: ArrayLike,
    sites: ArrayLike,
    read: Read,
    t: float | None = None,
    rows: int = ROWS,
) -> Any:
    """`read(law, tokens)` of the `loo` laws of `sites` (n, S) of x_0 (n, L), one masked at a time.

    A law given the true tokens of all other sites: what that of the uniform channel becomes as
    t -> 0, for a denoiser whose visible sites carry none, by a pass for each site. `read` takes
    laws in logs (rows, V) and their true tokens (rows,), as `models.slices.read_slices` has it;
    what it returns comes as arrays (n, S, ...).

    t : the level told, by default that at which one token is masked. rows : inputs of one call of
    the denoiser. Raises ValueError for a denoiser whose channel has no mask.
    """
    mask = _mask_iv(denoiser)
    tokens = check_tokens(x_0, denoiser.vocab_size, denoiser.seq_len, mask_id=mask)
    asked, length = np.asarray(sites), tokens.shape[1]
    number, site = np.repeat(np.arange(len(tokens)), asked.shape[1]), asked.ravel()
    step, parts = min(rows, len(site)), []
    for first in range(0, len(site), step):
        part = np.minimum(np.arange(first, first + step), len(site) - 1)  # of one shape: for JAX
        masked, hidden = tokens[number[part]], site[part]
        inside = np.arange(step)
        truth = masked[inside, hidden].astype(np.int64)
        masked[inside, hidden] = mask
        level = _levels(denoiser, masked, t)
        places = inside * length + hidden
        parts.append(read_slices(denoiser, masked, level, places, read, truth))
    whole = joined(parts)
    return jax.tree.map(lambda a: a[: asked.size].reshape(*asked.shape, *a.shape[1:]), whole)


def single_mask_laws(
    denoiser: Denoiser, x_0: ArrayLike, sites: ArrayLike, t: float | None = None
) -> Floats:
    """The laws of `read_single_masks` themselves, float64 (n, S, V): for a small V."""
    return np.asarray(read_single_masks(denoiser, x_0, sites, _as_it_is, t), dtype=np.float64)


def log_prob_in_order(denoiser: Denoiser, x_0: ArrayLike, prefix: int, rows: int = ROWS) -> Floats:
    """log p of the tokens from site `prefix` on given those before it, (n,), of x_0 (n, L): the
    chain rule from left to right, all later sites masked, by a pass for each site.

    The chance that a draw that reveals one site at a time, in this order, ends in x_0. The level
    told is that at which as many tokens are masked. rows : inputs of one call of the denoiser.
    Raises ValueError for a denoiser whose channel has no mask.
    """
    mask = _mask_iv(denoiser)
    tokens = check_tokens(x_0, denoiser.vocab_size, denoiser.seq_len, mask_id=mask)
    n, length = tokens.shape
    found, step = np.zeros(n), min(rows, n)
    for first in range(0, n, step):
        part = np.minimum(np.arange(first, first + step), n - 1)  # of one shape: for JAX
        for site in range(prefix, length):
            seen = np.where(np.arange(length) < site, tokens[part], mask).astype(tokens.dtype)
            places = np.arange(step) * length + site
            truth = tokens[part, site].astype(np.int64)
            level = _levels(denoiser, seen)
            log_p = read_slices(denoiser, seen, level, places, _of_truth, truth)
            found[first : first + step] += np.asarray(log_p, np.float64)[: n - first]
    return found


def _of_truth(law: Any, tokens: Any) -> Any:
    xp = law.__array_namespace__()
    return xp.take_along_axis(law, tokens[:, None], axis=1)[:, 0]


def _as_it_is(law: Any, tokens: Any) -> Any:
    return law


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


def _levels(denoiser: Denoiser, tokens: Tokens, t: float | None = None) -> Floats:
    """Level t of every sequence, by default that where as many tokens are masked as are here."""
    if t is not None:
        return np.full(len(tokens), t)
    visible = (tokens != channel_of(denoiser).mask_id).mean(1)
    lowest = float(denoiser.schedule.alpha(1.0))
    return np.asarray(denoiser.schedule.time_at(np.clip(visible, lowest, 1.0)))


def _laws(denoiser: Denoiser, tokens: Tokens) -> Any:
    """`log_loo` at the level where as many tokens are masked as are here."""
    level = _levels(denoiser, tokens)
    if isinstance(denoiser, eqx.Module):
        return _jitted(denoiser, jnp.asarray(tokens, jnp.int32), jnp.asarray(level, jnp.float32))
    return denoiser.log_loo(tokens, level)
