"""Forward noising, the reverse step, ancestral loops, decoders and generation.

The reverse kernel is the plug-in kernel with x_theta = `loo`
(Schiff et al. 2024, arXiv:2412.10193). Written as a mixture it needs no posterior
array over the vocabulary:

    N = alpha_t V x_theta[x_t] + 1 - alpha_t
    stay at x_t          with weight  alpha_t V x_theta[x_t] + alpha_t/alpha_s - alpha_t
    draw uniformly       with weight  (1 - alpha_t/alpha_s) (1 - alpha_s)
    draw from x_theta    with weight  alpha_s - alpha_t

all over N. `reverse_law` is the dense form, kept as the oracle of the mixture.
"""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import ArrayLike

from am_theory import channel
from models import thinning
from models.denoiser import Denoiser
from models.tokens import Tokens, check_tokens


def noise(rng: np.random.Generator, x_0: Tokens, alpha: float, vocab_size: int) -> Tokens:
    """Forward channel: keep each token with probability alpha, else redraw uniformly
    (the redrawn token may be the same). x_0 and the result (batch, L)."""
    keep = rng.random(x_0.shape) < alpha
    redrawn = rng.integers(vocab_size, size=x_0.shape).astype(x_0.dtype)
    return np.where(keep, x_0, redrawn)


def _take(law: Any, tokens: Any, xp: Any) -> Any:
    return xp.take_along_axis(law, xp.astype(tokens, xp.int32)[..., None], axis=-1)[..., 0]


def _invert(law: Any, uniforms: Any, xp: Any) -> Any:
    """One draw per row of unnormalized law (..., V) from uniforms (...) in [0, 1)."""
    cumulative = xp.cumulative_sum(law, axis=-1)
    total = cumulative[..., -1]
    target = xp.minimum(uniforms * total, xp.nextafter(total, xp.zeros_like(total)))
    return xp.sum(xp.astype(cumulative <= target[..., None], xp.int32), axis=-1)


def reverse_law(log_x_theta: Any, x_t: Any, alpha_t: Any, alpha_s: Any) -> Any:
    """Dense form of the reverse kernel p(x_s^i | x_t), (batch, L, V), rows sum to 1."""
    xp = log_x_theta.__array_namespace__()
    return channel.posterior(xp.exp(log_x_theta), x_t, alpha_s, alpha_t)


def reverse_step(uniforms: Any, log_x_theta: Any, x_t: Any, alpha_t: Any, alpha_s: Any) -> Any:
    """One draw of x_s given x_t, in mixture form, for NumPy and JAX arrays.

    uniforms (3, batch, L) in [0, 1); log_x_theta (batch, L, V), the `loo` law at x_t;
    alpha_t < alpha_s scalars. Returns tokens (batch, L). Where N = 0 (alpha_t = 1 and a token
    that x_theta forbids) the token stays, as in the dense form.
    """
    xp = log_x_theta.__array_namespace__()
    x_theta = xp.exp(log_x_theta)
    vocab_size = x_theta.shape[-1]
    own = alpha_t * vocab_size * _take(x_theta, x_t, xp)
    ratio = alpha_t / alpha_s
    stay = own + ratio - alpha_t
    fresh = (1 - ratio) * (1 - alpha_s)  # exactly 0 at alpha_s = 1, whatever the rounding
    total = own + 1 - alpha_t
    level = uniforms[0] * total
    from_model = xp.astype(_invert(x_theta, uniforms[1], xp), x_t.dtype)
    uniform = xp.astype(xp.floor(uniforms[2] * vocab_size), x_t.dtype)
    moved = xp.where(level < stay + fresh, uniform, from_model)
    return xp.where((level < stay) | (total <= 0), x_t, moved)


def steps_from(t: float, n_steps: int) -> int:
    """Steps of a run from level t when the full interval has `n_steps`: its share, at least 1."""
    return max(1, math.ceil(t * n_steps - 1e-9))


def ancestral(
    denoiser: Denoiser, rng: np.random.Generator, x_t: ArrayLike, t: float, n_steps: int
) -> Tokens:
    """Stochastic reverse process from level t to 0 on a uniform grid, (batch, L).

    `n_steps` counts steps on the full interval; the last step goes to alpha = 1 exactly.
    Compiled as one loop for JAX denoisers, plain for numba ones, and by thinning for networks
    whose readout or whose number of steps is large; the law is the same.
    """
    tokens = check_tokens(x_t, denoiser.vocab_size, denoiser.seq_len)
    n = steps_from(t, n_steps)
    if hasattr(denoiser, "head") and thinning.pays(denoiser.vocab_size, tokens.shape[1], n):
        grid = thinning.Grid.uniform(denoiser.schedule, t, n)
        return thinning.ancestral_thinned(denoiser, rng, tokens, grid)
    if isinstance(denoiser, eqx.Module):
        key = jax.random.key(int(rng.integers(2**31)))
        final = _ancestral_jax(
            denoiser, key, jnp.asarray(tokens, jnp.int32), jnp.float32(t), jnp.int32(n)
        )  # arrays, so that another t or n does not compile again
        return np.asarray(final).astype(tokens.dtype)
    for k in range(n):
        level, below = t * (1 - k / n), t * (1 - (k + 1) / n)
        alpha_s = 1.0 if k == n - 1 else float(denoiser.schedule.alpha(below))
        law = denoiser.log_loo(tokens, level)
        uniforms = rng.random((3, *tokens.shape))
        alpha_t = float(denoiser.schedule.alpha(level))
        tokens = reverse_step(uniforms, law, tokens, alpha_t, alpha_s)
    return tokens


@eqx.filter_jit
def _ancestral_jax(denoiser: Any, key: Array, x_t: Array, t: Array, n: Array) -> Array:
    def body(k: Array, tokens: Array) -> Array:
        level, below = t * (1 - k / n), t * (1 - (k + 1) / n)
        alpha_s = jnp.where(k == n - 1, 1.0, denoiser.schedule.alpha(below))
        uniforms = jax.random.uniform(jax.random.fold_in(key, k), (3, *tokens.shape))
        law = denoiser.log_loo(tokens, level)
        return reverse_step(uniforms, law, tokens, denoiser.schedule.alpha(level), alpha_s)

    return jax.lax.fori_loop(0, n, body, x_t)


def generate(
    denoiser: Denoiser, rng: np.random.Generator, n: int, seq_len: int, n_steps: int
) -> Tokens:
    """`n` sequences (n, L) from pure noise at t = 1 by `n_steps` ancestral steps."""
    start = rng.integers(denoiser.vocab_size, size=(n, seq_len))
    return ancestral(denoiser, rng, start, 1.0, n_steps)


def decode_argmax(log_full: Any) -> Any:
    """Bayes token decision: argmax over v of the `full` law, (batch, L)."""
    return log_full.__array_namespace__().argmax(log_full, axis=-1)


def decode_sample(uniforms: Any, log_full: Any) -> Any:
    """One independent draw per token from the `full` law; uniforms (batch, L)."""
    xp = log_full.__array_namespace__()
    return _invert(xp.exp(log_full), uniforms, xp)


def decode_best_change(log_full: Any, x_t: Any) -> Any:
    """Best change: argmax of the `full` law over v other than x_t^i, (batch, L)."""
    xp = log_full.__array_namespace__()
    own = xp.arange(log_full.shape[-1]) == x_t[..., None]
    return xp.argmax(xp.where(own, -xp.inf, log_full), axis=-1)
