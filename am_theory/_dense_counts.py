"""Counts of patterns in a memory of interaction order n, part of `dense`."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, ndtr

from am_theory._inputs import POSITIVE, Floats, Interval, bare, broadcast_iv, real_iv, whole_iv

__all__ = ["error_free_capacity", "normalized_load", "one_step_error"]

Form = Literal["distinct", "full_power"]

_NEURONS = Interval(2.0, np.inf)


def normalized_load(
    n_patterns: ArrayLike, n_neurons: ArrayLike, order: int, form: Form = "distinct"
) -> Any:
    """Return the normalized load x of K patterns.

    x = (n - 1)! K / N^(n-1) for form "distinct", (2 n - 3)!! K / N^(n-1) for "full_power".

    Parameters
    ----------
    n_patterns : number or array, K > 0.
    n_neurons : number or array, N >= 2.
    order : int, n >= 3.
    form : "distinct" or "full_power", the energy that the patterns are stored in.

    Returns
    -------
    Broadcast shape, positive.

    Raises
    ------
    ValueError for arguments out of range, shapes that do not fit or an unknown form.

    Unit: dimensionless

    Source: variance of the field of K - 1 random patterns; derived in
    tests/am_theory/test_dense.py.

    >>> round(normalized_load(2000, 200, 3), 12)
    0.1
    """
    n = order_iv(order)
    if form not in ("distinct", "full_power"):
        raise ValueError(f"`form` must be one of distinct, full_power; got {form!r}.")
    return bare(np.exp(_log_load(n_patterns, n_neurons, n, form)))


def one_step_error(n_patterns: ArrayLike, n_neurons: ArrayLike, order: int) -> Any:
    """Return the probability that a neuron of a stored pattern flips at the first update.

    Q(sqrt(N^(n-1) / ((2 n - 3)!! K))),   Q(h) the normal tail above h; energy of full power.

    Parameters
    ----------
    n_patterns : number or array, K > 0.
    n_neurons : number or array, N >= 2.
    order : int, n >= 3.

    Returns
    -------
    Broadcast shape, in [0, 1/2).

    Raises
    ------
    ValueError for arguments out of range or shapes that do not fit.

    Notes
    -----
    Signal to noise at large N, with Gaussian noise.

    Unit: dimensionless

    Source: Krotov and Hopfield 2016 (arXiv:1606.01164), error of one step.

    >>> round(one_step_error(2000, 200, 3), 8)
    0.00491164
    """
    log_x = _log_load(n_patterns, n_neurons, order_iv(order), "full_power")
    return bare(ndtr(-np.exp(np.minimum(-log_x / 2, 300.0))))  # 0 long before e^300


def error_free_capacity(order: int, n_neurons: ArrayLike) -> Any:
    """Return the number of patterns stored without a single wrong neuron.

    K = N^(n-1) / (2 (2 n - 3)!! log N), energy of full power.

    Parameters
    ----------
    order : int, n >= 3.
    n_neurons : number or array, N >= 2.

    Returns
    -------
    Shape of `n_neurons`, positive.

    Raises
    ------
    ValueError for arguments out of range.

    Notes
    -----
    Leading order at large N: `one_step_error` is 1 / (N sqrt(4 pi log N)) there, so that a pattern
    has less than one wrong neuron on average. Orders whose count passes 1e308 give inf.

    Unit: patterns

    Source: Krotov and Hopfield 2016 (arXiv:1606.01164), capacity without errors.

    >>> round(error_free_capacity(3, 1000), 3)
    24127.471
    """
    n = order_iv(order)
    N = real_iv("n_neurons", n_neurons, _NEURONS)
    log_count = (n - 1) * np.log(N) - np.log(2 * np.log(N)) - log_multiplicity(n, "full_power")
    with np.errstate(over="ignore"):
        return bare(np.exp(log_count))


def order_iv(order: Any) -> int:
    """Check the order of the interactions."""
    hint = "Order 2 is the Hopfield model, whose noise is different: see am_theory.hopfield."
    return whole_iv("order", order, 3, hint)


def _network_iv(n_patterns: ArrayLike, n_neurons: ArrayLike) -> list[Floats]:
    return broadcast_iv(
        n_patterns=real_iv("n_patterns", n_patterns, POSITIVE, "It counts stored patterns."),
        n_neurons=real_iv("n_neurons", n_neurons, _NEURONS, "It counts neurons."),
    )


def _log_load(n_patterns: ArrayLike, n_neurons: ArrayLike, n: int, form: str) -> Floats:
    K, N = _network_iv(n_patterns, n_neurons)
    return np.log(K) + log_multiplicity(n, form) - (n - 1) * np.log(N)


def log_multiplicity(n: int, form: str) -> float:
    """log (n - 1)! or log (2 n - 3)!!."""
    if form == "distinct":
        return float(gammaln(n))
    return float(gammaln(2 * n - 1) - gammaln(n) - (n - 1) * np.log(2))
