"""Hebbian memory of structured examples: when it learns the features behind them.

P examples on N neurons, each the sign of a Gaussian mixture of D common random features f_k,

    xi^nu = sign(sum_k c_k^nu f_k),   load = P / N,   feature_load = D / N,

are stored by the Hebb rule. At small load the examples themselves are attractors; at large load the
features become attractors, and examples never shown are as stable as stored ones. The overlaps
below are after one update of all neurons, for large N, by a signal-to-noise argument.

The replica phase lines of the two papers quoted were not recomputed [unverified].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf

from am_theory._inputs import POSITIVE, Floats, bare, broadcast_iv, real_iv

__all__ = ["feature_overlap", "learning_load", "limit_overlap", "unseen_overlap"]


def feature_overlap(load: ArrayLike, feature_load: ArrayLike) -> Any:
    """Return the overlap with a feature after one update that starts from it.

    m_1 = erf(1 / sqrt(2 R)),   R = D/N + (pi^2 / 4) (D/N)^2 / load + (pi / 2) (D/N) / load.

    Parameters
    ----------
    load : number or array, P / N > 0.
    feature_load : number or array, D / N > 0.

    Returns
    -------
    Broadcast shape, in (0, 1].

    Raises
    ------
    ValueError for arguments out of range or shapes that do not fit.

    Notes
    -----
    Signal to noise for dense mixtures (D >> 1) and large N; within 0.005 of simulations at N = 3000
    and D from 60 to 300. It rises with the load: more examples make the feature clearer.

    Unit: dimensionless

    Source: model of Negri, Lauditi, Perugini, Lucibello, Malatesta 2023 (Phys. Rev. Lett. 131,
    257301); formula derived by signal to noise, simulated in
    tests/am_theory/test_random_features.py.

    >>> round(feature_overlap(1.0, 0.05), 4)
    0.9936
    """
    x, d = _loads_iv(load, feature_load)
    noise = d * (1 + np.asarray(learning_load(d)) / x)
    return bare(erf(1 / np.sqrt(2 * noise)))


def unseen_overlap(load: ArrayLike, feature_load: ArrayLike) -> Any:
    """Return the overlap with an example never stored after one update that starts from it.

    m_1 = (2 / pi) arctan[ sqrt(2 / pi) s / sqrt(s^2 D/N + load + 2 s / pi) ],
    s = (2 / pi) load / (D/N).

    Parameters
    ----------
    load : number or array, P / N > 0.
    feature_load : number or array, D / N > 0.

    Returns
    -------
    Broadcast shape, in (0, 1).

    Raises
    ------
    ValueError for arguments out of range or shapes that do not fit.

    Notes
    -----
    Approximate: for dense mixtures (D >> 1), whose fields are taken as Gaussian. Within 0.01 of
    simulations at N = 3000; at D = 60 and load 0.2 it is 0.006 low.

    Unit: dimensionless

    Source: setting of Kalaj et al. 2024 (arXiv:2407.05658); formula derived by signal to noise,
    simulated in tests/am_theory/test_random_features.py.

    >>> round(unseen_overlap(1.0, 0.05), 3)
    0.753
    """
    x, d = _loads_iv(load, feature_load)
    noise = d * (1 + (1 + np.pi**2 / 4 * d) / x)  # the square of the denominator, over s^2
    return bare((2 / np.pi) * np.arctan(np.sqrt(2 / (np.pi * noise))))


def learning_load(feature_load: ArrayLike) -> Any:
    """Return the load at which the features start to be learned.

    load_L = pi / 2 + (pi^2 / 4) D/N, in which the noise of `feature_overlap` is
    R = (D/N) (1 + load_L / load): twice its limit D/N here, near the limit far above.

    Parameters
    ----------
    feature_load : number or array, D / N > 0.

    Returns
    -------
    Shape of `feature_load`, above pi / 2.

    Raises
    ------
    ValueError for a feature load that is not positive.

    Notes
    -----
    A scale and not a phase line: learning is complete at load >> load_L, where the features act as
    D patterns stored by the plain Hebb rule, and are attractors if D/N < 0.138.

    Unit: patterns per neuron

    Source: derived from `feature_overlap`, in tests/am_theory/test_random_features.py.

    >>> round(learning_load(0.05), 6)
    1.694166
    """
    d = _feature_load_iv(feature_load)
    return bare(np.pi / 2 + np.pi**2 / 4 * d)


def limit_overlap(feature_load: ArrayLike) -> Any:
    """Return the one-step overlap at which stored and unseen examples meet as the load grows.

    m_1 = (2 / pi) arctan sqrt(2 / (pi D/N)), the limit of `unseen_overlap` at infinite load.

    Parameters
    ----------
    feature_load : number or array, D / N > 0.

    Returns
    -------
    Shape of `feature_load`, in (0, 1).

    Raises
    ------
    ValueError for a feature load that is not positive.

    Unit: dimensionless

    Source: derived from `unseen_overlap`, in tests/am_theory/test_random_features.py.

    >>> round(limit_overlap(0.05), 6)
    0.82605
    """
    d = _feature_load_iv(feature_load)
    return bare((2 / np.pi) * np.arctan(np.sqrt(2 / (np.pi * d))))


def _feature_load_iv(feature_load: ArrayLike) -> Floats:
    return real_iv("feature_load", feature_load, POSITIVE, "It is features per neuron, D / N.")


def _loads_iv(load: ArrayLike, feature_load: ArrayLike) -> list[Floats]:
    return broadcast_iv(
        load=real_iv("load", load, POSITIVE, "It is examples per neuron, P / N."),
        feature_load=_feature_load_iv(feature_load),
    )
