"""A table of `simulations.measure.feature_size.half_size`, which fits ask for often."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import RectBivariateSpline

from simulations.measure.feature_size import half_size

Floats = NDArray[np.float64]
FEATURES = (10.0, 1e5)  # p and tau of the table; beyond its ends they stand for the ends
TIMES = (3e-3, 100.0)
NODES = {True: (15, 13), False: (10, 9)}  # with the field and without: dearer there


@dataclass(frozen=True)
class Table:
    """ln K_half over ln p and ln tau, a spline through the theory: fits ask for it often."""

    spline: RectBivariateSpline

    def log_half(self, n_features: ArrayLike, time: ArrayLike) -> Floats:
        """ln K_half of p and tau, which broadcast."""
        p, tau = (
            np.log(np.clip(values, *ends))
            for values, ends in ((n_features, FEATURES), (time, TIMES))
        )
        return np.asarray(self.spline(p, tau, grid=False), dtype=np.float64)


@functools.cache
def table(seq_len: int, vocab_size: int, pair: bool = True) -> Table:
    """The table of a source's sizes; takes half a minute."""
    ends = zip((FEATURES, TIMES), NODES[pair], strict=True)
    p, tau = (np.geomspace(low, high, n) for (low, high), n in ends)
    values = half_size(p[:, None], tau[None], seq_len, vocab_size, pair)
    return Table(RectBivariateSpline(np.log(p), np.log(tau), np.log(values)))
