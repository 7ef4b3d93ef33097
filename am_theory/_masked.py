"""Memories of random sequences behind the channels that mask tokens (private).

The absorbing channel has closed forms, in `am_theory.erasures`. The hybrid channel erases tokens
with probability m and sends the others through the uniform channel of kept fraction
r = a / (a + u): every average is that of the uniform channel at n visible sites, over
n ~ Bin(L, 1 - m). A masked site is filled by the decoded sequence, right by chance or because it is
the true one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from am_theory import erasures
from am_theory._posterior_average import seen_averages, unseen_averages, unseen_recovery
from am_theory._random_patterns import (
    Floats,
    Split,
    choice_probability,
    finish,
    log_binomial,
    log_noise,
    seen_map_recovery,
    true_matches,
)
from am_theory.channels import Absorbing, Channel, Hybrid, Uniform, channel_iv
from am_theory.information import capacity

_NEVER = 1e-17  # probability of a number of visible sites that is left out


class Problem(NamedTuple):
    """Checked arguments of a memory."""

    size: Floats
    length: int
    vocab: int
    kept: Floats


class _Level(NamedTuple):
    """The hybrid channel at one kept fraction, as erasures before a uniform channel."""

    visible: float  # 1 - m
    mask: float
    kept: float  # r
    corrupted: float  # fraction of tokens masked or changed
    changed: float  # fraction of visible tokens changed


def masking_iv(channel: Channel | None, vocab_size: int) -> Absorbing | Hybrid | None:
    """The channel that is meant if it masks tokens; None for the uniform one."""
    found = channel_iv(channel, vocab_size)
    if isinstance(found, Hybrid) and found.p_uniform in (0, 1):
        found = Uniform(vocab_size) if found.p_uniform else Absorbing(vocab_size)
    return None if isinstance(found, Uniform) else found


def retrieval(channel: Absorbing | Hybrid, problem: Problem) -> Any:
    if isinstance(channel, Absorbing):
        return erasures.retrieval_probability(*problem)
    return finish(_mean(channel, problem, lambda K, n, at: _right(K, n, problem.vocab, at)), 1.0)


def weight(channel: Absorbing | Hybrid, problem: Problem) -> Any:
    if isinstance(channel, Absorbing):
        return erasures.retrieval_probability(*problem)

    def value(K: Floats, n: int, at: _Level) -> Floats:
        return seen_averages(K, n, problem.vocab, at.kept).true_weight if n else 1 / K

    return finish(_mean(channel, problem, value), 1.0)


def entropy(channel: Absorbing | Hybrid, problem: Problem, split: Split) -> Any:
    if isinstance(channel, Absorbing):
        return erasures.posterior_entropy(*problem, split=split)
    kernel = seen_averages if split == "train" else unseen_averages

    def value(K: Floats, n: int, at: _Level) -> Floats:
        return kernel(K, n, problem.vocab, at.kept).entropy if n else np.log(K)

    return finish(_mean(channel, problem, value))


def known(channel: Absorbing | Hybrid, problem: Problem) -> Any:
    """Information of the query about the index, from differences at each n."""
    if isinstance(channel, Absorbing):
        return erasures.information(*problem)

    def value(K: Floats, n: int, at: _Level) -> Floats:
        if n == 0:
            return np.zeros_like(K)
        most = np.minimum(np.log(K), n * capacity(at.kept, problem.vocab))
        return np.clip(np.log(K) - seen_averages(K, n, problem.vocab, at.kept).entropy, 0.0, most)

    return finish(_mean(channel, problem, value))


def recovery(
    channel: Absorbing | Hybrid,
    problem: Problem,
    decoder: Literal["map", "sample"],
    tokens: Literal["all", "corrupted"],
    split: Split,
) -> Any:
    if isinstance(channel, Absorbing):
        which: Literal["masked", "all"] = "all" if tokens == "all" else "masked"
        return erasures.token_recovery(*problem, decoder=decoder, tokens=which, split=split)
    L, V = problem.length, problem.vocab

    def value(K: Floats, n: int, at: _Level) -> Floats:
        found, right = _visible_recovery(K, n, V, at.kept, decoder, tokens, split)
        filled = 1 / V + (1 - 1 / V) * right
        if tokens == "all":
            return (n * found + (L - n) * filled) / L
        if at.corrupted == 0:  # the limit of few corrupted tokens, of which few are masked
            return found
        return (n * at.changed * found + (L - n) * filled) / (L * at.corrupted)

    return finish(_mean(channel, problem, value), 1.0)


def _visible_recovery(
    K: Floats, n: int, V: int, kept: float, decoder: str, tokens: str, split: Split
) -> tuple[Floats, Floats]:
    """Recovery at n visible sites, and the probability that the true sequence is decoded."""
    none = np.zeros_like(K)
    if n == 0:
        return none, none if split == "test" else 1 / K
    at = np.asarray(kept)
    if split == "test":
        return unseen_recovery(K, n, V, at, decoder, tokens), none
    if decoder == "map":
        return seen_map_recovery(K, n, V, at, tokens), _right_of(K, n, V, at)
    found = seen_averages(K, n, V, kept)
    return found.recovery if tokens == "all" else found.corrupted_recovery, found.true_weight


def _right(K: Floats, n: int, V: int, at: _Level) -> Floats:
    return _right_of(K, n, V, np.asarray(at.kept)) if n else 1 / K


def _right_of(K: Floats, n: int, V: int, kept: Floats) -> Floats:
    return np.vecdot(choice_probability(K, log_noise(n, V)), true_matches(n, V, kept))


def _level(channel: Hybrid, alpha: float) -> _Level:
    keep, redraw, mask, _ = (float(part) for part in channel.rates(alpha))
    visible, wrong = keep + redraw, 1 - 1 / channel.vocab_size
    share = redraw / visible if visible > 0 else 0.0
    kept = keep / visible if visible > 0 else 0.0
    return _Level(visible, mask, kept, mask + wrong * redraw, wrong * share)


def _mean(
    channel: Hybrid, problem: Problem, value: Callable[[Floats, int, _Level], Floats]
) -> Floats:
    """Average of value(K, n, level) over the visible sites, once for each distinct alpha."""
    size, kept = np.broadcast_arrays(problem.size, problem.kept)
    out = np.empty(size.shape)
    for alpha in np.unique(kept):
        here, at = kept == alpha, _level(channel, float(alpha))
        sites = np.exp(log_binomial(problem.length, at.visible, at.mask))
        total = np.zeros(size[here].shape)
        for n in np.flatnonzero(sites > _NEVER):
            total += sites[n] * value(size[here], int(n), at)
        out[here] = total
    return out
