"""Three training losses whose optimum is the same leave-one-out law, for every channel.

`nelbo`  the continuous-time NELBO (Schiff et al. 2024, arXiv:2412.10193; Sahoo et al. 2025,
         arXiv:2506.10892); heavy tails as t -> 0 where the channel redraws. For erasures alone it
         is drawn by their number: l masks with l uniform in 1 to L, and the cross-entropy at them
         over l, exactly the same mean at a small part of the variance (the integral of
         dt / t over a site-wise mask is the mean over l of L / l).
`full`   cross-entropy of the token posterior that follows from `loo` by the channel;
         low variance, but as t -> 0 that posterior is a point mass on x_t whatever `loo`
         is, so hardly any gradient reaches `loo` where entropies are read.
`loo`    cross-entropy of `loo` on noised sites only, redrawn or masked: training knows which
         sites were, and given that, x_t^i says nothing of x_0^i, so the law to be learned
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
from models.denoiser import channel_of
from models.training.config import LossName

# Noise levels are stratified in u with t = u**power: 1 for uniform levels. The `loo` loss is
# proper at every t, so it may ask more often for the small t where entropies are read.
LEVEL_POWER = {"nelbo": 1.0, "full": 1.0, "loo": 2.0}
SMALLEST_LEVEL = 1e-4  # 1 - alpha keeps three digits in float32


def stratified(key: Array, batch: int) -> Float[Array, " batch"]:
    """One number in [0, 1) per sequence, stratified over the interval."""
    return (jnp.arange(batch) + jax.random.uniform(key, (batch,))) / batch


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
    noise: int | channel.Channel,
    force: bool = False,
) -> Corrupted:
    """Noise x_0 by a channel, or the uniform one of so many values, knowing which sites were
    resampled: redrawn or masked.

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
    kind = channel.channel_iv(noise)
    tokens = jax.random.randint(k_token, x_0.shape, 0, kind.vocab_size)
    if kind.mask_id is not None:
        share = kind.rates(alpha).mask / jnp.maximum(1 - alpha, 1e-12)
        lost = jax.random.uniform(jax.random.fold_in(k_token, 1), x_0.shape) < share[:, None]
        tokens = jnp.where(lost, kind.mask_id, tokens)
    return Corrupted(jnp.where(resampled | (rare & forced), tokens, x_0), weights)


def mask_counts(
    key: Array, x_0: Int[Array, "batch L"], uniforms: Array, schedule: Any, mask_id: int
) -> tuple[Corrupted, Float[Array, " batch"]]:
    """l = 1 + floor(u L) random sites masked, of weight L / l each, so that the mean over sites is
    the cross-entropy over l; and the level at which a share l / L is masked."""
    seq_len = x_0.shape[1]
    number = 1 + jnp.floor(uniforms * seq_len)
    order = jnp.argsort(jax.random.uniform(key, x_0.shape), axis=1)
    masked = jnp.argsort(order, axis=1) < number[:, None]
    level = schedule.time_at(jnp.maximum(1 - number / seq_len, schedule.alpha(1.0)))
    return Corrupted(jnp.where(masked, mask_id, x_0), masked * seq_len / number[:, None]), level


def noised(
    key: Array,
    x_0: Int[Array, "batch L"],
    uniforms: Float[Array, " batch"],
    schedule: Any,
    noise: channel.Channel,
    loss: LossName,
) -> tuple[Corrupted, Float[Array, " batch"]]:
    """A batch as a loss wants it noised, and its levels, from a uniform number for each level."""
    if loss == "nelbo" and noise.mask_id is not None and not noise.redraws:
        return mask_counts(key, x_0, uniforms, schedule, noise.mask_id)
    t = _level_of(uniforms, loss)
    return corrupt(key, x_0, schedule.alpha(t), noise, force=loss == "loo"), t


def kept_noise(
    key: Array,
    row: Int[Array, " batch"],
    copy: Int[Array, " batch"],
    copies: int,
    x_0: Int[Array, "batch L"],
    schedule: Any,
    noise: channel.Channel,
    loss: LossName,
) -> tuple[Corrupted, Float[Array, " batch"]]:
    """Noisy copy number `copy` of the stored sequence number `row`, and its noise level.

    The same in every step, for training on a finite number of noise draws: level and noise follow
    from the key of the run, the row and the copy. The levels of the copies of a sequence are
    stratified over the interval.
    """

    def one(row: Array, copy: Array, tokens: Array) -> tuple[Corrupted, Array]:
        k_level, k_noise = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, row), copy))
        uniforms = (copy + jax.random.uniform(k_level, (1,))) / copies
        noisy = noised(k_noise, tokens[None], uniforms, schedule, noise, loss)
        return jax.tree.map(lambda a: a[0], noisy)

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
    """NELBO rate at t, mean over sites; an unbiased NELBO for t uniform in [0, 1]. For erasures
    the cross-entropy weighted as in `mask_counts`, an unbiased NELBO from all masks."""
    schedule, noise = model.schedule, channel_of(model)
    law = _law(model, noisy, t, key)
    if not noise.redraws:
        return -jnp.mean(noisy.weights * pick(law, x_0), axis=-1)
    rate = channel.nelbo_rate(law, noisy.x_t, x_0, schedule.alpha(t), schedule.alpha_rate(t), noise)
    return jnp.mean(rate, axis=-1)


def full_loss(
    model: Any, noisy: Corrupted, x_0: Array, t: Array, key: Array | None = None
) -> Array:
    """Cross-entropy of the `full` law, mean over sites."""
    alpha = model.schedule.alpha(t)
    log_full = channel.full_from_loo(
        _law(model, noisy, t, key), noisy.x_t, alpha, channel_of(model)
    )
    return -jnp.mean(pick(log_full, x_0), axis=-1)


def loo_loss(model: Any, noisy: Corrupted, x_0: Array, t: Array, key: Array | None = None) -> Array:
    """Cross-entropy of the `loo` law on resampled sites, weighted as in `corrupt`, over L."""
    return -jnp.mean(noisy.weights * pick(_law(model, noisy, t, key), x_0), axis=-1)


LOSSES: dict[str, Callable[..., Array]] = {"nelbo": nelbo_loss, "full": full_loss, "loo": loo_loss}
