"""Noise schedules: the probability alpha(t) that a token is still its own at noise level t."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from am_theory._arrays import Array, as_floating, finish, is_concrete, namespace

__all__ = ["Cosine", "Linear", "LogLinear", "Schedule", "ScheduleDomainError"]


class ScheduleDomainError(ValueError):
    """A noise level or a kept fraction lies outside of the range in which it means anything.

    Noise levels t run from 0 (clean) to 1 (fully noised), and alpha, the probability that a token
    is kept, from 1 down to the schedule's last value. A step index must be divided by the number
    of steps, and a per-token sigma = -log(alpha) turned into alpha, before either is passed on.
    """


class Schedule(Protocol):
    """Anything with a kept fraction alpha(t) that falls with t in [0, 1]."""

    def alpha(self, t: Any) -> Any:
        """Kept fraction at noise level `t`."""


def unit_interval_iv(x: Array, name: str, advice: str) -> None:
    if is_concrete(x):
        values = np.asarray(x)
        wrong = values[~((values >= 0) & (values <= 1))]
        if wrong.size:
            raise ScheduleDomainError(f"`{name}` must lie in [0, 1]; got {wrong.flat[0]}. {advice}")


def _time_iv(t: Array) -> tuple[Any, Array, bool]:
    checked = as_floating(t, "t")
    unit_interval_iv(checked[1], "t", "A step index must be divided by the number of steps.")
    return checked


def alpha_iv(alpha: Array, name: str = "alpha") -> tuple[Any, Array, bool]:
    checked = as_floating(alpha, name)
    unit_interval_iv(
        checked[1], name, "It is the probability that a token is kept, `schedule.alpha(t)`."
    )
    return checked


def ordered_alphas_iv(alpha_s: Array, alpha_t: Array) -> tuple[Any, Array, Array]:
    """Check two kept fractions and bring them into one namespace and dtype."""
    alpha_s, alpha_t = alpha_iv(alpha_s, "alpha_s")[1], alpha_iv(alpha_t, "alpha_t")[1]
    ns = namespace(alpha_s, alpha_t)
    if ns is not np:
        dtype = next(a.dtype for a in (alpha_s, alpha_t) if namespace(a) is ns)
        alpha_s, alpha_t = ns.asarray(alpha_s, dtype=dtype), ns.asarray(alpha_t, dtype=dtype)
    if is_concrete(alpha_s) and is_concrete(alpha_t):
        low, high = np.broadcast_arrays(np.asarray(alpha_s), np.asarray(alpha_t))
        if np.any(low < high):
            raise ScheduleDomainError(
                f"`alpha_s` must not be below `alpha_t`; got {low[low < high].flat[0]} and "
                f"{high[low < high].flat[0]}. The time s of the result is the less noisy one."
            )
    return ns, alpha_s, alpha_t


@dataclass(frozen=True)
class LogLinear:
    """Schedule that falls linearly in t to a small end value: alpha(t) = 1 - (1 - eps) t.

    Named after sigma = -log(alpha), as in Lou, Meng, Ermon 2024 (arXiv:2310.16834, section 5).

    Parameters
    ----------
    eps : float, in [0, 1); the kept fraction at t = 1.

    >>> LogLinear().alpha(0.5), LogLinear().alpha_rate(0.5)
    (0.5005, -0.999)
    """

    eps: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 <= self.eps < 1:
            raise ScheduleDomainError(
                f"`eps` must lie in [0, 1); got {self.eps!r}. It is alpha at t = 1, say 1e-3."
            )

    def alpha(self, t: Array) -> Array:
        """Probability that a token is kept at noise level `t` in [0, 1]; the shape of `t`."""
        xp, t, bare = _time_iv(t)
        return finish(xp, 1 - (1 - self.eps) * t, bare)

    def alpha_rate(self, t: Array) -> Array:
        """Time derivative of alpha at noise level `t` in [0, 1], constant; the shape of `t`."""
        xp, t, bare = _time_iv(t)
        return finish(xp, xp.full_like(t, self.eps - 1), bare)

    def time_at(self, alpha: Array) -> Array:
        """Noise level in [0, 1] at which the kept fraction is `alpha`, in [eps, 1]."""
        xp, alpha, bare = alpha_iv(alpha)
        t = (1 - alpha) / (1 - self.eps)
        if is_concrete(t) and np.any(np.asarray(t) > 1 + 8 * xp.finfo(t.dtype).eps):
            raise ScheduleDomainError(
                f"`alpha` must lie in [{self.eps}, 1]; got {np.min(np.asarray(alpha))}. This "
                "schedule ends before: use a smaller `eps`, or `Linear()`, which ends at 0."
            )
        return finish(xp, xp.where(t > 1, 1.0, t), bare)


@dataclass(frozen=True)
class Linear:
    """Schedule that falls linearly in t down to pure noise: alpha(t) = 1 - t.

    >>> Linear().alpha(0.25), Linear().time_at(0.25)
    (0.75, 0.75)
    """

    def alpha(self, t: Array) -> Array:
        """Probability that a token is kept at noise level `t` in [0, 1]; the shape of `t`."""
        return LogLinear(0.0).alpha(t)

    def alpha_rate(self, t: Array) -> Array:
        """Time derivative of alpha at noise level `t` in [0, 1], which is -1."""
        return LogLinear(0.0).alpha_rate(t)

    def time_at(self, alpha: Array) -> Array:
        """Noise level in [0, 1] at which the kept fraction is `alpha`, in [0, 1]."""
        return LogLinear(0.0).time_at(alpha)


@dataclass(frozen=True)
class Cosine:
    """Schedule that falls fast at first and flattens out: alpha(t) = 1 - sin(pi (1 - eps) t / 2).

    The same as 1 - cos(pi (1 - s) / 2) with s = (1 - eps) t, the clock of Shi et al. 2024
    (arXiv:2406.04329) and of Sahoo et al. 2025 (arXiv:2506.10892).

    Parameters
    ----------
    eps : float, in [0, 1); the part of the clock that is cut off, so that alpha(1) is
        1 - cos(pi eps / 2), near 1.2e-6 for 1e-3 and 0 for 0.

    >>> Cosine(0.0).alpha(1 / 3), round(Cosine().alpha_rate(0.5), 8)
    (0.5, -1.11048116)
    """

    eps: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 <= self.eps < 1:
            raise ScheduleDomainError(
                f"`eps` must lie in [0, 1); got {self.eps!r}. It is the part of the clock that is "
                "cut off at the noisy end, say 1e-3."
            )

    def alpha(self, t: Array) -> Array:
        """Probability that a token is kept at noise level `t` in [0, 1]; the shape of `t`."""
        xp, t, bare = _time_iv(t)
        clock = (1 - self.eps) * t
        late = 2 * xp.sin((1 - clock) * (xp.pi / 4)) ** 2  # no cancellation where alpha is small
        return finish(xp, xp.where(clock < 0.5, 1 - xp.sin(clock * (xp.pi / 2)), late), bare)

    def alpha_rate(self, t: Array) -> Array:
        """Time derivative of alpha at noise level `t` in [0, 1]; the shape of `t`."""
        xp, t, bare = _time_iv(t)
        half = xp.pi / 2 * (1 - self.eps)
        return finish(xp, -half * xp.sin((1 - (1 - self.eps) * t) * (xp.pi / 2)), bare)

    def time_at(self, alpha: Array) -> Array:
        """Noise level in [0, 1] at which the kept fraction is `alpha`, in [alpha(1), 1]."""
        xp, alpha, bare = alpha_iv(alpha)
        late = 1 - xp.asin(xp.sqrt(alpha / 2)) * (4 / xp.pi)
        clock = xp.where(alpha > 0.3, xp.asin(1 - alpha) * (2 / xp.pi), late)
        t = clock / (1 - self.eps)
        if is_concrete(t) and np.any(np.asarray(t) > 1 + 8 * xp.finfo(t.dtype).eps):
            raise ScheduleDomainError(
                f"`alpha` must lie in [{self.alpha(1.0):.3g}, 1]; got {np.min(np.asarray(alpha))}. "
                "This schedule ends before: use a smaller `eps`."
            )
        return finish(xp, xp.where(t > 1, 1.0, t), bare)
