"""Plain MLPs trained on the squared error of their centred logits, read in the course of training.

Tokens are u = sqrt(V) (e_x - 1 / V) per site, of squared length V - 1, and the output is the law's
logits less their mean over tokens: at initialisation its tangent kernel is width times
`am_theory.staircase.network_kernel` in each direction. The loss of a sequence is
|u - output|^2 / 2, errors are per dimension L (V - 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.example_libraries import optimizers
from numpy.typing import NDArray

from am_theory.channel import LogLinear
from models.networks.mlp import PlainMLP

Floats = NDArray[np.float64]


def make(seed: int, vocab_size: int, seq_len: int, width: int, n_blocks: int) -> Any:
    """The network before it is trained; its outputs are 0."""
    return PlainMLP(jax.random.key(seed), vocab_size, seq_len, width, n_blocks)


def outputs(model: Any, x: Any, alpha: float) -> Any:
    """Centred logits (batch, L, V)."""
    law = model.log_loo(x, float(LogLinear().time_at(alpha)))
    return law - law.mean(-1, keepdims=True)


def code(tokens: Any, vocab_size: int) -> Any:
    """u of tokens (batch, L), (batch, L, V)."""
    return vocab_size**0.5 * (jax.nn.one_hot(tokens, vocab_size) - 1 / vocab_size)


def noisy(key: Any, x_0: Any, alpha: float, vocab_size: int) -> Any:
    """Tokens kept with probability alpha, else redrawn."""
    k_kept, k_token = jax.random.split(key)
    kept = jax.random.uniform(k_kept, x_0.shape) < alpha
    return jnp.where(kept, x_0, jax.random.randint(k_token, x_0.shape, 0, vocab_size))


def trained(
    models: Sequence[Any],
    optimizer: optimizers.Optimizer,
    readout_alone: bool,
    data: Any,
    draw: Callable[[Any, Any], tuple[Any, Any]],
    read: Callable[[Any, Any], Any],
    seed: int,
    steps: Sequence[int],
    alpha: float,
) -> Floats:
    """What `read(model, data)` gives of each network after each of `steps`, (network, step, ...).

    `data` has a leading axis over networks; a batch, inputs (batch, L) and targets (batch, L, V),
    is `draw(data of one, key)`. With `readout_alone` all other weights stay as they are.
    """
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
    moved = jax.tree.map(lambda leaf: not readout_alone, stacked)
    moved = eqx.tree_at(lambda m: (m.readout, m.readout_bias), moved, (True, True))
    params, static = eqx.partition(stacked, moved)

    def loss(params: Any, static: Any, x: Any, target: Any) -> Any:
        found = outputs(eqx.combine(params, static), x, alpha)
        return ((found - target) ** 2).sum((1, 2)).mean() / 2

    start, update, weights = optimizer

    @jax.jit
    def advance(state: Any, keys: Any, first: Any, last: Any) -> Any:
        def one(state: Any, static: Any, data: Any, key: Any) -> Any:
            def step(k: Any, state: Any) -> Any:
                batch = draw(data, jax.random.fold_in(key, k))
                return update(k, jax.grad(loss)(weights(state), static, *batch), state)

            return jax.lax.fori_loop(first, last, step, state)

        return jax.vmap(one)(state, static, data, keys)

    reading = jax.jit(jax.vmap(lambda state, s, part: read(eqx.combine(weights(state), s), part)))
    state, done, found = jax.vmap(start)(params), 0, []
    keys = jax.random.split(jax.random.key(seed), len(models))
    for last in steps:
        state = advance(state, keys, done, last)
        found.append(np.asarray(reading(state, static, data), np.float64))
        done = last
    return np.stack(found, axis=1)


def method_of(name: str, rate: float) -> optimizers.Optimizer:
    """Adam as the networks of the other studies have it, or plain gradient descent."""
    return optimizers.adam(rate, b2=0.99) if name == "adam" else optimizers.sgd(rate)
