"""The reverse process of the paper's evaluation scripts, for comparison with its curves.

arXiv:2604.26841 measures recovery and entropies by scripts whose choices differ from ours
(`models.sampler`, `simulations.measure.counts`, which stay the default). Before a number of theirs
is set beside one of ours:

* Entropies are read at the *final* tokens with the network told t = 1e-5, whatever the start
  level. Ours, and of theirs `conditional_entropy`, are read at (x_t, t).
* The start level is rounded up to a step of the grid, by up to 1 / n_steps: at 10 steps the network
  is told 0.3 of tokens noised to 0.25. `sampler.ancestral` starts at t itself.
* With the scripts' switch for deterministic draws an update takes the argmax of the posterior.
  From t to s that of *staying* is the largest, whatever the network says, wherever
  s alpha_s >= t - s (log-linear alpha; `lead_to_move`): at 1000 steps in every update but the
  last. There a token must be about 1000 V times as probable as the present one to replace it, and
  1e5 V times in the noise removal after it. A deterministic run of many steps is no descent. Ours
  draws, and has one-shot decoders for decisions.
* The scripts load a checkpoint as it is, so they evaluate raw weights; samples made during training
  come from the EMA. Compare with the raw ones, and say which.
* Means over a file are means of ratios of sequences, without those whose ratio is 0 / 0
  (`simulations.measure.paper_measures`). Ours pool the counts.
* After the last level, 1e-5, comes an update to alpha = 1 (noise removal `ancestral`), the argmax
  of the network's law, which drops the evidence of the present token (`greedy`), or nothing
  (`none`). Ours steps to alpha = 1 from the last level of its own grid.
* A draw is argmax p / E with E = 1e-10 - log(u + 1e-10), at most 23, so not quite exponential: an
  error of about 1e-10 in p. Ours inverts the cumulative law.

A law here is a function log_law(x, sigma) of tokens (batch, L) and sigma = -log alpha, (batch,), to
log-probabilities (batch, L, V), the network's `loo`; `law_of` makes one of a DiT. Posteriors are
float64, a slice of their rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from am_theory import channel
from models.networks.dit import DiT
from models.slices import slices

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
LogLaw = Callable[[Any, Any], Any]
NoiseRemoval = Literal["ancestral", "greedy", "none"]
Uniforms = ArrayLike | np.random.Generator | None

SMALLEST_TIME = 1e-5  # where the grid ends and entropies are read
GUARD = 1e-10  # of a draw's logarithm


class Run(NamedTuple):
    """states (updates + 1, batch, L): tokens before every update, greedy noise removal included,
    and the final ones; final (batch, L); entropy (batch, L), nats: of the law at them, t = 1e-5."""

    states: Ids
    final: Ids
    entropy: Floats


def law_of(model: DiT, label: ArrayLike | None = None) -> LogLaw:
    """The log_law of a network; `label` (batch,) classes of a network that has them."""
    classes, real = None if label is None else jnp.asarray(label), model.real_dtype
    return lambda x, sigma: _log_law(model, jnp.asarray(x), jnp.asarray(sigma, real), classes)


@eqx.filter_jit
def _log_law(model: DiT, x: jax.Array, sigma: jax.Array, label: jax.Array | None) -> jax.Array:
    hidden, condition = model.trunk_at_sigma(x, sigma, label=label)
    return jax.nn.log_softmax(model.head(hidden, condition[:, None]))


def time_grid(n_steps: int, eps: float = SMALLEST_TIME, dtype: Any = np.float32) -> NDArray[Any]:
    """n_steps + 1 levels from 1 down to eps, with the rounding of their float32 grid.

    The first half is counted from 1, the second from eps, each point rounded once. Whether a start
    level that is itself a grid point starts there or one step earlier hangs on this rounding.
    """
    real = np.dtype(dtype).type
    end = float(real(eps))
    step = float((real(eps) - real(1)) / real(n_steps))
    k = np.arange(n_steps + 1)
    grid = np.where(k < (n_steps + 1) // 2, 1 + step * k, end - step * (n_steps - k))
    return grid.astype(dtype)


def start_index(n_steps: int, start_t: float, clamp: bool = True, dtype: Any = np.float32) -> int:
    """Index in `time_grid` of the smallest level that is at least start_t.

    With `clamp` (reverse runs) in [0, n_steps - 1], so that one update is made however small
    start_t is. Without (`track`) n_steps for start_t <= 1e-5, no update; -1 for start_t > 1.
    """
    rising = time_grid(n_steps, dtype=dtype)[::-1]
    index = n_steps - int(np.searchsorted(rising, np.asarray(start_t, dtype), side="left"))
    return min(max(index, 0), n_steps - 1) if clamp else index


def corrupt(x_0: Ids, alpha: ArrayLike, uniforms: Floats, fresh: Ids) -> Ids:
    """Forward channel: `fresh` where uniforms < 1 - alpha, else x_0, all (batch, L).

    The law is that of `models.noise.noise`, which keeps a token where uniforms < alpha.
    """
    return np.where(uniforms < 1 - np.asarray(alpha), fresh, x_0)


def draw(law: Floats, uniforms: Uniforms, k: int = 0) -> Ids:
    """Draw from law (..., V), which may be unnormalized, as argmax law / E, E nearly exponential.

    `uniforms` (draws, ..., V), of which the `k`-th are taken, a Generator, or None for argmax law.
    """
    if uniforms is None:
        return law.argmax(-1)
    if isinstance(uniforms, np.random.Generator):
        u = uniforms.random(law.shape)
    else:
        u = _kth(uniforms, law.shape, k)
    return (law / (GUARD - np.log(u + GUARD))).argmax(-1)


def _kth(uniforms: ArrayLike, shape: tuple[int, ...], k: int) -> Floats:
    given = np.asarray(uniforms)
    if k >= len(given) or given[k].shape != shape:
        raise ValueError(
            f"`uniforms` must be (updates, {', '.join(map(str, shape))}) with at least "
            f"{k + 1} updates; got shape {given.shape}."
        )
    found: Floats = given[k]
    return found


def lead_to_move(alpha_t: float, alpha_s: float, vocab_size: int) -> tuple[float, float]:
    """(a, b) such that the posterior of another token k is above that of staying at z = x_t where

        x_k - x_z > a + b x_z,   a = alpha_t (1/alpha_s - 1) / d,  b = V alpha_t / d,

    d = alpha_s - alpha_t, for a network's law x. As x_k <= 1, no token can move where a >= 1.
    Source: `channel.posterior`, by comparing its entries at k and z.
    """
    gap = alpha_s - alpha_t
    return alpha_t * (1 / alpha_s - 1) / gap, vocab_size * alpha_t / gap


def posterior(log_law: ArrayLike, x_t: Ids, alpha_t: float, alpha_s: float) -> Floats:
    """Law of the less noisy token, (batch, L, V), in float64 whatever the network's type is."""
    law = np.exp(np.asarray(log_law, dtype=np.float64))
    return np.asarray(channel.posterior(law, x_t, float(alpha_s), float(alpha_t)))


