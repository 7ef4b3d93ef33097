"""Losses of denoisers as the curvature takes them: functions of flat parameters and noisy inputs.

Each loss is one per effective dimension (`linear`) or in nats a token (all others). Their
effective dimensions at the uniform iid law, where it is known, stand beside them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from am_theory import random_feature_denoiser
from am_theory.channel import Channel
from models.networks.linear_filter import token_code
from models.networks.products import matmul
from models.training.loss import corrupt, noised, pick
from simulations.curvature.effective_dimension import Objective


class Inputs(NamedTuple):
    """Clean and noisy tokens (n, L), levels (n,), and the weights (n, L) of the sites: a row's
    loss is the weighted sum of - log loo."""

    x_0: Any
    x_t: Any
    t: Any
    weights: Any


@lru_cache(maxsize=8)
def linear(vocab_size: int) -> Objective:
    """|u - W u_t|^2 / d, codes u of `models.networks.linear_filter`; theta is W (d, d), flat."""
    code = jnp.asarray(token_code(vocab_size), jnp.float32)

    def encoded(tokens: Any) -> Any:
        return code[tokens].reshape(len(tokens), -1)

    def output(theta: Any, inputs: Inputs) -> Any:
        u_t = encoded(inputs.x_t)
        return matmul(u_t, theta.reshape(u_t.shape[1], -1).T)

    return Objective(output, lambda z, inputs: jnp.mean((encoded(inputs.x_0) - z) ** 2, axis=1))


def linear_dimension(seq_len: int, vocab_size: int, alpha: Any) -> Any:
    """d_eff of `linear` on independent uniform tokens, exact at every L and V:

    2 a^2 (1 - a^2)^2 (L - 1) (V - 1) + 2 a^2 (1 - a)^2 (V - 2),

    pairs of sites and the own site. At W = a the gradient of an entry (i, j) is, averaged over
    noise, - (2/d) a (1 - a^2) u_i u_j between sites and - (2/d) a (1 - a) (u_i u_j - 1[i = j]) in
    one; H is 2/d on every entry.

    >>> round(linear_dimension(8, 4, 0.5), 6)
    6.15625
    """
    between = (1 - alpha**2) ** 2 * (seq_len - 1) * (vocab_size - 1)
    return 2 * alpha**2 * (between + (1 - alpha) ** 2 * (vocab_size - 2))


def random_features(vocab_size: int, weights: Any) -> Objective:
    """|u - A erf(W u_t / sqrt(d))|^2 / d of `models.networks.random_features`, without a skip;
    weights : W / sqrt(d), (p, d). theta is A (d, p), flat. A ridge on |A|^2 adds 2 ridge / d to H.
    """
    code = jnp.asarray(token_code(vocab_size), jnp.float32)
    first = jnp.asarray(weights, jnp.float32).T

    def output(theta: Any, inputs: Inputs) -> Any:
        u_t = code[inputs.x_t].reshape(len(inputs.x_t), -1)
        hidden = jax.scipy.special.erf(matmul(u_t, first))
        return matmul(hidden, theta.reshape(-1, hidden.shape[1]).T)

    return Objective(output, linear(vocab_size).losses)


def random_feature_dimension(
    seq_len: int, vocab_size: int, alpha: Any, n_features: int, ridge: float
) -> Any:
    """d_eff of `random_features` on independent uniform tokens, by theory for L (V - 1) to
    infinity: K times the gap c_m (1 - kappa^-2), at so large a K that it is the limit."""
    size = 1e6 * n_features
    found = random_feature_denoiser.errors(
        size, n_features, seq_len, vocab_size, alpha, activation="erf", ridge=ridge
    )
    return size * (np.asarray(found.heldout) - found.train)


def cross_entropy(logits: Any, inputs: Inputs) -> Any:
    """Weighted cross-entropy (n,) of logits (n, L, V)."""
    return -jnp.sum(inputs.weights * pick(jax.nn.log_softmax(logits), inputs.x_0), axis=1)


@lru_cache(maxsize=8)
def pairwise(vocab_size: int, seq_len: int) -> tuple[Objective, int]:
    """Conditional laws with fields and pair couplings, and the number of their parameters:

    loo_i = softmax(b_i + sum_{j != i} W_ij[x_t^j]), theta = (W (LV, LV), b (LV,)), flat.

    It has (L V)^2 + L V parameters, of which L (V - 1) + L (L - 1) (V - 1)^2 count: the others
    (couplings of a site with itself, common shifts of logits, shifts between fields and couplings)
    change no law.
    """
    width = seq_len * vocab_size
    site = jnp.arange(width) // vocab_size

    def output(theta: Any, inputs: Inputs) -> Any:
        couplings = jnp.where(site[:, None] == site, 0.0, theta[:-width].reshape(width, width))
        tokens = jax.nn.one_hot(inputs.x_t, vocab_size).reshape(-1, width)
        logits = matmul(tokens, couplings) + theta[-width:]
        return logits.reshape(-1, seq_len, vocab_size)

    return Objective(output, cross_entropy), width * (width + 1)


def pairwise_dimension(seq_len: int, vocab_size: int, alpha: Any, other: Any = None) -> Any:
    """d_eff in nats a token of `pairwise` on independent uniform tokens:

    a a' (L - 1) (V - 1)^2 + (V - 1).

    The gradient of a coupling is a field's times u_t^j, of which noise leaves a u^j on average,
    H is that of the fields times 1. The fields see no noise. alpha : a, of the level at which the
    gap is read. other : a', the mean over the levels of training, by their weights in the loss; a
    itself by default.

    >>> float(pairwise_dimension(8, 4, 0.5)), round(float(pairwise_dimension(8, 4, 0.5, 0.6)), 9)
    (18.75, 21.9)
    """
    trained = alpha if other is None else other
    return np.asarray(alpha) * trained * (seq_len - 1) * (vocab_size - 1) ** 2 + (vocab_size - 1)


def network(model: Any) -> tuple[Objective, Any]:
    """The objective of a network's `log_loo` and its parameters (p,), flat.

    As the common shift of a site's logits has no curvature, log_loo serves as logits. Networks of
    one shape have one objective: what is compiled for one serves all.
    """
    params, static = eqx.partition(model, eqx.is_inexact_array)
    leaves, tree = jax.tree.flatten(params)
    shapes = tuple(leaf.shape for leaf in leaves)
    return _network(static, tree, shapes), ravel_pytree(params)[0]


@lru_cache(maxsize=8)
def _network(static: Any, tree: Any, shapes: tuple[tuple[int, ...], ...]) -> Objective:
    zeros = jax.tree.unflatten(tree, [jnp.zeros(shape, jnp.float32) for shape in shapes])
    unravel = ravel_pytree(zeros)[1]

    def output(theta: Any, inputs: Inputs) -> Any:
        return eqx.combine(unravel(theta), static).log_loo(inputs.x_t, inputs.t)

    return Objective(output, cross_entropy)


def at_level(key: Any, x_0: Any, t: float, schedule: Any, channel: Channel) -> Inputs:
    """Inputs of one noise level whose loss is the cross-entropy of resampled sites, nats a token.

    Kept sites do not count, as in the loss `loo`: weights are 1[resampled] / ((1 - alpha) L).
    """
    level = jnp.full(len(x_0), t, jnp.float32)
    alpha = schedule.alpha(level)
    noisy = corrupt(key, x_0, alpha, channel)
    share = jnp.sqrt(jnp.maximum((1 - alpha) * x_0.shape[1], 1.0))
    weights = noisy.weights * share[:, None] / ((1 - alpha) * x_0.shape[1])[:, None]
    return Inputs(x_0, noisy.x_t, level, weights)


def as_trained(key: Any, x_0: Any, schedule: Any, channel: Channel) -> Inputs:
    """Inputs of the training loss `loo`: levels of the whole interval, weights as in training."""
    k_level, k_noise = jax.random.split(key)
    uniforms = jax.random.uniform(k_level, (len(x_0),))
    noisy, t = noised(k_noise, x_0, uniforms, schedule, channel, "loo")
    return Inputs(x_0, noisy.x_t, t, noisy.weights / x_0.shape[1])


def every_site(x_0: Any, x_t: Any) -> Inputs:
    """Inputs whose loss is the mean over all sites, for models without own tokens and levels."""
    return Inputs(x_0, x_t, jnp.ones(len(x_0)), jnp.full(x_0.shape, 1 / x_0.shape[1]))
