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

At a masked site there is no present value: loo_z = 0, and the two laws are one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from am_theory import channel
from am_theory.channel import Channel
from models.denoiser import Denoiser, channel_of
from models.slices import joined, read_slices
from models.tokens import Tokens
from models.unmasking import read_single_masks
from simulations.measure.names import LOG_LOSS_CAP

Floats = NDArray[np.float64]

BLOCK = 1 << 24  # numbers of a block of laws, 64 MiB in float32; one sequence may have more
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
    """Scalars of a law (..., V) in logs, -inf allowed; tokens (...), x_t = V for a mask; NumPy or
    JAX arrays."""
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
        for tokens in (xp.minimum(x_t, size - 1), x_0)
    )
    present = xp.where(x_t < size, present, -xp.inf)
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


@dataclass(frozen=True)
class Rate:
    """NELBO rate a token of a channel, from laws (..., V) in logs, tokens, alpha and its slope.

    Where a channel does not redraw, a law that rules the truth out costs no more than LOG_LOSS_CAP
    nats in place of infinitely many.
    """

    noise: Channel

    def __call__(self, law: Any, x_t: Any, x_0: Any, alpha: Any, rate: Any) -> Any:
        xp = law.__array_namespace__()
        if isinstance(law, np.ndarray):
            law = law.astype(np.float64)
        if not self.noise.redraws:
            law = xp.maximum(law, -LOG_LOSS_CAP)
        return channel.nelbo_rate(law, x_t, x_0, alpha, rate, self.noise)


@dataclass(frozen=True)
class Tempered:
    """Log loss (..., n) of a law (..., V) in logs at n inverse temperatures `betas`: of its powers,
    normalized; at most LOG_LOSS_CAP nats."""

    betas: tuple[float, ...]

    def __call__(self, law: Any, x_0: Any) -> Any:
        xp = law.__array_namespace__()
        top = xp.max(law, axis=-1, keepdims=True)
        low = law - top
        true = xp.take_along_axis(low, xp.astype(x_0, xp.int32)[..., None], axis=-1)[..., 0]
        found = [xp.log(xp.sum(xp.exp(b * low), axis=-1)) - b * true for b in self.betas]
        return xp.minimum(xp.stack(found, axis=-1), LOG_LOSS_CAP)


def _masked(law: Any, x_0: Any) -> Scalars:
    """Scalars of masked sites."""
    return scalars(law, law.__array_namespace__().full_like(x_0, law.shape[-1]), x_0)


