"""How many sequences of a chain of two tokens a row can separate: the numbers (private).

With t_i = +-1, couplings c to both neighbours and a Gaussian z for all others, which go on from
them at random, the row's field times its target is m + z, m = 2c, 0, -2c where both, one or none of
the neighbours are like the target. Rows exist up to 1 / load = min_c E (z + m)_-^2.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from am_theory._roots import brentq


def _normal(m: float) -> float:
    return float(np.exp(-m * m / 2) / np.sqrt(2 * np.pi))


def lacking(m: float) -> tuple[float, float]:
    """E (z + m)_- and E (z + m)_-^2 of a standard normal z."""
    below = float(ndtr(-m))
    return _normal(m) - m * below, (1 + m * m) * below - m * _normal(m)


def chain_load(flip: float) -> float:
    """The load of one chance that neighbours differ, in (0, 1)."""
    unlike = min(flip, 1 - flip)  # the sign of every other token may be turned
    alike = 1 - unlike

    def slope(m: float) -> float:
        return unlike**2 * lacking(-m)[0] - alike**2 * lacking(m)[0]

    m = float(brentq(slope, 0.0, 2 + 2 * np.sqrt(-np.log(unlike)), xtol=1e-13))
    total = alike**2 * lacking(m)[1] + alike * unlike + unlike**2 * lacking(-m)[1]
    return 1 / total
