"""What is expected of every passage before it is measured, and the rule that gives the verdict.

The width of a passage is how many decades of K an order parameter takes from 0.9 to 0.1. Over
lengths at fixed V it is fitted as L^e, and the interval of e decides. MARGIN, the verdicts and the
expectations below were written before anything was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from scipy.stats import binom

from am_theory.information import capacity, dispersion

Floats = NDArray[np.float64]
Verdict = Literal[
    "sharp as L grows", "same width at every L", "widening", "not decidable at this size"
]
SHARP: Verdict = "sharp as L grows"
SAME: Verdict = "same width at every L"
WIDER: Verdict = "widening"
UNDECIDED: Verdict = "not decidable at this size"
MARGIN = 0.1  # in e; from L = 8 to 64 such a width changes by a factor of 1.23
SPAN = float(ndtri(0.9) - ndtri(0.1))  # of a normal passage, in standard deviations


@dataclass(frozen=True)
class Expected:
    """The verdict and the exponent e that theory gives, from where, and what would overturn it."""

    verdict: Verdict
    exponent: float
    why: str
    overturned: str


EXPECTED = {
    "memorizer": Expected(
        WIDER,
        0.5,
        "retrieval fails as log K passes L C with a spread of sqrt(L U) (second order of random "
        "coding): in decades of K it widens, in log K / L it sharpens, to a jump at C",
        "a width in decades that grows by less than L^0.1 up to L = 64",
    ),
    "linear": Expected(
        SAME,
        0.0,
        "everything depends on K / (L (V - 1)) alone (closed form): a crossover",
        "a width that moves with L once the memorizer's own end is 1",
    ),
    "memory": Expected(
        SAME,
        0.0,
        "the entropy of conditional-likelihood rows is a function of the load (closed form at "
        "large L): its upper end becomes steep at the critical load, its lower end stays 1 / load",
        "a width from 0.9 to 0.1 that falls below that of the rows' theory and goes on falling",
    ),
    "separable": Expected(
        SHARP,
        -0.5,
        "the largest separable K of a row has a variance in proportion to the row's inputs (at "
        "V = 2 it counts tosses of a coin, Cover 1965): a jump at the critical load",
        "a scatter of log K between rows that does not fall as the inputs grow",
    ),
    "network": Expected(
        SAME,
        0.0,
        "in the theory of random features all sizes enter as ratios: a crossover",
        "an exponent whose interval lies below -0.1, at more lengths, widths and times",
    ),
}


def verdict_of(low: float, high: float) -> Verdict:
    """The verdict on a width that goes as L^e, from the interval of e.

    >>> verdict_of(-0.6, -0.4), verdict_of(-0.05, 0.05), verdict_of(-0.3, 0.3)
    ('sharp as L grows', 'same width at every L', 'not decidable at this size')
    """
    if high < -MARGIN:
        return SHARP
    if low > MARGIN:
        return WIDER
    if -MARGIN <= low <= high <= MARGIN:
        return SAME
    return UNDECIDED


def nature_of(verdict: Verdict, steeper: bool, excluded: bool) -> str:
    """What a passage becomes as L grows, from the verdict on its width in decades of K.

    steeper : the width over log K at 1/2 falls faster than L^-MARGIN. excluded : a width that goes
    to a constant as 1 / L misses by more than the errors allow, which L^e does not. This second
    rule was added after the first networks had been seen, as three lengths fit both.
    """
    if verdict == SAME:
        return "crossover"
    if verdict == WIDER:
        return "crossover in K, jump in log K / L" if steeper else "crossover"
    if verdict == SHARP and excluded:
        return "transition: a jump"
    return "open"


def memorizer_decades(seq_len: ArrayLike, vocab_size: int, alpha: float) -> Floats:
    """Width of the optimal memorizer's passage, decades of K, in the normal approximation.

    P = Phi((L C - log K) / sqrt(L U)) takes log K over 2.563 sqrt(L U) from 0.9 to 0.1; C and U are
    capacity and dispersion of the channel (Polyanskiy, Poor, Verdu 2010).

    >>> memorizer_decades([16, 64], 4, 0.5).round(3).tolist()
    [3.469, 6.939]
    """
    spread = np.sqrt(np.asarray(seq_len) * float(dispersion(alpha, vocab_size)))
    return np.asarray(SPAN * spread / np.log(10))


def memorizer_place(log_size: Floats, seq_len: ArrayLike, vocab_size: int, alpha: float) -> Floats:
    """(log K - L C) / sqrt(L U), in which passages of all L and V should be one curve."""
    length = np.asarray(seq_len)
    spread = np.sqrt(length * float(dispersion(alpha, vocab_size)))
    return np.asarray((log_size - length * float(capacity(alpha, vocab_size))) / spread)


def separable_share(train_size: ArrayLike, inputs: int) -> Floats:
    """Share of rows of two tokens that put K random targets right, `inputs` = L - 1 couplings.

    2^(1 - K) sum_(k < inputs) binom(K - 1, k); Cover 1965 (IEEE Trans. Electron. Comput. 14, 326).

    >>> separable_share([10, 20, 40], 10).round(4).tolist()
    [1.0, 0.5, 0.0005]
    """
    size = np.asarray(train_size)
    return np.asarray(binom.cdf(inputs - 1, size - 1, 0.5))
