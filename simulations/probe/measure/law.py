"""A denoiser read block by block: what is kept of its laws are a few numbers a token.

The `loo` law p(x_0^i | x_t without i) is (batch, L, V), too large to keep where V is that of a
tokenizer. All that is asked of it, and of the token posterior `full`, p(x_0^i | x_t), which
differs from it only in the weight of the present token z = x_t^i, follows from

    log loo_z,  log loo_v at v = x_0^i,
    S = sum_{v != z} loo_v,   H' = -sum_{v != z} loo_v log loo_v,
    and the most probable v != z with its log loo_v;

with beta the inverse temperature of the channel and Z = S + loo_z e^beta, q = S / Z,

    log full_v = log loo_v + beta 1[v = z] - log Z,
    H(full) = H' / Z + q log Z - (1 - q) log(1 - q).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from am_theory import channel
from models.denoiser import Denoiser
from models.tokens import Tokens

Floats = NDArray[np.float64]

BLOCK = 1 << 24  # numbers of a block of laws, 64 MiB in float32
SLICE = 1 << 20  # of them in work at a time outside JAX
MOST_ROWS = 64  # sequences of a block


class Scalars(NamedTuple):
    """What is kept of a `loo` law per token (batch, L); see the module."""

    log_present: Any
    log_true: Any
    others: Any
    others_entropy: Any
    best_other: Any
    log_best_other: Any


def scalars(log_loo: Any, x_t: Any, x_0: Any) -> Scalars:
    """Scalars of a law (..., V) in logs, -inf allowed; tokens (...); NumPy or JAX arrays."""
    xp = log_loo.__array_namespace__()
    size = log_loo.shape[-1]
    values = xp.arange(size, dtype=xp.int32)
    at_z = values == x_t[..., None]
    low = xp.where(at_z, -xp.inf, log_loo)
    p = xp.exp(low)
    terms = xp.where(p > 0, p * xp.maximum(low, -1e4), 0.0)
    top = xp.max(low, axis=-1)
    best = xp.min(xp.where(low == top[..., None], values, size), axis=-1)
    present, true = (
        xp.take_along_axis(log_loo, xp.astype(tokens, xp.int32)[..., None], axis=-1)[..., 0]
        for tokens in (x_t, x_0)
    )
    return Scalars(present, true, xp.sum(p, axis=-1), -xp.sum(terms, axis=-1), best, top)


class LawReading(NamedTuple):
    """Per token (batch, L): entropy, nats; log law of the clean token; most probable token."""

    entropy: Floats
    log_true: Floats
    argmax: NDArray[np.integer]


def read_law(found: Scalars, x_t: Tokens, x_0: Tokens, beta: float = 0.0) -> LawReading:
    """The `full` law at inverse temperature beta, by the formulas of the module; at 0, `loo`."""
    present, true, others, rest, best, top = (np.asarray(a, np.float64) for a in found)
    told = present + beta
    total = others + np.exp(told)
    q = np.clip(others / total, 0.0, 1.0)
    stays = np.maximum(1 - q, 1e-300)
    entropy = rest / total + q * np.log(total) - stays * np.log1p(-np.minimum(q, 1 - 1e-16))
    own = np.where(x_t == x_0, beta, 0.0)
    tie = (told == top) & (x_t < best)  # the first of equals, as argmax has it
    argmax = np.where((told > top) | tie, x_t, best.astype(np.int64))
    return LawReading(np.maximum(entropy, 0.0), true + own - np.log(total), argmax)


class Reader:
    """Laws of one denoiser in blocks of one shape, compiled once for a JAX denoiser.

    `tick` is called after every block. JAX denoisers are equinox modules; others are called with
    NumPy arrays and may return what NumPy can read.
    """

    def __init__(self, denoiser: Denoiser, seq_len: int, tick: Callable[[], None]) -> None:
        self.denoiser, self.tick = denoiser, tick
        self.vocab_size, self.seq_len = int(denoiser.vocab_size), seq_len
        self.in_jax = isinstance(denoiser, eqx.Module)
        self.rows = int(np.clip(BLOCK // (seq_len * self.vocab_size), 1, MOST_ROWS))

    @property
    def schedule(self) -> Any:
        return self.denoiser.schedule

    def in_blocks(self, n: int, run: Callable[[int, Any], Any], rows: int | None = None) -> Any:
        """`run(block, row numbers)` on n rows, in blocks of one length; its arrays joined (n, ...).

        The last block is filled up with row n - 1. rows : of a block, where not the reader's.
        """
        step, found = rows or self.rows, []
        for first in range(0, n, step):
            made = run(first // step, np.minimum(np.arange(first, first + step), n - 1))
            found.append(jax.tree.map(lambda x, most=n - first: np.asarray(x)[:most], made))
            self.tick()
        return _joined(found)

    def scalars(self, x_t: Tokens, x_0: Tokens, t: float) -> Scalars:
        """Scalars (n, L) of the `loo` law at x_t (n, L) and level t."""
        found: Scalars = self.in_blocks(
            len(x_t),
            lambda _, rows: self._scalars(x_t[rows], x_0[rows], np.full(len(rows), t, np.float32)),
        )
        return found

    def nelbo_rates(self, x_t: Tokens, x_0: Tokens, t: Floats) -> Floats:
        """NELBO rate per sequence, mean over tokens, (n,), nats a token per unit of t (n,)."""
        found: Floats = self.in_blocks(
            len(x_t), lambda _, rows: self._rates(x_t[rows], x_0[rows], t[rows])
        )
        return found

    def law(self, x_t: Tokens, t: float) -> Any:
        """The `loo` law of one block of sequences, (batch, L, V)."""
        if self.in_jax:
            return _law(self.denoiser, jnp.asarray(x_t, jnp.int32), jnp.float32(t))
        return np.asarray(self.denoiser.log_loo(x_t, t))

    def _scalars(self, x_t: Tokens, x_0: Tokens, t: NDArray[np.float32]) -> Scalars:
        if self.in_jax:
            noisy, clean = jnp.asarray(x_t, jnp.int32), jnp.asarray(x_0, jnp.int32)
            return _scalars_jax(self.denoiser, noisy, clean, jnp.asarray(t))
        law = np.asarray(self.denoiser.log_loo(x_t, t)).reshape(-1, self.vocab_size)
        present, true = x_t.ravel(), x_0.ravel()
        parts = [scalars(law[rows], present[rows], true[rows]) for rows in self._slices(law)]
        return Scalars(*(part.reshape(x_t.shape) for part in _joined(parts)))

    def _rates(self, x_t: Tokens, x_0: Tokens, t: Floats) -> Floats:
        alpha, rate = (np.asarray(f(t)) for f in (self.schedule.alpha, self.schedule.alpha_rate))
        if self.in_jax:
            given = [jnp.asarray(x, jnp.int32) for x in (x_t, x_0)]
            given += [jnp.asarray(x, jnp.float32) for x in (t, alpha, rate)]
            return np.asarray(_rates_jax(self.denoiser, *given), np.float64)
        law = np.asarray(self.denoiser.log_loo(x_t, t)).reshape(-1, self.vocab_size)
        columns = [x_t.ravel(), x_0.ravel()]
        columns += [np.repeat(x, self.seq_len) for x in (alpha, rate)]
        parts = []
        for rows in self._slices(law):
            noisy, clean, kept, slope = (c[rows] for c in columns)
            block = np.asarray(law[rows], np.float64)
            parts.append(channel.nelbo_rate(block, noisy, clean, kept, slope))
        mean: Floats = np.concatenate(parts).reshape(x_t.shape).mean(1)
        return mean

    def _slices(self, law: Any) -> Iterator[slice]:
        step = max(1, SLICE // self.vocab_size)
        for first in range(0, len(law), step):
            yield slice(first, first + step)


def _joined(parts: list[Any]) -> Any:
    """Arrays, or tuples of them, one after another."""
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


@eqx.filter_jit
def _law(model: Any, x_t: jax.Array, t: jax.Array) -> jax.Array:
    law: jax.Array = model.log_loo(x_t, t)
    return law


@eqx.filter_jit
def _scalars_jax(model: Any, x_t: jax.Array, x_0: jax.Array, t: jax.Array) -> Scalars:
    return scalars(model.log_loo(x_t, t), x_t, x_0)


@eqx.filter_jit
def _rates_jax(model: Any, x_t: Any, x_0: Any, t: Any, alpha: Any, rate: Any) -> jax.Array:
    law = model.log_loo(x_t, t)
    return jnp.mean(channel.nelbo_rate(law, x_t, x_0, alpha[:, None], rate[:, None]), axis=-1)
