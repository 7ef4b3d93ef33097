"""The channels of discrete diffusion: uniform, absorbing and hybrid noise, one kernel.

    q(z | x) = a 1[z = x] + u / V   for a value z,      q(mask | x) = m,      a + u + m = 1,

independently for each token: kept with probability a = alpha, else redrawn uniformly (its old value
included) or masked. V counts the values of a token and never the mask, whose id is V. A channel is
the split of 1 - alpha into u and m; nothing else in the toolkit tells channels apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from am_theory._arrays import (
    Array,
    as_floating,
    finish,
    is_concrete,
    namespace,
    rows_iv,
    vocab_size_iv,
)
from am_theory.schedules import alpha_iv, ordered_alphas_iv, unit_interval_iv

__all__ = ["Absorbing", "Channel", "Hybrid", "Rates", "Uniform", "channel_iv"]


class Rates(NamedTuple):
    """What becomes of a token: probabilities of the shape of alpha, the first three of sum 1.

    keep, redraw, mask : a, u, m. fresh_redraw : the redrawn share f of the noise that comes in as
    alpha falls, f = -a^2 d(u / a) / da.
    """

    keep: Any
    redraw: Any
    mask: Any
    fresh_redraw: Any


@dataclass(frozen=True)
class Uniform:
    """A token that is not kept is redrawn uniformly: u = 1 - alpha, no mask.

    Parameters
    ----------
    vocab_size : int, V >= 2.

    >>> Uniform(4).rates(0.75)
    Rates(keep=0.75, redraw=0.25, mask=0.0, fresh_redraw=1.0)
    """

    vocab_size: int

    def __post_init__(self) -> None:
        vocab_size_iv(self.vocab_size)

    @property
    def mask_id(self) -> None:
        """There is no mask."""
        return None

    @property
    def redraws(self) -> bool:
        """Whether a visible token can be a wrong one."""
        return True

    def rates(self, alpha: Array) -> Rates:
        """Probabilities of each fate at kept fraction `alpha` in [0, 1]; shape of `alpha`."""
        xp, a, bare = alpha_iv(alpha)
        parts = (a, 1 - a, xp.zeros_like(a), xp.ones_like(a))
        return Rates(*(finish(xp, part, bare) for part in parts))

    def step(self, alpha_s: Array, alpha_t: Array) -> Rates:
        """Probabilities of each fate on the way from time s to the noisier t."""
        return _split_step(alpha_s, alpha_t, 1.0)


@dataclass(frozen=True)
class Absorbing:
    """A token that is not kept is masked, and stays so: m = 1 - alpha. The noise of MDLM, LLaDA.

    Parameters
    ----------
    vocab_size : int, V >= 2, the mask not counted.

    >>> Absorbing(4).rates(0.75), Absorbing(4).mask_id
    (Rates(keep=0.75, redraw=0.0, mask=0.25, fresh_redraw=0.0), 4)
    """

    vocab_size: int

    def __post_init__(self) -> None:
        vocab_size_iv(self.vocab_size)

    @property
    def mask_id(self) -> int:
        """V, the id after the last value."""
        return self.vocab_size

    @property
    def redraws(self) -> bool:
        """Whether a visible token can be a wrong one."""
        return False

    def rates(self, alpha: Array) -> Rates:
        """Probabilities of each fate at kept fraction `alpha` in [0, 1]; shape of `alpha`."""
        xp, a, bare = alpha_iv(alpha)
        parts = (a, xp.zeros_like(a), 1 - a, xp.zeros_like(a))
        return Rates(*(finish(xp, part, bare) for part in parts))

    def step(self, alpha_s: Array, alpha_t: Array) -> Rates:
        """Probabilities of each fate on the way from time s to the noisier t."""
        return _split_step(alpha_s, alpha_t, 0.0)


@dataclass(frozen=True)
class Hybrid:
    """Redrawn or masked: uniform noise at small levels, masks at large ones. The noise of GIDD.

    On GIDD's own clock t, with B = 2 p / (1 - p), c = B sqrt(t (1 - t)) and C = 1 + c:
    a = (1 - t) / C, u = c / C, m = t / C. At p = 0 and 1 it is `Absorbing` and `Uniform`.

    Parameters
    ----------
    vocab_size : int, V >= 2, the mask not counted.
    p_uniform : float in [0, 1]; the probability u of a redraw at t = 1/2, where it is largest.

    Source: von Ruette et al. 2025 (arXiv:2503.04482), with gamma = 1.

    >>> [round(float(rate), 8) for rate in Hybrid(4, 0.1).rates(0.7)[:3]]
    [0.7, 0.08600741, 0.21399259]
    """

    vocab_size: int
    p_uniform: float

    def __post_init__(self) -> None:
        vocab_size_iv(self.vocab_size)
        _, p, bare = as_floating(self.p_uniform, "p_uniform")
        if not bare or not 0 <= p <= 1:
            raise ValueError(
                f"`p_uniform` must be one number in [0, 1]; got {self.p_uniform!r}. "
                "It is the share of redrawn tokens at t = 1/2, say 0.1 or 0.2."
            )

    @property
    def mask_id(self) -> int:
        """V, the id after the last value."""
        return self.vocab_size

    @property
    def redraws(self) -> bool:
        """Whether a visible token can be a wrong one."""
        return self.p_uniform > 0

    @property
    def _strength(self) -> float:
        """B = 2 p / (1 - p)."""
        return 2 * self.p_uniform / (1 - self.p_uniform)

    def time_at(self, alpha: Array) -> Array:
        """GIDD's clock t in [0, 1] at kept fraction `alpha` in [0, 1]; the shape of `alpha`.

        The smaller root of a quadratic, written without cancellation. ValueError for p = 1, at
        which the clock stands still.
        """
        self._has_clock()
        xp, a, bare = alpha_iv(alpha)
        return finish(xp, self._time(xp, a), bare)

    def _time(self, xp: Any, a: Array) -> Array:
        pull = (a * self._strength) ** 2
        half = 2 * (1 - a) + pull + a * self._strength * xp.sqrt(pull + 4 * a * (1 - a))
        return 2 * (1 - a) ** 2 / xp.where(a < 1, half, 1.0)

    def alpha_at(self, time: Array) -> Array:
        """Kept fraction at GIDD's clock `time` in [0, 1]; inverse of `time_at`."""
        self._has_clock()
        xp, t, bare = as_floating(time, "time")
        unit_interval_iv(t, "time", "A step index must be divided by the number of steps.")
        return finish(xp, (1 - t) / (1 + self._strength * xp.sqrt(t * (1 - t))), bare)

    def _has_clock(self) -> None:
        if self.p_uniform == 1:
            raise ValueError(
                "At `p_uniform` = 1 the hybrid channel has no clock of its own; use `Uniform`."
            )

    def rates(self, alpha: Array) -> Rates:
        """Probabilities of each fate at kept fraction `alpha` in [0, 1]; shape of `alpha`."""
        xp, a, bare = alpha_iv(alpha)
        if self.p_uniform in (0, 1):
            end = Absorbing if self.p_uniform == 0 else Uniform
            return end(self.vocab_size).rates(alpha)
        t = self._time(xp, a)
        noise = self._strength * xp.sqrt(t * (1 - t))
        redraw = xp.clip(noise / (1 + noise), 0.0, 1 - a)  # rounding must not pass the sum
        push = self._strength * xp.sqrt(1 - t)
        parts = (a, redraw, 1 - a - redraw, push / (2 * xp.sqrt(t) + push))
        return Rates(*(finish(xp, part, bare) for part in parts))

    def step(self, alpha_s: Array, alpha_t: Array) -> Rates:
        """Probabilities of each fate on the way from time s to the noisier t."""
        if self.p_uniform in (0, 1):
            return _split_step(alpha_s, alpha_t, float(self.p_uniform))
        ns, keep, fresh = _fresh(alpha_s, alpha_t)
        before, after = self.rates(alpha_s), self.rates(alpha_t)
        redraw = ns.clip(after.redraw - keep * before.redraw, 0.0, fresh)
        some = ns.where(fresh > 0, fresh, 1.0)
        return Rates(keep, redraw, fresh - redraw, ns.where(fresh > 0, redraw / some, 0.0))


