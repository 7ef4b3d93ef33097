"""Forward noising, the reverse step, ancestral loops, decoders and generation.

The reverse kernel is the plug-in kernel with x_theta = `loo`
(Schiff et al. 2024, arXiv:2412.10193). Written as a mixture it needs no posterior
array over the vocabulary:

    N = alpha_t V x_theta[x_t] + 1 - alpha_t
    stay at x_t          with weight  alpha_t V x_theta[x_t] + alpha_t/alpha_s - alpha_t
    draw uniformly       with weight  (1 - alpha_t/alpha_s) (1 - alpha_s)
    draw from x_theta    with weight  alpha_s - alpha_t

all over N. Where the channel masks, a token goes to the mask too, and a masked one is not its own
(`_masking_step`). `reverse_law` is the dense form, kept as the oracle of the mixture. Masks are
undone by confidence in `models.unmasking`.
"""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import ArrayLike, NDArray

from am_theory import channel
from am_theory.channel import Channel
from models import thinning
from models.denoiser import Denoiser, channel_of
from models.noise import noise
from models.slices import SLICE, SLICE_IN_JAX, law_slices, slices
from models.tokens import Tokens, check_tokens, token_dtype

LARGE = 1 << 24  # numbers of a law of a JAX denoiser, from which on it is taken in slices
MOST_KEPT = 0.01  # of the tokens at t = 1, for generation from masks


def _take(law: Any, tokens: Any, xp: Any) -> Any:
    return xp.take_along_axis(law, xp.astype(tokens, xp.int32)[..., None], axis=-1)[..., 0]


def _invert(law: Any, uniforms: Any, xp: Any) -> Any:
    """One draw per row of unnormalized law (..., V) from uniforms (...) in [0, 1)."""
    cumulative = xp.cumulative_sum(law, axis=-1)
    total = cumulative[..., -1]
    target = xp.minimum(uniforms * total, xp.nextafter(total, xp.zeros_like(total)))
    return xp.sum(xp.astype(cumulative <= target[..., None], xp.int32), axis=-1)


def reverse_law(
    log_x_theta: Any, x_t: Any, alpha_t: Any, alpha_s: Any, kind: Channel | None = None
) -> Any:
    """Dense form of the reverse kernel p(x_s^i | x_t), (batch, L, V), rows sum to 1; with a last
    column for the mask where the channel `kind` (None: uniform) has one."""
    xp = log_x_theta.__array_namespace__()
    return channel.posterior(xp.exp(log_x_theta), x_t, alpha_s, alpha_t, kind)


def reverse_step(
    uniforms: Any,
    log_x_theta: Any,
    x_t: Any,
    alpha_t: Any,
    alpha_s: Any,
    kind: Channel | None = None,
) -> Any:
    """One draw of x_s given x_t, in mixture form, for NumPy and JAX arrays.

    uniforms (3, batch, L) in [0, 1); log_x_theta (batch, L, V), the `loo` law at x_t;
    alpha_t < alpha_s scalars; channel `kind`, None for the uniform one. Returns tokens (batch, L).
    Where N = 0 (a visible token that x_theta forbids, and no redraws) the token stays, as in the
    dense form.
    """
    if kind is not None and kind.mask_id is not None:
        return _masking_step(uniforms, log_x_theta, x_t, alpha_t, alpha_s, kind)
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