def _update(
    log_law: NDArray[Any], x_t: Ids, alpha_t: float, alpha_s: float, uniforms: Uniforms, k: int
) -> Ids:
    """The k-th draw of a run, from the posterior, (batch, L)."""
    rows, tokens, parts = log_law.reshape(-1, log_law.shape[-1]), x_t.ravel(), []
    given: Any = uniforms
    for part in slices(len(rows), rows.shape[-1]):
        if not (uniforms is None or isinstance(uniforms, np.random.Generator)):
            given = _kth(uniforms, log_law.shape, k).reshape(rows.shape)[None, part]
        law = posterior(rows[part], tokens[part], alpha_t, alpha_s)
        parts.append(draw(law, given))
    return np.concatenate(parts).reshape(x_t.shape)


def token_entropy(log_law: ArrayLike) -> Floats:
    """-sum p log p per token, (batch, L), nats; 0 log 0 = 0, where the scripts have NaN."""
    law = np.asarray(log_law)
    rows, parts = law.reshape(-1, law.shape[-1]), []
    for part in slices(len(rows), rows.shape[-1]):
        terms = np.maximum(rows[part].astype(np.float64), -1e4)  # exp of that is exactly 0
        parts.append(0.0 - np.einsum("...v,...v->...", np.exp(terms), terms))
    return np.concatenate(parts).reshape(law.shape[:-1])


def conditional_entropy(
    log_law: LogLaw, x_t: Ids, t: float, schedule: Any = channel.LogLinear()
) -> Floats:
    """Entropy per token of the law at (x_t, t), (batch, L), nats; the law is `loo`."""
    return token_entropy(_at(log_law, x_t, schedule.alpha(t)))


