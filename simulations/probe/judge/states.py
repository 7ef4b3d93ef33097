"""Does a model repeat itself? States among its own sequences, and how many there are in effect.

Two sequences are near if they differ in at most d tokens; d is the largest number at which a null,
sequences drawn from the bigrams of the model's own ones, hardly ever has two that are near. Of a
memorizer the sequences gather around those that it stores, and n of them show it for stores of up
to about n^2 / 2. It needs no text: neither shift of domain nor temperature of logits can hide it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from simulations.measure.bootstrap import interval
from simulations.probe.judge.bigrams import Bigrams
from simulations.probe.measure.estimate import Estimate, exact_interval

Floats = NDArray[np.float64]
Ids = NDArray[np.integer]

RARE = 0.02  # share of the null's sequences that may be near another one
WIDEST = 4  # d is at most a part in so many of the length
_BLOCK = 1 << 24  # comparisons held at once


@dataclass(frozen=True, eq=False)
class States:
    """What repeats of n sequences say.

    within : d, tokens by which near ones may differ. near : share of the sequences that are near
    another one, beyond that of the null, (share - null) / (1 - null). null : that of the null.
    number : effective number of states, 1 / P(two are near); infinite where none are, with a finite
    lower end. group : (n,) the state of every sequence, those joined by near ones being one.
    """

    within: int
    near: Estimate
    null: float
    number: Estimate
    group: NDArray[np.int64]
    replicates: Floats


def distances(tokens: Ids) -> NDArray[np.int32]:
    """Tokens in which sequences (n, L) differ, (n, n)."""
    x = np.ascontiguousarray(tokens)
    found = np.empty((len(x), len(x)), np.int32)
    step = max(1, _BLOCK // max(1, x.size))
    for first in range(0, len(x), step):
        found[first : first + step] = (x[first : first + step, None] != x).sum(-1)
    return found


def is_near(distance: NDArray[np.int32], within: int) -> NDArray[np.bool_]:
    """Whether each sequence is near another one, (n,)."""
    others = distance <= within
    np.fill_diagonal(others, False)
    return np.asarray(others.any(1))


def states(
    own: Ids,
    vocab_size: int,
    rng: np.random.Generator,
    text: Ids | None = None,
    n_replicates: int = 1000,
) -> States:
    """The states of own sequences (n, L), n at least 2.

    text : sequences of the model's source, where there are some: a second null, as a source may
    repeat itself more often than its bigrams do. Intervals resample states, and the null.
    """
    n, length = own.shape
    nulls = [Bigrams.of(own, vocab_size).sample(rng, n, length)]
    if text is not None and len(text) > 1:
        nulls.append(np.asarray(text, np.int64)[:n])
    apart = [distances(null) for null in nulls]
    within = 0
    while within < length // WIDEST and all(
        is_near(found, within + 1).mean() <= RARE for found in apart
    ):
        within += 1
    rates = [is_near(found, within) for found in apart]
    null = max(rates, key=lambda flags: flags.mean())
    distance = distances(own)
    near = is_near(distance, within)
    joined = distance <= within
    _, group = connected_components(joined, directed=False)
    size, hits = np.bincount(group), np.bincount(group, weights=near)
    pairs = np.bincount(group, weights=joined.sum(1) - 1)
    weights = rng.multinomial(len(size), np.full(len(size), 1 / len(size)), n_replicates)
    total = weights @ size
    drawn_null = rng.binomial(len(null), null.mean(), n_replicates) / len(null)
    share, base = float(near.mean()), float(null.mean())
    excess = _beyond((weights @ hits) / total, drawn_null)
    low, high = (float(end) for end in interval(excess))
    if not near.any() or near.all():
        ends = exact_interval(len(size), len(size)) if near.all() else exact_interval(0, n)
        low, high = (float(end) for end in _beyond(np.array(ends), base))
    count = float(pairs.sum())
    rate = count / (n * (n - 1))
    drawn = (weights @ pairs) / (total * np.maximum(total - 1, 1))
    return States(
        within,
        Estimate(float(_beyond(np.array(share), base)), low, high, n),
        base,
        _number(rate, drawn, n),
        group.astype(np.int64),
        np.asarray(excess, np.float64),
    )


def _beyond(share: Floats, null: Floats | float) -> Floats:
    return np.clip((share - null) / np.maximum(1 - null, 1e-9), 0.0, 1.0)


def _number(rate: float, drawn: Floats, n: int) -> Estimate:
    """1 / rate with its interval; without a near pair, three pairs bound the rate from above."""
    if rate == 0:
        return Estimate(np.inf, n * (n - 1) / 2 / 3, np.inf, n)
    low, high = (float(end) for end in interval(drawn))
    return Estimate(1 / rate, 1 / high if high > 0 else np.inf, 1 / low if low > 0 else np.inf, n)