Channel: TypeAlias = Uniform | Absorbing | Hybrid


def channel_iv(channel: Channel | int | None, vocab_size: int | None = None) -> Channel:
    """The channel that is meant: a number V of values stands for `Uniform(V)`, as does None.

    Raises ValueError where the channel's V is not `vocab_size`, with the two readings of a V that
    is off by one, or where there is none.
    """
    if channel is None:
        channel = vocab_size
    found = channel if isinstance(channel, Channel) else Uniform(vocab_size_iv(channel))
    if vocab_size is not None and found.vocab_size != vocab_size:
        hint = "Give the channel of this vocabulary."
        if abs(found.vocab_size - vocab_size) == 1 and found.mask_id is not None:
            counted = "the channel's" if found.vocab_size > vocab_size else "the law's"
            hint = f"V never counts the mask: {counted} V may count it."
        raise ValueError(
            f"The channel has {found.vocab_size} values and the law {vocab_size}. {hint}"
        )
    return found


def laws_iv(
    rows: Array, tokens: tuple[Array, ...], name: str, channel: Channel | None
) -> tuple[Any, Array, list[Array], Channel]:
    """Check (..., V) laws of clean tokens and noisy tokens of their leading shape."""
    xp, rows, _ = rows_iv(rows, (), name)
    xp = namespace(rows, *tokens)
    found = channel_iv(channel, rows.shape[-1])
    return xp, xp.asarray(rows), tokens_iv(xp, tokens, rows.shape[:-1], found, f"`{name}`"), found