def reverse_run(
    log_law: LogLaw,
    x_t: ArrayLike,
    start_t: float,
    n_steps: int,
    noise_removal: NoiseRemoval = "ancestral",
    uniforms: Uniforms = None,
    deterministic: bool = False,
    schedule: Any = channel.LogLinear(),
    dtype: Any = np.float32,
) -> Run:
    """Their reverse process from tokens x_t (batch, L) at level start_t in [0, 1].

    n_steps : of the full interval; the run makes those from `start_index` on.
    noise_removal : what follows the last step, see above.
    uniforms : (updates, batch, L, V) in [0, 1), in the order of use, or a Generator to draw them.
    deterministic : argmax of the posterior in place of draws; `uniforms` stays None.
    dtype : of the levels, float32 as theirs.

    Raises ValueError for a level outside of [0, 1], fewer than one step, another noise removal,
    draws without uniforms, or too few of them.
    """
    if noise_removal not in (known := ("ancestral", "greedy", "none")):
        raise ValueError(f"`noise_removal` must be one of {known}; got {noise_removal!r}.")
    start = _start_iv(x_t, start_t, n_steps, uniforms, deterministic)
    times = time_grid(n_steps, dtype=dtype)[start_index(n_steps, start_t, dtype=dtype) :]
    states = []
    for _, x, log_x in _descent(log_law, start, times, n_steps, uniforms, schedule):
        states.append(x)
        law = log_x  # of the last tokens; all of them would take too much memory
    alpha = schedule.alpha(times[-1])
    if noise_removal == "ancestral":
        states.append(_update(law, x, alpha, 1.0, uniforms, len(states) - 1))
    elif noise_removal == "greedy":
        states.append(law.argmax(-1))
    entropy = token_entropy(_at(log_law, states[-1], alpha))
    return Run(np.stack(states), states[-1], entropy)


def track(
    log_law: LogLaw,
    x_t: ArrayLike,
    start_t: float,
    n_steps: int,
    measure: Callable[[NDArray[Any]], Any],
    uniforms: Uniforms = None,
    deterministic: bool = False,
    schedule: Any = channel.LogLinear(),
    dtype: Any = np.float32,
) -> list[tuple[float, Any]]:
    """(t, measure(log law)) before every update of a run without noise removal, and at t = 1e-5.

    Arguments and errors as `reverse_run`. Here start_t <= 1e-5 makes no update.
    """
    x = _start_iv(x_t, start_t, n_steps, uniforms, deterministic)
    start = start_index(n_steps, start_t, clamp=False, dtype=dtype)
    times = time_grid(n_steps, dtype=dtype)[start:]
    path = _descent(log_law, x, times, n_steps, uniforms, schedule)
    return [(t, measure(log_x)) for t, _, log_x in path]


def _descent(
    log_law: LogLaw, x: Ids, times: NDArray[Any], n_steps: int, uniforms: Uniforms, schedule: Any
) -> Iterator[tuple[float, Ids, NDArray[Any]]]:
    """Level, tokens and their law at every one of `times`, with one update between two."""
    step = (1 - SMALLEST_TIME) / n_steps
    for k, t in enumerate(times):
        alpha_t = schedule.alpha(t)
        log_x = _at(log_law, x, alpha_t)
        yield float(t), x, log_x
        if k < len(times) - 1:
            x = _update(log_x, x, alpha_t, schedule.alpha(t - step), uniforms, k)


def _at(log_law: LogLaw, x: Ids, alpha: Any) -> NDArray[Any]:
    return np.asarray(log_law(x, np.full(len(x), -np.log(alpha))))


def _start_iv(
    x_t: ArrayLike, start_t: float, n_steps: int, uniforms: Uniforms, deterministic: bool
) -> Ids:
    if not 0 <= start_t <= 1:
        raise ValueError(f"`start_t` must lie in [0, 1]; got {start_t}.")
    if n_steps < 1:
        raise ValueError(f"`n_steps` must be at least 1; got {n_steps}.")
    if deterministic == (uniforms is not None):
        raise ValueError("give `uniforms`, an array or a Generator, or else `deterministic=True`.")
    x = np.asarray(x_t)
    if x.ndim != 2 or x.dtype.kind not in "iu":
        raise ValueError(f"`x_t` must be integers (batch, L); got {x.dtype} of shape {x.shape}.")
    return x.astype(np.int64)
