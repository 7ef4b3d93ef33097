"""Laws for where a network's transition from memorizing to generalizing should be.

Each is a hypothesis to hold a measured transition size K* against: the information a network can
store, its training time, and the sample complexity of a hierarchical source; with the storage per
parameter of memories that are solved exactly.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from am_theory import hopfield, pseudolikelihood
from am_theory._hierarchy import (
    UpwardFixedPoints,
    hierarchy_sample_size,
    upward_fixed_points,
    upward_map,
)
from am_theory._inputs import (
    NOT_NEGATIVE,
    POSITIVE,
    Interval,
    bare,
    broadcast_iv,
    real_iv,
    whole_iv,
)
from am_theory._random_patterns import choice_iv
from am_theory.linear import convergence_size

__all__ = [
    "UpwardFixedPoints",
    "bits_per_parameter",
    "capacity_size",
    "hierarchy_sample_size",
    "memorized_nats",
    "memorized_nats_limit",
    "training_time_size",
    "upward_fixed_points",
    "upward_map",
]

_COUNT = Interval(1.0, np.inf)
_VOCAB_HINT = "It counts the values a token can take."
_PARAMETERS_HINT = "It counts the weights of the network."
_SIZE_HINT = "It counts the training sequences."


def capacity_size(
    n_parameters: ArrayLike,
    seq_len: int,
    vocab_size: int,
    *,
    entropy_per_sequence: ArrayLike | None = None,
    bits_per_parameter: ArrayLike = 3.6,
) -> Any:
    """Return the number of sequences that fill the information capacity of a network.

    K_cap = B N log(2) / h,   h = L log V for iid uniform tokens, or the entropy of the source.

    Parameters
    ----------
    n_parameters : number or array, N >= 1.
    seq_len, vocab_size : int; L >= 1, V >= 2.
    entropy_per_sequence : number or array, h in (0, L log V], in nats; L log V when left out.
    bits_per_parameter : number or array, B > 0.

    Returns
    -------
    Broadcast shape, positive.

    Raises
    ------
    ValueError for an argument out of range or shapes that do not fit.

    Notes
    -----
    A hypothesis for K*: proportional to N at a fixed source. B = 3.6 was measured on transformers
    of GPT type and depends on the architecture [not recomputed].

    Unit: training sequences

    Source: Morris et al. 2025 (arXiv:2505.24832) for B; the law by counting bits.

    >>> round(capacity_size(1e6, 32, 4), 6)
    56250.0
    """
    length = whole_iv("seq_len", seq_len, 1, "Call once for each length.")
    most = length * math.log(whole_iv("vocab_size", vocab_size, 2, _VOCAB_HINT))
    given = most if entropy_per_sequence is None else entropy_per_sequence
    size, entropy, bits = broadcast_iv(
        n_parameters=real_iv("n_parameters", n_parameters, _COUNT, _PARAMETERS_HINT),
        entropy_per_sequence=real_iv(
            "entropy_per_sequence",
            given,
            Interval(0.0, most, open_low=True),
            "It is in nats, and at most L log V.",
        ),
        bits_per_parameter=real_iv("bits_per_parameter", bits_per_parameter, POSITIVE),
    )
    return bare(size * bits * math.log(2) / entropy)


def memorized_nats(train_size: ArrayLike, source_entropy: ArrayLike, nelbo: ArrayLike) -> Any:
    """Return the information about its training set that a network holds beyond the source.

    M = K (H - NELBO_train).

    Parameters
    ----------
    train_size : number or array, K >= 1.
    source_entropy : number or array, H >= 0, of a sequence, in nats.
    nelbo : number or array, >= 0, in nats; the network's mean loss of a training sequence.

    Returns
    -------
    Broadcast shape; negative where the network is worse than the source law.

    Raises
    ------
    ValueError for an argument out of range or shapes that do not fit.

    Notes
    -----
    A lower bound on the information, since the NELBO is an upper bound on the code length.
    `memorized_nats_limit` is what to hold it against.

    Unit: nats

    Source: Morris et al. 2025 (arXiv:2505.24832), unintended memorization, with the NELBO for the
    code length.

    >>> memorized_nats(1000, 20.0, 7.5)
    12500.0
    """
    size, entropy, loss = broadcast_iv(
        train_size=real_iv("train_size", train_size, _COUNT, _SIZE_HINT),
        source_entropy=real_iv("source_entropy", source_entropy, NOT_NEGATIVE, "In nats."),
        nelbo=real_iv("nelbo", nelbo, NOT_NEGATIVE, "It is in nats per sequence."),
    )
    return bare(size * (entropy - loss))


def memorized_nats_limit(
    train_size: ArrayLike,
    source_entropy: ArrayLike,
    n_parameters: ArrayLike,
    *,
    bits_per_parameter: ArrayLike = 3.6,
) -> Any:
    """Return the memorized information of a perfect memorizer, until its parameters are full.

    M = min[K (H - log K), B N log 2], and 0 where K exceeds e^H.

    Parameters
    ----------
    train_size : number or array, K >= 1.
    source_entropy : number or array, H >= 0, of a sequence, in nats.
    n_parameters : number or array, N >= 1.
    bits_per_parameter : number or array, B > 0.

    Returns
    -------
    Broadcast shape, not negative.

    Raises
    ------
    ValueError for an argument out of range or shapes that do not fit.

    Notes
    -----
    The loss of the empirical denoiser on its own sequences tends to log K. Meant for K well below
    e^(H - 1), where K (H - log K) has its maximum. B = 3.6 is [not recomputed], see
    `capacity_size`.

    Unit: nats

    Source: Morris et al. 2025 (arXiv:2505.24832) for B; log K by `empirical`.

    >>> round(memorized_nats_limit(1000, 20.0, 1e4), 3)
    13092.245
    >>> round(memorized_nats_limit(1e4, 20.0, 1e4), 3)
    24953.299
    """
    size, entropy, parameters, bits = broadcast_iv(
        train_size=real_iv("train_size", train_size, _COUNT, _SIZE_HINT),
        source_entropy=real_iv("source_entropy", source_entropy, NOT_NEGATIVE, "In nats."),
        n_parameters=real_iv("n_parameters", n_parameters, _COUNT, _PARAMETERS_HINT),
        bits_per_parameter=real_iv("bits_per_parameter", bits_per_parameter, POSITIVE),
    )
    held = size * np.maximum(entropy - np.log(size), 0.0)
    return bare(np.minimum(held, parameters * bits * math.log(2)))


def training_time_size(n_steps: ArrayLike, size_per_step: ArrayLike, capacity: ArrayLike) -> Any:
    """Return the transition size when either training time or capacity may bind.

    K* = min(K_cap, b T).

    Parameters
    ----------
    n_steps : number or array, T > 0, in any unit of training time.
    size_per_step : number or array, b > 0, sequences memorized in a unit of time; it has to be
        measured, once for an architecture and an optimiser.
    capacity : number or array, K_cap > 0, as from `capacity_size`.

    Returns
    -------
    Broadcast shape, positive.

    Raises
    ------
    ValueError for an argument out of range or shapes that do not fit.

    Notes
    -----
    Rests on memorization setting in at a time proportional to K, while the time to generalize does
    not depend on K [not recomputed]. The linear denoiser has no such time, see
    `linear.training_errors`.

    Unit: training sequences

    Source: Bonnaire, Urfin, Biroli, Mezard 2025 (arXiv:2505.17638).

    >>> training_time_size(1e4, 2.0, capacity_size(1e6, 32, 4))
    20000.0
    """
    steps, rate, most = broadcast_iv(
        n_steps=real_iv("n_steps", n_steps, POSITIVE),
        size_per_step=real_iv("size_per_step", size_per_step, POSITIVE),
        capacity=real_iv("capacity", capacity, POSITIVE, "It counts training sequences."),
    )
    return bare(np.minimum(most, rate * steps))


def bits_per_parameter(
    model: Literal["hopfield", "gardner", "linear"],
    *,
    vocab_size: int | None = None,
    alpha: float | None = None,
) -> float:
    """Return how many bits a parameter of a solved memory stores at its capacity.

    hopfield: P = alpha_c N patterns of N bits in N^2 / 2 symmetric couplings, 2 alpha_c;
    gardner: P = 2 N patterns of N bits in N^2 couplings, 1 / Phi(0) = 2;
    linear: K sequences of L log2 V bits in d^2 weights, d = L (V - 1), (K / d) log2(V) / (V - 1) at
    the K where half of the corrupted tokens of the training set are recovered.

    Parameters
    ----------
    model : "hopfield" (Hebb's rule), "gardner" (the best couplings, also pseudo-likelihood) or
        "linear" (the linear denoiser).
    vocab_size : int, V >= 2, for "linear" only.
    alpha : number in [1e-12, 1), probability that a token is kept, for "linear" only.

    Returns
    -------
    float, positive.

    Raises
    ------
    ValueError for an unknown model, an argument out of range, or one that is missing or idle.

    Notes
    -----
    At capacity Hopfield's patterns are recalled with 1.6 % of wrong bits, which are not taken off,
    and the linear denoiser recalls half of the corrupted tokens: anchors for an order of magnitude.

    Unit: bits per parameter

    Source: Amit, Gutfreund, Sompolinsky 1985 (PRL 55, 1530); Gardner 1988 (J. Phys. A 21, 257);
    linear derived in tests/am_theory/test_linear.py.

    >>> round(bits_per_parameter("hopfield"), 4)
    0.2758
    >>> round(bits_per_parameter("linear", vocab_size=4, alpha=0.5), 3)
    0.255
    """
    choice_iv("model", model, ("hopfield", "gardner", "linear"))
    if (vocab_size is None, alpha is None) != (model != "linear",) * 2:
        raise ValueError(
            f"`vocab_size` and `alpha` belong to the model 'linear', both of them; got "
            f"{vocab_size!r} and {alpha!r} for {model!r}."
        )
    if model == "gardner":
        return pseudolikelihood.critical_load()
    if vocab_size is not None and alpha is not None:
        half = convergence_size(1, vocab_size, alpha, criterion="corrupted_recovery")
        return float(half.ratio * math.log2(vocab_size) / (vocab_size - 1))
    return 2 * float(hopfield.critical_load())
