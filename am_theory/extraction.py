"""Extraction by repeated draws: does a model, shown a prefix, ever give the rest word for word?

One draw ends in the true suffix with probability p_z, one of n draws with 1 - (1 - p_z)^n. A
sequence is (n, p)-extractable if that is at least p. Here p_z is that of models that can be solved:
the source itself, a Markov chain, which extracts what is likely anyway; a store of K sequences; and
a mixture of both. What a store gives away is its extraction less that of the source at the same n.

Tokens are drawn one at a time, each given all before it, unless said otherwise. `draws` and
`train_size` broadcast against each other. Numbers in give a Python float, arrays in an array.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from am_theory._arrays import vocab_size_iv
from am_theory._chains import joined, start_iv, starts, starts_given, transition_iv, walked
from am_theory._extraction_normal import entropy_rate, extraction_normal, varentropy_rate
from am_theory._inputs import Interval, bare, broadcast_iv, real_iv, whole_iv
from am_theory._random_patterns import choice_iv, finish
from am_theory._stored_draws import CHANCE, DRAWS, extracted, from_store, store_iv

__all__ = [
    "draws_needed",
    "entropy_rate",
    "extraction_normal",
    "extraction_probability",
    "extraction_probability_stored",
    "extraction_probability_uniform",
    "varentropy_rate",
]

_MOST = 20_000  # pairs of a prefix and a suffix probability


def draws_needed(draw_probability: ArrayLike, probability: ArrayLike) -> Any:
    """Return the number of draws after which a suffix was drawn with a given probability.

    n = log(1 - p) / log(1 - p_z)

    Parameters
    ----------
    draw_probability : number or array in (0, 1]; p_z, that one draw gives the suffix.
    probability : number or array in [0, 1); p, that one of n draws does.

    Returns
    -------
    Broadcast shape, >= 0, not rounded: the next whole number is enough.

    Raises
    ------
    ValueError for a probability out of range or shapes that do not fit.

    Unit: draws (a number).

    Source: Hayes et al. 2024 (arXiv:2410.19482), (n, p)-discoverable extraction.

    >>> round(draws_needed(1e-3, 0.5), 2)
    692.8
    """
    once, wanted = broadcast_iv(
        draw_probability=real_iv("draw_probability", draw_probability, CHANCE),
        probability=real_iv("probability", probability, Interval(0.0, 1.0, open_high=True)),
    )
    with np.errstate(divide="ignore"):
        return bare(np.log1p(-wanted) / np.log1p(-once) + 0.0)


def extraction_probability(
    draws: ArrayLike,
    transition: ArrayLike,
    prefix_len: int,
    suffix_len: int,
    *,
    initial: ArrayLike | None = None,
    sampler: Literal["serial", "one_step"] = "serial",
) -> Any:
    """Return the mean extraction probability of sequences of a Markov chain from its own law.

    sum_a pi_a sum_s p(s | a) [1 - (1 - p_z)^n],   a the last token of the prefix, s the suffix,
    with p_z = p(s | a) for draws token by token, and the product of p(s_j | a) over its tokens for
    draws of all at once, each blind to the others.

    Parameters
    ----------
    draws : number or array, n >= 1.
    transition : (V, V) law of the next token, one row for each token.
    prefix_len, suffix_len : int, >= 1; tokens shown and tokens to be drawn.
    initial : (V,) law of the first token; None for the stationary law of the chain.
    sampler : "serial", one token at a time, which is exact; "one_step", all in one parallel step.

    Returns
    -------
    Shape of `draws`, in [0, 1].

    Raises
    ------
    ValueError for an argument out of range, and for a suffix with more than 2 million different
    probabilities.

    Notes
    -----
    Sums over suffixes with equal p_z at once; for draws token by token these are those with the
    same number of each transition.

    Unit: dimensionless, probability per sequence.

    Source: Hayes et al. 2024 (arXiv:2410.19482) for the measure; checked by enumeration in
    tests/am_theory/test_extraction.py.

    >>> chain = [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]
    >>> round(extraction_probability(10, chain, 1, 4), 8)
    0.32098245
    >>> round(extraction_probability(10, chain, 1, 4, sampler="one_step"), 8)
    0.19494018
    """
    choice_iv("sampler", sampler, ("serial", "one_step"))
    count = real_iv("draws", draws, DRAWS)
    matrix, law, seen, hidden = _chain_iv(transition, initial, prefix_len, suffix_len)
    last = law @ np.linalg.matrix_power(matrix, seen - 1)
    if sampler == "serial":
        parts = [joined(walked(starts_given(last), matrix, [matrix] * hidden))]
    else:
        powers = [np.linalg.matrix_power(matrix, j) for j in range(1, hidden + 1)]
        parts = []
        for token, own in enumerate(np.diag(last)):
            blind = [np.tile(power[token], (len(law), 1)) for power in powers]
            parts.append(joined(walked(starts_given(own), matrix, blind)))
    values = [sum(extracted(n, np.exp(q)) @ weight for q, weight in parts) for n in count.flat]
    return finish(np.reshape(values, count.shape), 1.0)


def extraction_probability_stored(
    draws: ArrayLike,
    train_size: ArrayLike,
    transition: ArrayLike,
    prefix_len: int,
    suffix_len: int,
    *,
    initial: ArrayLike | None = None,
    weight: float = 1.0,
) -> Any:
    """Return the mean extraction probability of stored sequences of a Markov chain.

    E [1 - (1 - p_z)^n],   p_z = (w c / K + (1 - w) p(x)) / (w N / K + (1 - w) p(prefix)),
    N - 1 ~ Bin(K - 1, p(prefix)) of the other stored sequences share the prefix, and of those
    c - 1 ~ Bin(N - 1, p(suffix | prefix)) are copies of x; averaged over x from the chain.

    Parameters
    ----------
    draws : number or array, n >= 1.
    train_size : whole number or array, K >= 1; sequences drawn from the chain and stored.
    transition, prefix_len, suffix_len, initial : as `extraction_probability`.
    weight : number in (0, 1]; w, the model draws from the store with probability w and from the
        chain otherwise. At 1 the store alone, p_z = c / N.

    Returns
    -------
    Broadcast shape, in [0, 1].

    Raises
    ------
    ValueError for an argument out of range, and where prefix and suffix have more than 20000
    different pairs of probabilities.

    Notes
    -----
    Take `extraction_probability` off to see what the store adds: likely sequences are extracted
    whether they are stored or not. At n = 1 it never takes away; at large n it may, as p_z scatters
    between stores. At n = 1 and w = 1 the value is E[1/N] + (1 - E[1/N]) sum_s p(s | prefix)^2.

    Unit: dimensionless, probability per stored sequence.

    Source: Hayes et al. 2024 (arXiv:2410.19482) for the measure; checked by simulation in
    tests/am_theory/test_extraction.py.

    >>> chain = [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]
    >>> round(extraction_probability_stored(5, 20, chain, 3, 2), 8)
    0.94647053
    """
    matrix, law, seen, hidden = _chain_iv(transition, initial, prefix_len, suffix_len)
    count, size, share = store_iv(draws, train_size, weight)
    prefixes = walked(starts(law), matrix, [matrix] * (seen - 1))
    pairs = []
    for state, (log_p, chance) in enumerate(prefixes):
        own = np.eye(len(law))[state]
        log_s, given = joined(walked(starts_given(own), matrix, [matrix] * hidden))
        pairs.append((np.exp(log_p), chance, np.exp(log_s), given))
    number = sum(chance.size * given.size for _, chance, _, given in pairs)
    if number > _MOST:
        raise ValueError(
            f"Prefix and suffix must have at most {_MOST} pairs of probabilities; got {number}. "
            "Shorten them."
        )

    def one(n: float, stored: float) -> float:
        total = 0.0
        for shown, chance, rest, given in pairs:
            for p, p_weight in zip(shown, chance, strict=True):
                found = [from_store(n, stored, p, s, share) for s in rest]
                total += p_weight * float(given @ found)
        return total

    values = [one(*pair) for pair in zip(count.flat, size.flat, strict=True)]
    return finish(np.reshape(values, count.shape), 1.0)


def extraction_probability_uniform(
    draws: ArrayLike,
    train_size: ArrayLike,
    prefix_len: int,
    vocab_size: int,
    *,
    suffix_len: int | None = None,
    weight: float = 1.0,
) -> Any:
    """Return the mean extraction probability of stored sequences of independent uniform tokens.

    E [1 - (1 - 1/N)^n],   N - 1 ~ Bin(K - 1, V^-m); as `extraction_probability_stored` with
    p(prefix) = V^-m and p(suffix | prefix) = V^-M, the copies left out where M is not given.

    Parameters
    ----------
    draws : number or array, n >= 1.
    train_size : whole number or array, K >= 1.
    prefix_len : int, m >= 0; tokens shown.
    vocab_size : int, V >= 2.
    suffix_len : int, M >= 1, tokens to be drawn; None for so many that no sequence is stored twice.
    weight : number in (0, 1]; as `extraction_probability_stored`.

    Returns
    -------
    Broadcast shape, in [0, 1].

    Raises
    ------
    ValueError for an argument out of range or shapes that do not fit.

    Notes
    -----
    At n = 1 the mean of 1/N, which is retrieval from an erased query with m tokens left.

    Unit: dimensionless, probability per stored sequence.

    Source: as `extraction_probability_stored`.

    >>> round(extraction_probability_uniform(10, 200, 2, 4), 8)
    0.55368245
    """
    vocab, seen = vocab_size_iv(vocab_size), whole_iv("prefix_len", prefix_len, 0)
    hidden = np.inf if suffix_len is None else whole_iv("suffix_len", suffix_len, 1)
    count, size, share = store_iv(draws, train_size, weight)
    shown, rest = np.exp(-np.log(vocab) * np.array([seen, hidden]))
    values = [
        from_store(n, stored, shown, rest, share)
        for n, stored in zip(count.flat, size.flat, strict=True)
    ]
    return finish(np.reshape(values, count.shape), 1.0)


def _chain_iv(transition: Any, initial: Any, prefix_len: Any, suffix_len: Any) -> tuple[Any, ...]:
    matrix = transition_iv(transition)
    lengths = whole_iv("prefix_len", prefix_len, 1), whole_iv("suffix_len", suffix_len, 1)
    return matrix, start_iv(initial, matrix), *lengths
