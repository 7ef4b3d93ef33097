"""Share of the commonest token among the sequences that fit an erased query (private).

The Bayes choice at a masked site is the commonest token of the N sequences that fit; M(N) is the
mean of the largest of V multinomial counts. M(N) / N is exact up to `MOST` and bracketed beyond.
"""

from __future__ import annotations

import functools

import numpy as np

from am_theory._random_patterns import Floats

MOST = 256


@functools.lru_cache(maxsize=32)
def commonest_share(vocab_size: int) -> Floats:
    """M(N) / N for N = 1..MOST, M(N) = sum_k P(max > k).

    P(max <= k) for two groups of values together is the binomial mixture over how many of the N
    tokens fall into the first; groups are doubled and added up to V values.
    """
    number = np.arange(MOST + 1)
    one = (number[:, None] <= number).astype(float)  # (N, k): one value alone
    part, values = one, 1
    for bit in bin(vocab_size)[3:]:
        part, values = _together(part, values, part, values), 2 * values
        if bit == "1":
            part, values = _together(part, values, one, 1), values + 1
    more = np.where(number[:, None] > number, 1 - part, 0.0)
    share = (more.sum(axis=1)[1:]) / number[1:]
    share.setflags(write=False)
    return share


def _together(first: Floats, v: int, second: Floats, w: int) -> Floats:
    """P(max <= k | N) over v + w values."""
    number = np.arange(MOST + 1.0)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(number[1:]))])
    joint = np.empty_like(first)
    for n in range(MOST + 1):
        c = np.arange(n + 1)
        log_choose = log_factorial[n] - log_factorial[c] - log_factorial[n - c]
        law = np.exp(log_choose + c * np.log(v / (v + w)) + (n - c) * np.log(w / (v + w)))
        joint[n] = (law / law.sum()) @ (first[: n + 1] * second[n::-1])
    return joint


def commonest_bounds(size: float, q: Floats, right: Floats, vocab_size: int) -> tuple[Floats, ...]:
    """Lower and upper bound on E M(N) / N for whole K, (n,); equal where N <= MOST for sure.

    `right` is E 1 / N. Beyond MOST, M / N falls with N and lies between
    1 / V + [N V (6 + V / N)]^(-1/2) and 1 / V + [2 v / N]^(1/2) + log V / (3 N), with
    v = (1 - 1 / V) log V / V: the mean of |c_1 - c_2| by its second and fourth moment, and the
    maximum of V counts that obey Bernstein's inequality. Roots are averaged by Jensen's inequality
    from below and by Cauchy's from above.
    """
    share, V = commonest_share(vocab_size), vocab_size
    number = np.arange(1.0, MOST + 1)
    law = _law(size, q)
    known = law @ share
    tail = np.maximum(1 - law.sum(axis=1), 0.0)
    tail = np.where(tail < 1e-14, 0.0, tail)
    mean = np.maximum(1 + (size - 1) * q - law @ number, MOST * tail)
    inverse = np.clip(right - law @ (1 / number), 0.0, tail / MOST)
    some = np.where(tail > 0, mean, 1.0)
    low = tail / V + tail * np.sqrt(tail / (some * V * (6 + V / MOST)))
    root = np.sqrt(2 * (1 - 1 / V) * np.log(V) / V * tail * inverse)
    high = np.minimum(tail / V + root + np.log(V) / 3 * inverse, tail * share[-1])
    return known + low, known + np.maximum(high, low)


def _law(size: float, q: Floats) -> Floats:
    """P(N) for N = 1..MOST, N = 1 + Bin(K - 1, q), (n, MOST)."""
    others = np.arange(float(MOST))
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.log(np.maximum(size - others[1:], 0.0)) - np.log(others[1:])
        log_choose = np.concatenate([[0.0], np.cumsum(steps)])
        inner = np.where((q > 0) & (q < 1), q, 0.5)[:, None]
        left = np.maximum(size - 1 - others, 0.0)
        law = np.exp(log_choose + others * np.log(inner) + left * np.log1p(-inner))
    law = np.where(q[:, None] < 1, law, others == size - 1)
    return np.where(q[:, None] > 0, law, others == 0)
