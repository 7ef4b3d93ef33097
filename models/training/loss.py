"""Three training losses whose optimum is the same leave-one-out law.

`nelbo`  the continuous-time NELBO of a uniform-state model (Schiff et al. 2024,
         arXiv:2412.10193; Sahoo et al. 2025, arXiv:2506.10892); heavy tails as t -> 0.
`full`   cross-entropy of the token posterior that follows from `loo` by the channel;
         low variance, but as t -> 0 that posterior is a point mass on x_t whatever `loo`
         is, so hardly any gradient reaches `loo` where entropies are read.
`loo`    cross-entropy of `loo` on resampled sites only: training knows which sites were
         resampled, and given that, x_t^i says nothing of x_0^i, so the law to be learned
         at such a site is exactly p(x_0^i | x_t without i).

Each returns one value per sequence, (batch,), in nats a token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from am_theory import channel
from models.training.config import LossName

# Noise levels are stratified in u with t = u**power: 1 for uniform levels. The `loo` loss is
# proper at every t, so it may ask more often for the small t where entropies are read.
LEVEL_POWER = {"nelbo": 1.0, "full": 1.0, "loo": 2.0}
SMALLEST_LEVEL = 1e-4  # 1 - alpha keeps three digits in float32


def levels(key: Array, batch: int, loss: LossName) -> Float[Array, " batch"]:
    """One noise level per sequence, stratified over the interval."""
    return _level_of((jnp.arange(batch) + jax.random.uniform(key, (batch,))) / batch, loss)


def _level_of(uniform: Array, loss: LossName) -> Array:
    return SMALLEST_LEVEL + (1 - SMALLEST_LEVEL) * uniform ** LEVEL_POWER[loss]


class Corrupted(NamedTuple):
    """A training input: noisy tokens, and the weights of the sites that `loo` scores."""

    x_t: Int[Array, "batch L"]
    weights: Float[Array, "batch L"]


def corrupt(
    key: Array,
    x_0: Int[Array, "batch L"],
    alpha: Float[Array, " batch"],
    vocab_size: int,
    force: bool = False,
) -> Corrupted:
    """Noise x_0 by the channel, knowing which sites were resampled.

    A resampled site weighs 1 / sqrt((1 - alpha) L), between equal weight of every site
    (efficient, but small t hardly counts) and equal weight of every t. With `force`, where
    fewer than one resampled site is expected ((1 - alpha) L < 1), one site drawn uniformly is
    resampled for certain and alone is scored, with weight 1: its context still comes from the
    channel at alpha, so the law it teaches is still exactly `loo` there. Only the `loo` loss
    may force: the other two score every site, and need x_t to follow the channel.
    """
    batch, seq_len = x_0.shape
    k_mask, k_token, k_site = jax.random.split(key, 3)
    rate = 1 - alpha[:, None]
    resampled: Bool[Array, "batch L"] = jax.random.uniform(k_mask, x_0.shape) < rate
    site = jax.random.randint(k_site, (batch, 1), 0, seq_len)
    forced = jnp.arange(seq_len) == site
    rare = force & (rate * seq_len < 1)
    weights = jnp.where(rare, forced, resampled / jnp.sqrt(jnp.maximum(rate * seq_len, 1.0)))
    tokens = jax.random.randint(k_token, x_0.shape, 0, vocab_size)
    return Corrupted(jnp.where(resampled | (rare & forced), tokens, x_0), weights)


def kept_noise(
    key: Array,
    row: Int[Array, " batch"],
    copy: Int[Array, " batch"],
    copies: int,
    x_0: Int[Array, "batch L"],
    schedule: Any,
    vocab_size: int,
    loss: LossName,
) -> tuple[Corrupted, Float[Array, " batch"]]:
    """Noisy copy number `copy` of the stored sequence number `row`, and its noise level.

    The same in every step, for training on a finite number of noise draws: level and noise follow
    from the key of the run, the row and the copy. The levels of the copies of a sequence are
    stratified over the interval.
    """

    def one(row: Array, copy: Array, tokens: Array) -> tuple[Corrupted, Array]:
        k_level, k_noise = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, row), copy))
        t = _level_of((copy + jax.random.uniform(k_level, (1,))) / copies, loss)
        alpha = schedule.alpha(t)
        noisy = corrupt(k_noise, tokens[None], alpha, vocab_size, force=loss == "loo")
        return jax.tree.map(lambda a: a[0], (noisy, t))

    return jax.vmap(one)(row, copy, x_0)


def pick(log_law: Float[Array, "batch L V"], tokens: Int[Array, "batch L"]) -> Array:
    """log_law at the given tokens, (batch, L)."""
    own = jnp.arange(log_law.shape[-1]) == tokens[..., None]  # a gather's gradient is slow
    return jnp.sum(jnp.where(own, log_law, 0.0), axis=-1)


def _law(model: Any, noisy: Corrupted, t: Array, key: Array | None) -> Array:
    """`log_loo` at the noisy tokens; a key sets the dropout of a network that has one going."""
    return model.log_loo(noisy.x_t, t) if key is None else model.log_loo(noisy.x_t, t, key)


def nelbo_loss(
    model: Any, noisy: Corrupted, x_0: Array, t: Array, key: Array | None = None
) -> Array:
    """NELBO rate at t, mean over sites; an unbiased NELBO for t uniform in [0, 1]."""
    schedule = model.schedule
    rate = channel.nelbo_rate(
        _law(model, noisy, t, key), noisy.x_t, x_0, schedule.alpha(t), schedule.alpha_rate(t)
    )
    return jnp.mean(rate, axis=-1)


def full_loss(
    model: Any, noisy: Corrupted, x_0: Array, t: Array, key: Array | None = None
) -> Array:
    """Cross-entropy of the `full` law, mean over sites."""
    log_full = channel.full_from_loo(_law(model, noisy, t, key), noisy.x_t, model.schedule.alpha(t))
    return -jnp.mean(pick(log_full, x_0), axis=-1)


def loo_loss(model: Any, noisy: Corrupted, x_0: Array, t: Array, key: Array | None = None) -> Array:
    """Cross-entropy of the `loo` law on resampled sites, weighted as in `corrupt`, over L."""
    return -jnp.mean(noisy.weights * pick(_law(model, noisy, t, key), x_0), axis=-1)


LOSSES: dict[str, Callable[..., Array]] = {"nelbo": nelbo_loss, "full": full_loss, "loo": loo_loss}
