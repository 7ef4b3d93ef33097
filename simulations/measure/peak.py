"""Where a curve over the training-set size has its peak, and how high it stands."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulations.measure.passage import curve_iv

Floats = NDArray[np.float64]


def curve_peaks(sizes: ArrayLike, curves: ArrayLike) -> tuple[Floats, Floats]:
    """Place of the peak of every curve (n, sizes), and its height above the lowest point before it.

    The peak is the inner point, not below its neighbours and above one of them, that stands highest
    above the lowest point at smaller sizes (a curve may be high at small sizes too), refined by a
    parabola in the logarithm of the size through it and its neighbours. Without one the height is
    0 and the place -inf, or +inf where the curve still rises at its end.

    >>> places, heights = curve_peaks([1, 2, 4, 8], [[0.0, 1.0, 0.0, 0.0], [3.0, 2.0, 1.0, 0.0]])
    >>> places, heights
    (array([  2., -inf]), array([1., 0.]))
    """
    x, values = curve_iv(sizes, curves, "curves")
    logs, places, heights = np.log(x), [], []
    for curve in values:
        beside = list(zip(curve[:-2], curve[2:], strict=True))
        inner = [k for k, ends in enumerate(beside, 1) if max(ends) <= curve[k] > min(ends)]
        if not inner:
            places.append(np.inf if curve[-1] > curve[-2] else -np.inf)
            heights.append(0.0)
            continue
        top = max(inner, key=lambda k: curve[k] - curve[:k].min())
        near = slice(top - 1, top + 2)
        bend, slope, _ = np.polyfit(logs[near] - logs[top], curve[near] - curve[top], 2)
        places.append(float(np.exp(logs[top] - slope / (2 * bend))))
        heights.append(float(curve[top] - slope**2 / (4 * bend) - curve[:top].min()))
    return np.array(places), np.array(heights)
