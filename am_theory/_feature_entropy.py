"""Entropy of the law that the outputs of a random-feature denoiser stand for (private).

`am_theory.random_feature_denoiser` hands this function on. Averages of log Z, with Z a sum of V
log-normal numbers, are one-dimensional for any V: with E an exponential variable, P(log E - log Z >
y) = E exp(-Z e^y) is a product over the V numbers.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from am_theory._feature_inputs import grid_iv, resolved_iv
from am_theory._feature_moments import Activation
from am_theory._feature_recovery import Outputs, outputs_of
from am_theory._feature_ridge import solve
from am_theory._gaussian import normal_grid
from am_theory._inputs import Floats, Interval, bare, real_iv
from am_theory._random_patterns import choice_iv
from am_theory.channel import corruption_rate, inverse_temperature


class CalibratedEntropy(NamedTuple):
    """Of the calibrated law of a token: its mean entropy, and its mean loss on the true token."""

    entropy: Any
    cross_entropy: Any


def calibrated_entropy(
    train_size: ArrayLike,
    n_features: ArrayLike,
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    activation: Activation = "erf",
    ridge: ArrayLike = 0.0,
    skip: float | Literal["fit", "full"] = 0.0,
    draws: float = math.inf,
    law: Literal["loo", "full"] = "loo",
    split: Literal["train", "test"] = "train",
) -> CalibratedEntropy:
    """Return entropy and cross-entropy of a random-feature denoiser calibrated on its training set.

    Outputs become a law of the token by Bayes' rule for their Gaussian law on training sequences,
    b_0 u + g u_t + tau' z as in `token_recovery`: with beta of `channel.inverse_temperature`,

    log p(v) = const + (b_0 / tau'^2) (output - g u_t) . u_v   ["loo"; "full" adds beta 1{v = x_t}].

    With s^2 = V b_0^2 / tau'^2 and zeta_v independent normal variables, the logits are

    train: s^2 1{v = x_0} + s zeta_v,   test: (b_0 sqrt(V) tau / tau'^2) zeta_v   [+ beta 1{...}].

    Parameters
    ----------
    train_size, n_features, seq_len, vocab_size, activation, ridge, skip, draws : as for `errors`.
    alpha : number or array in [1e-6, 1 - 1e-6]; probability that a token is kept.
    law : "loo", the law of a token given the other sites' noisy ones, or "full", given its own too.
    split : "train", sequences seen in training with fresh noise; "test", unseen ones.

    Returns
    -------
    CalibratedEntropy of the broadcast shape, both >= 0.

    Raises
    ------
    ValueError for an argument out of range, shapes that do not fit, an unknown choice, or
    skip="full" with no more noisy sequences than dimensions.

    Notes
    -----
    Iid uniform source. On training sequences the two are equal, since the law is the true posterior
    of the Gaussian outputs; on unseen ones the entropy is small too while the cross-entropy is
    large. Both tend to log V ("loo") or to the entropy of the channel with K. Deviations from
    simulation fall as 1 / d, since what a sequence recalls varies with its changed tokens: at
    d = 96, K = 150, p = 384, relu, they are -0.012 and 0.047 for training sequences, -0.006 and
    -0.05 (of 3.2) for unseen ones. Entropies below 0.05 are under-estimated. A plain softmax of the
    output has another temperature, and the loo entropy of a network as t -> 0 is not this one.
    Trapezoid rules, to 1e-9; cost 20 ms an element, 50 ms with "full".

    Unit: nats a token

    Source: Gaussian law of the outputs as in `token_recovery`; average of log Z by an exponential
    variable, both held to sampling in tests/am_theory/test_feature_entropy.py.

    >>> result = calibrated_entropy(300, 768, 64, 4, 0.8, ridge=1e-3)
    >>> round(result.entropy, 4), round(result.cross_entropy, 4)
    (0.4805, 0.4805)
    """
    choice_iv("law", law, ("loo", "full"))
    choice_iv("split", split, ("train", "test"))
    grid = resolved_iv(
        grid_iv(
            train_size,
            n_features,
            seq_len,
            vocab_size,
            real_iv("alpha", alpha, Interval(1e-6, 1 - 1e-6)),
            activation=activation,
            ridge=ridge,
            skip=skip,
            draws=draws,
        )
    )

    def both(problem: Any, k: float) -> tuple[float, float]:
        outputs = outputs_of(solve(problem, k))
        return _entropies(outputs, problem.alpha, grid.vocab, law == "full", split == "train")

    return CalibratedEntropy(
        *map(bare, np.vectorize(both, otypes=[float, float])(grid.problems, grid.k))
    )


def _entropies(
    outputs: Outputs, alpha: float, vocab: int, own: bool, train: bool
) -> tuple[float, float]:
    memory, narrow, wide = (
        float(x) for x in (outputs.memory, outputs.train_width, outputs.heldout_width)
    )
    signal = math.sqrt(vocab) * memory / max(narrow, 1e-100)
    changed = float(corruption_rate(alpha, vocab)) if own else 0.0
    beta = float(inverse_temperature(alpha, vocab)) if own else 0.0
    if train:
        s = min(signal, _CERTAIN)
        kept = LogSum(s, [(s**2 + beta, 1), (0.0, vocab - 1)])
        other = LogSum(s, [(s**2, 1), (beta, 1), (0.0, vocab - 2)]) if own else kept
        mean = (1 - changed) * kept.mean + changed * other.mean
        # The law is the posterior, so that its entropy is its loss on the true token.
        loss = max(mean - s**2 - (1 - changed) * beta, 0.0)
        return loss, loss
    sigma = min(signal * (wide / max(narrow, 1e-100)), 1e100)
    found = LogSum(sigma, [(beta, 1), (0.0, vocab - 1)])
    loss = found.mean - (1 - changed) * beta
    return max(found.mean - found.logit, 0.0), loss


_CERTAIN = 60.0  # s beyond which the entropy of any law, e^(-s^2 / 4) V, is nothing


class LogSum:
    """Averages over Z = sum_v e^(l_v), l_v independent normal of one width and given centres.

    `mean` : of log Z. `logit` : of sum_v (e^(l_v) / Z) l_v.
    """

    def __init__(self, width: float, centres: list[tuple[float, int]]) -> None:
        count = sum(number for _, number in centres)
        top = max(centre for centre, _ in centres)
        step = 0.3 * math.hypot(1, width) / math.sqrt(1 + math.log(count))
        reach = 9.5 * width + 36
        low = math.floor(-(reach + top + math.log(count)) / step)
        y = (np.arange(low, math.ceil(reach / step), dtype=np.float64) + 0.5) * step
        log_survival, slope = np.zeros_like(y), np.zeros_like(y)
        for centre, number in centres:
            survival, by_width, by_centre = _survival(y + centre, width)
            log_survival += number * np.log(np.maximum(survival, 1e-300))
            slope += number * (by_width + centre * by_centre) / np.maximum(survival, 1e-300)
        all_ = np.exp(log_survival)
        # The step at y = 0 lies half-way between two nodes, where the rule is exact for it.
        self.mean = -np.euler_gamma + step * float(np.sum((y < 0) - all_))
        self.logit = -step * float(np.sum(all_ * slope))


def _survival(y: Floats, width: float) -> tuple[Floats, Floats, Floats]:
    """E exp(-e^(y + width z)), and its derivatives by log(width) and by y."""
    if width < 1:
        z, weights = normal_grid(401)
        x = y[:, None] + width * z
        decay = np.exp(np.minimum(x, 700.0))
        survival, slope = np.exp(-decay), -np.exp(np.minimum(x, 700.0) - decay)
        return survival @ weights, slope @ (weights * width * z), slope @ weights
    # The same as the probability that log E - width z > y, by the law of log E.
    g = np.arange(-36.0, 4.5, 0.1)
    weights = np.exp(g - np.exp(g))
    weights /= weights.sum()
    z = (g - y[:, None]) / width
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return ndtr(z) @ weights, -(z * density) @ weights, -density @ weights / width