def _masking_step(
    uniforms: Any, log_x_theta: Any, x_t: Any, alpha_t: Any, alpha_s: Any, kind: Channel
) -> Any:
    """`reverse_step` of a channel with a mask: stay with weight r (alpha_s x_theta[x_t] + b), b
    being u_s / V at a value and m_s at the mask; else, with rho the noise that comes in at x_t
    between s and t, draw uniformly (rho u_s), mask (rho m_s) or draw from x_theta (rho alpha_s)."""
    xp = log_x_theta.__array_namespace__()
    x_theta, size = xp.exp(log_x_theta), log_x_theta.shape[-1]
    before, step = kind.rates(alpha_s), kind.step(alpha_s, alpha_t)
    masked = x_t == kind.mask_id
    own = xp.where(masked, 0.0, _take(x_theta, xp.where(masked, 0, x_t), xp))
    base = xp.where(masked, before.mask, before.redraw / size)
    influx = xp.where(masked, step.mask, step.redraw / size)
    stay = step.keep * (alpha_s * own + base)
    fresh, lost = influx * before.redraw, influx * before.mask
    total = stay + fresh + lost + influx * alpha_s
    level = uniforms[0] * total
    from_model = xp.astype(_invert(x_theta, uniforms[1], xp), x_t.dtype)
    uniform = xp.astype(xp.floor(uniforms[2] * size), x_t.dtype)
    mask = xp.full_like(x_t, kind.mask_id)
    moved = xp.where(level < stay + fresh, uniform, from_model)
    moved = xp.where((level >= stay + fresh) & (level < stay + fresh + lost), mask, moved)
    return xp.where((level < stay) | (total <= 0), x_t, moved)


def steps_from(t: float, n_steps: int) -> int:
    """Steps of a run from level t when the full interval has `n_steps`: its share, at least 1."""
    return max(1, math.ceil(t * n_steps - 1e-9))


def held_iv(held: ArrayLike, tokens: Tokens, kind: Channel) -> NDArray[np.bool_]:
    """`held` as booleans (batch, L). Raises ValueError for another shape or type, and where a held
    site has the mask."""
    flags = np.asarray(held)
    if flags.dtype != bool or flags.shape not in (tokens.shape, tokens.shape[1:]):
        raise ValueError(
            f"`held` must be booleans (L,) or (batch, L) for tokens {tokens.shape}; got "
            f"{flags.dtype} of shape {flags.shape}."
        )
    flags = np.broadcast_to(flags, tokens.shape)
    if kind.mask_id is not None and (tokens[flags] == kind.mask_id).any():
        raise ValueError("`held` sites keep the tokens they are given, which cannot be the mask.")
    return flags


def ancestral(
    denoiser: Denoiser,
    rng: np.random.Generator,
    x_t: ArrayLike,
    t: float,
    n_steps: int,
    held: ArrayLike | None = None,
) -> Tokens:
    """Stochastic reverse process from level t to 0 on a uniform grid, (batch, L).

    `n_steps` counts steps on the full interval; the last step goes to alpha = 1 exactly.
    Compiled as one loop for JAX denoisers, plain for numba ones, and by thinning for networks
    whose readout or whose number of steps is large; the law is the same.

    held : sites, booleans (L,) or (batch, L), whose tokens are clean and stay as given at every
    step: a context. Under erasures alone that changes nothing, as a visible token is certain, and
    the free sites are drawn given the held ones. Where the channel redraws it is an approximation:
    the network is told level t of every site, takes a held token for one that may be noise, and
    leans on it too little; more steps do not undo that (`models.held`).
    """
    kind = channel_of(denoiser)
    tokens = check_tokens(x_t, denoiser.vocab_size, denoiser.seq_len, mask_id=kind.mask_id)
    keep = None if held is None else held_iv(held, tokens, kind)
    n = steps_from(t, n_steps)
    erasures = not kind.redraws
    thins = hasattr(denoiser, "head") and (kind.mask_id is None or erasures)
    if thins and thinning.pays(denoiser.vocab_size, tokens.shape[1], n, erasures):
        grid = thinning.Grid.uniform(denoiser.schedule, t, n)
        return thinning.ancestral_thinned(denoiser, rng, tokens, grid, held=keep)
    if isinstance(denoiser, eqx.Module):
        key = jax.random.key(int(rng.integers(2**31)))
        start = jnp.asarray(tokens, jnp.int32)
        final = _ancestral_jax(
            denoiser, key, start, jnp.float32(t), jnp.int32(n), kind, keep
        )  # arrays, so that another t or n does not compile again
        return np.asarray(final).astype(tokens.dtype)
    for k in range(n):
        level, below = t * (1 - k / n), t * (1 - (k + 1) / n)
        alpha_s = 1.0 if k == n - 1 else float(denoiser.schedule.alpha(below))
        law = denoiser.log_loo(tokens, level)
        uniforms = rng.random((3, *tokens.shape))
        alpha_t = float(denoiser.schedule.alpha(level))
        moved = _step_in_slices(uniforms, law, tokens, alpha_t, alpha_s, kind)
        tokens = moved if keep is None else np.where(keep, tokens, moved)
        del law  # before the next one is made
    return tokens