class Reader:
    """Laws of one denoiser in blocks of one shape, compiled once for a JAX denoiser.

    `tick` is called after every block. JAX denoisers are equinox modules; others are called with
    NumPy arrays and may return what NumPy can read. Where the law of one sequence is more than a
    block, it is read in slices (`models.slices`).
    """

    def __init__(self, denoiser: Denoiser, seq_len: int, tick: Callable[[], None]) -> None:
        self.denoiser, self.tick = denoiser, tick
        self.vocab_size, self.seq_len = int(denoiser.vocab_size), seq_len
        self.noise = channel_of(denoiser)
        self.rows = int(np.clip(BLOCK // (seq_len * self.vocab_size), 1, MOST_ROWS))
        small = self.rows * seq_len * self.vocab_size <= BLOCK
        self.at_once = small and isinstance(denoiser, eqx.Module)  # a block of laws, not in slices

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
        return joined(found)

    def scalars(self, x_t: Tokens, x_0: Tokens, t: float) -> Scalars:
        """Scalars (n, L) of the `loo` law at x_t (n, L) and level t."""
        found: Scalars = self.in_blocks(
            len(x_t),
            lambda _, rows: self._scalars(x_t[rows], x_0[rows], np.full(len(rows), t, np.float32)),
        )
        return found

    def likeliest(self, x_t: Tokens, t: float) -> NDArray[np.int64]:
        """The most probable token (n, L) of the `loo` law at x_t (n, L) and level t, the first of
        equals."""

        def block(_: int, rows: Any) -> Any:
            level = np.full(len(rows), t, np.float32)
            if self.at_once:
                return _likeliest_jax(self.denoiser, jnp.asarray(x_t[rows], jnp.int32), level)
            return self._sliced(_likeliest, x_t[rows], level)

        return np.asarray(self.in_blocks(len(x_t), block), np.int64)

    def masked_alone(self, x_0: Tokens, sites: NDArray[np.int64]) -> Scalars:
        """Scalars (n, S) of the `loo` law at `sites` (n, S) of x_0 (n, L), each masked alone."""
        found: Scalars = self.in_blocks(
            len(x_0),
            lambda _, rows: read_single_masks(
                self.denoiser, x_0[rows], sites[rows], _masked, rows=self.rows
            ),
        )
        return found

    def nelbo_rates(self, x_t: Tokens, x_0: Tokens, t: Floats) -> Floats:
        """NELBO rate per sequence, mean over tokens, (n,), nats a token per unit of t (n,)."""
        found: Floats = self.in_blocks(
            len(x_t), lambda _, rows: self._rates(x_t[rows], x_0[rows], t[rows])
        )
        return found

    def tempered_losses(
        self, x_t: Tokens, x_0: Tokens, t: float, betas: tuple[float, ...]
    ) -> Floats:
        """Log loss of the `loo` law at x_t (n, L) and level t, mean over tokens, at inverse
        temperatures: (n, betas), nats."""
        read = Tempered(betas)

        def block(_: int, rows: Any) -> Any:
            level = np.full(len(rows), t, np.float32)
            if self.at_once:
                noisy, clean = (jnp.asarray(x[rows], jnp.int32) for x in (x_t, x_0))
                return _tempered_jax(self.denoiser, read, noisy, clean, jnp.asarray(level))
            return self._sliced(read, x_t[rows], level, x_0[rows]).mean(1, dtype=np.float64)

        return np.asarray(self.in_blocks(len(x_t), block), np.float64)

    def corner(self, x_t: Tokens, t: float, sites: int, values: int) -> Floats:
        """The `loo` law in logs of the first sites and values of one sequence x_t (1, L)."""
        if self.at_once:
            law = _law(self.denoiser, jnp.asarray(x_t, jnp.int32), jnp.float32(t))[0, :sites]
        else:
            places = np.arange(min(sites, self.seq_len))
            law = read_slices(self.denoiser, x_t, t, places, _Values(values))
        return np.asarray(law[:, :values], np.float64)

    def _scalars(self, x_t: Tokens, x_0: Tokens, t: NDArray[np.float32]) -> Scalars:
        if self.at_once:
            noisy, clean = jnp.asarray(x_t, jnp.int32), jnp.asarray(x_0, jnp.int32)
            return _scalars_jax(self.denoiser, noisy, clean, jnp.asarray(t))
        return self._sliced(scalars, x_t, t, x_t, x_0)

    def _rates(self, x_t: Tokens, x_0: Tokens, t: Floats) -> Floats:
        alpha, rate = (np.asarray(f(t)) for f in (self.schedule.alpha, self.schedule.alpha_rate))
        read = Rate(self.noise)
        if self.at_once:
            given = [jnp.asarray(x, jnp.int32) for x in (x_t, x_0)]
            given += [jnp.asarray(x, jnp.float32) for x in (t, alpha, rate)]
            return np.asarray(_rates_jax(self.denoiser, read, *given), np.float64)
        repeated = [np.broadcast_to(x[:, None], x_t.shape) for x in (alpha, rate)]
        mean: Floats = self._sliced(read, x_t, t, x_t, x_0, *repeated).mean(1, dtype=np.float64)
        return mean

    def _sliced(self, read: Any, x_t: Tokens, t: Any, *columns: Any) -> Any:
        """What `read` makes of all rows of the law, (batch, L)."""
        flat = [column.ravel() for column in columns]
        made = read_slices(self.denoiser, x_t, t, np.arange(x_t.size), read, *flat)
        return jax.tree.map(lambda a: a.reshape(*x_t.shape, *a.shape[1:]), made)


@dataclass(frozen=True)
class _Values:
    """The first values of a law."""

    n: int

    def __call__(self, law: Any) -> Any:
        return law[:, : self.n]


def _likeliest(law: Any) -> Any:
    return law.__array_namespace__().argmax(law, axis=-1)


@eqx.filter_jit
def _likeliest_jax(model: Any, x_t: jax.Array, t: Any) -> jax.Array:
    found: jax.Array = _likeliest(model.log_loo(x_t, t))
    return found


@eqx.filter_jit
def _law(model: Any, x_t: jax.Array, t: jax.Array) -> jax.Array:
    law: jax.Array = model.log_loo(x_t, t)
    return law


@eqx.filter_jit
def _scalars_jax(model: Any, x_t: jax.Array, x_0: jax.Array, t: jax.Array) -> Scalars:
    return scalars(model.log_loo(x_t, t), x_t, x_0)


@eqx.filter_jit
def _tempered_jax(model: Any, read: Tempered, x_t: Any, x_0: Any, t: Any) -> jax.Array:
    return jnp.mean(read(model.log_loo(x_t, t), x_0), axis=1)


@eqx.filter_jit
def _rates_jax(
    model: Any, read: Rate, x_t: Any, x_0: Any, t: Any, alpha: Any, rate: Any
) -> jax.Array:
    law = model.log_loo(x_t, t)
    return jnp.mean(read(law, x_t, x_0, alpha[:, None], rate[:, None]), axis=-1)
