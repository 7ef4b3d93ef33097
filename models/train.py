"""One compiled training loop that serves every training-set size.

The stored sequences are padded to the largest size and the size is an ordinary
argument, so that a sweep over K compiles once. Deterministic given the key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from models.loss import LOSSES, corrupt, levels
from models.tokens import check_tokens
from models.train_config import TrainConfig

STEPS_PER_CALL = 250  # between checks for NaN and progress


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; the message names the steps between which it did."""


@dataclass(frozen=True)
class Trained:
    """A trained model (EMA weights) and its loss, mean over each block of steps, nats a token."""

    model: Any
    losses: NDArray[np.float64]
    steps: int


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Clipped AdamW; warm-up and cosine as in the configuration."""
    warmup = min(config.warmup, max(1, config.steps // 5))
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, warmup, max(config.steps, warmup + 1)
    )
    return optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.adamw(rate, b1=0.9, b2=0.99, weight_decay=config.weight_decay),
    )


@partial(jax.jit, static_argnames=("static", "config", "n_steps"), donate_argnums=(0,))
def _run(
    state: Any,
    static: Any,
    config: TrainConfig,
    n_steps: int,
    key: Array,
    first_step: Array,
    stored: Int[Array, "K_max L"],
    train_size: Array,
) -> tuple[Any, Float[Array, " n_steps"]]:
    """`n_steps` optimizer steps; state = (params, ema, optimizer state)."""
    optimizer = make_optimizer(config)
    loss_of = LOSSES[config.loss]

    def loss(params: Any, x_0: Array, key: Array) -> Array:
        model = eqx.combine(params, static)
        k_level, k_noise = jax.random.split(key)
        t = levels(k_level, config.batch, config.loss)
        alpha = model.schedule.alpha(t)
        noisy = corrupt(k_noise, x_0, alpha, model.vocab_size, force=config.loss == "loo")
        return jnp.mean(loss_of(model, noisy, x_0, t))

    def step(state: Any, k: Array) -> tuple[Any, Array]:
        params, ema, opt_state = state
        k_batch, k_loss = jax.random.split(jax.random.fold_in(key, k))
        chosen = jax.random.randint(k_batch, (config.batch,), 0, train_size)
        value, grads = jax.value_and_grad(loss)(params, stored[chosen], k_loss)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        decay = jnp.minimum(config.ema_decay, (1.0 + k) / (10.0 + k))
        ema = jax.tree.map(lambda e, p: decay * e + (1 - decay) * p, ema, params)
        return (params, ema, opt_state), value

    return jax.lax.scan(step, state, first_step + jnp.arange(n_steps))


@partial(jax.jit, static_argnames=("config",))
def _start(params: Any, config: TrainConfig) -> Any:
    """Fresh buffers for parameters, EMA and optimizer state, by one compiled program."""
    copies = [jax.tree.map(jnp.copy, params) for _ in range(2)]
    return (*copies, make_optimizer(config).init(params))


def train(
    key: Array,
    model: Any,
    stored: Int[Array, "K_max L"],
    train_size: int,
    config: TrainConfig,
    on_progress: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train `model` on the first `train_size` rows of `stored` (K_max, L) tokens.

    `on_progress(step, loss)` is called after every block of steps. Raises
    TrainingDiverged, naming the step, when the loss stops being finite.
    """
    checked = check_tokens(stored, model.vocab_size, model.seq_len, "stored")
    if not 1 <= train_size <= len(checked):
        raise ValueError(
            f"`train_size` must lie between 1 and the {len(checked)} stored sequences; "
            f"got {train_size}."
        )
    params, static = eqx.partition(model, eqx.is_array)
    state = _start(params, config)  # copies, donated below; the caller keeps its model
    tokens = jnp.asarray(checked, jnp.int32)
    losses = []
    for first in range(0, config.steps, STEPS_PER_CALL):
        n_steps = min(STEPS_PER_CALL, config.steps - first)
        state, values = _run(
            state, static, config, n_steps, key, jnp.int32(first), tokens, jnp.int32(train_size)
        )
        block = np.asarray(values, dtype=np.float64)
        if not np.isfinite(block).all():
            at = first + int(np.argmin(np.isfinite(block)))
            raise TrainingDiverged(
                f"the training loss became {block[at - first]} at step {at} of {config.steps}; "
                "lower `learning_rate` or raise `warmup`."
            )
        losses.append(block.mean())
        if on_progress is not None:
            on_progress(first + n_steps, float(losses[-1]))
    return Trained(eqx.combine(state[1], static), np.array(losses), config.steps)