def tokens_iv(
    xp: Any, tokens: tuple[Array, ...], shape: tuple[int, ...], channel: Channel, name: str
) -> list[Array]:
    """Check noisy tokens: integers of `shape`, values of the channel or its mask."""
    found = [xp.asarray(x) for x in tokens]
    for x in found:
        if not xp.isdtype(x.dtype, "integral"):
            raise TypeError(f"Token ids must have an integer dtype; got {x.dtype}.")
        if x.shape != shape:
            raise ValueError(
                f"Token ids must have the leading shape {shape} of {name}; got {x.shape}. "
                "Give one token for each row over the vocabulary."
            )
        if is_concrete(x):
            _known_ids(np.asarray(x), channel, name)
    return found


def _known_ids(values: Any, channel: Channel, name: str) -> None:
    """Refuse ids that are neither a value nor the mask of the channel."""
    size, mask = channel.vocab_size, channel.mask_id
    wrong = values[(values < 0) | (values >= (size if mask is None else size + 1))]
    if not wrong.size:
        return
    bad = int(wrong.flat[0])
    if mask is not None:
        allowed = f"[0, {size}) or the mask {mask}"
        hint = "V never counts the mask." if bad == size + 1 else f"The channel has V = {size}."
    else:
        allowed = f"[0, {size})"
        hint = f"The last axis of {name} sets the vocabulary size."
        if bad == size:
            hint += " A mask needs a channel that has one: `Absorbing(V)` or `Hybrid(V, p)`."
    raise ValueError(f"Token ids must lie in {allowed}; got {bad}. {hint}")


def _fresh(alpha_s: Array, alpha_t: Array) -> tuple[Any, Array, Array]:
    """Kept share of a step and its complement, without cancellation for short steps."""
    ns, alpha_s, alpha_t = ordered_alphas_iv(alpha_s, alpha_t)
    fresh = ns.where(alpha_s > alpha_t, (alpha_s - alpha_t) / ns.where(alpha_s > 0, alpha_s, 1), 0)
    return ns, 1 - fresh, fresh


def _split_step(alpha_s: Array, alpha_t: Array, redrawn: float) -> Rates:
    ns, keep, fresh = _fresh(alpha_s, alpha_t)
    share = ns.full_like(fresh, redrawn)
    return Rates(keep, redrawn * fresh, (1 - redrawn) * fresh, share)