def _step_in_slices(
    uniforms: Any, law: Any, x_t: Tokens, alpha_t: float, alpha_s: float, kind: Channel
) -> Any:
    """`reverse_step` a slice of rows at a time, so that no other array of a large law is made."""
    if law.size <= SLICE:
        return reverse_step(uniforms, law, x_t, alpha_t, alpha_s, kind)
    size, flat = law.shape[-1], law.reshape(-1, law.shape[-1])
    tokens, u = x_t.ravel(), uniforms.reshape(3, -1)
    parts = [
        reverse_step(u[:, rows], flat[rows], tokens[rows], alpha_t, alpha_s, kind)
        for rows in slices(len(flat), size)
    ]
    return np.concatenate(parts).reshape(x_t.shape)


@eqx.filter_jit
def _ancestral_jax(
    denoiser: Any, key: Array, x_t: Array, t: Array, n: Array, kind: Channel, keep: Any
) -> Array:
    def body(k: Array, tokens: Array) -> Array:
        level, below = t * (1 - k / n), t * (1 - (k + 1) / n)
        alpha_s = jnp.where(k == n - 1, 1.0, denoiser.schedule.alpha(below))
        uniforms = jax.random.uniform(jax.random.fold_in(key, k), (3, *tokens.shape))
        alpha_t = denoiser.schedule.alpha(level)

        def step(law: Any, own: Any, *u: Any) -> Any:
            return reverse_step(jnp.stack(u), law, own, alpha_t, alpha_s, kind)

        if tokens.size * denoiser.vocab_size <= LARGE:
            moved = step(denoiser.log_loo(tokens, level), tokens, *uniforms)
        else:
            columns = [tokens.ravel(), *uniforms.reshape(3, -1)]
            rows = max(1, SLICE_IN_JAX // denoiser.vocab_size)
            places = jnp.arange(tokens.size)
            moved = law_slices(denoiser, tokens, level, places, rows, step, columns)
            moved = moved.reshape(tokens.shape)
        return moved if keep is None else jnp.where(keep, tokens, moved)

    return jax.lax.fori_loop(0, n, body, x_t)


def generate(
    denoiser: Denoiser, rng: np.random.Generator, n: int, seq_len: int, n_steps: int
) -> Tokens:
    """`n` sequences (n, L) from pure noise at t = 1 by `n_steps` ancestral steps; with a context by
    `models.held.complete`. Raises ValueError as `pure_noise`."""
    return ancestral(denoiser, rng, pure_noise(denoiser, rng, n, seq_len), 1.0, n_steps)


def pure_noise(
    denoiser: Denoiser, rng: np.random.Generator, n: int, seq_len: int
) -> NDArray[np.int64]:
    """The channel's output at t = 1 on uniform tokens, (n, L); all masks where it does not redraw.

    Raises ValueError for a schedule that then leaves more than a hundredth of the tokens.
    """
    start = rng.integers(denoiser.vocab_size, size=(n, seq_len))
    kind = channel_of(denoiser)
    if kind.mask_id is not None:
        kept = float(denoiser.schedule.alpha(1.0))
        if kept > MOST_KEPT:
            raise ValueError(
                f"The schedule keeps {kept:.3g} of the tokens at t = 1; to generate from masks it "
                f"must keep at most {MOST_KEPT}. Use a smaller `eps`."
            )
        tokens = start.astype(token_dtype(denoiser.vocab_size))
        start = noise(rng, tokens, kept if kind.redraws else 0.0, kind).astype(np.int64)
    return start


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
