"""How many patterns rows of V classes can separate: the numbers (private).

With normal z in the V - 1 dimensions of logits, a pattern of class 0 is right where z lies in the
cone C of z_0 >= z_v, and rows exist up to 1 / load = E dist(z, C)^2 / (V - 1). The nearest point of
C lowers the j largest of the other logits, and raises z_0, to their common mean; E dist^2 is the
mean of j, as the cone's walls are flat (Amelunxen et al. 2014), and the law of j is

    Pr(j) = binom(V - 1, j) beta_j E Phi(g / sqrt(j + 1))^(V - 1 - j),
    beta_j = Pr(j of j + 1 normal numbers, named before, all exceed the mean of all).
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, log_ndtr, wofz

from am_theory._inputs import Floats

_STEP = 0.04
_LINE = np.arange(-9.5, 9.5 + _STEP / 2, _STEP)  # of k
_FAR = np.arange(-10.0, 38.0, _STEP)  # of g: beta_j is small, and g large where j matters


def log_excess(count: int) -> float:
    """log beta_j of `count` j >= 1.

    beta_j = sqrt((j + 1) / (2 pi)) int dk e^(w^2 / 2) [erfcx(w / sqrt(2)) / 2]^j along any line
    w = T + ik: the factor E[1(y > T) e^-iky] of each number, times the law of the mean.
    """
    w = 0.7 * np.sqrt(count) + 1j * _LINE  # near the saddle point
    exponent = w**2 / 2 + count * np.log(wofz(1j * w / np.sqrt(2)) / 2)
    top = exponent.real.max()
    total = np.exp(exponent - top).real.sum() * _STEP
    return float(top + np.log(total * np.sqrt((count + 1) / (2 * np.pi))))


def wall_law(vocab_size: int) -> Floats:
    """Pr(j), j = 0, 1, ..., up to where it is below 1e-18."""
    others = vocab_size - 1
    log_normal = -(_FAR**2) / 2 + np.log(_STEP / np.sqrt(2 * np.pi))
    law: list[float] = []
    for j in range(vocab_size):
        chosen = gammaln(vocab_size) - gammaln(j + 1) - gammaln(vocab_size - j)
        chosen += log_excess(j) if j else 0.0
        below = (others - j) * log_ndtr(_FAR / np.sqrt(j + 1))
        law.append(float(np.exp(chosen + log_normal + below).sum()))
        if j > 4 * np.log(vocab_size) and law[-1] < 1e-18:
            break
    return np.array(law)
