"""The compiled steps of training: loss, gradient, optimizer, moving average.

Everything that a step draws follows from the key and the number of the step.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int

from am_theory.channel import Channel
from models.denoiser import channel_of
from models.training.config import TrainConfig
from models.training.data import rows_of_step
from models.training.loss import LOSSES, kept_noise, noised, stratified

KEPT = 2**31  # the key of kept noise, apart from those of the steps


class StepLog(NamedTuple):
    """Of each step: its loss, nats a token, and the norm of its gradient before clipping."""

    loss: Array
    gradient_norm: Array


def learning_rate(config: TrainConfig) -> optax.Schedule:
    """The rate of each step: a linear rise, then a cosine to 0 or a constant."""
    warmup = min(config.warmup, max(1, config.steps // 5))
    if config.decay == "constant":
        rise = optax.linear_schedule(0.0, config.learning_rate, max(1, warmup))
        return rise if warmup else optax.constant_schedule(config.learning_rate)
    return optax.warmup_cosine_decay_schedule(
        0.0 if warmup else config.learning_rate,
        config.learning_rate,
        warmup,
        max(config.steps, warmup + 1),
    )


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Clipped AdamW with the learning rate of the configuration."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.adamw(
            learning_rate(config), b1=0.9, b2=config.beta2, weight_decay=config.weight_decay
        ),
    )


def cast(params: Any, config: TrainConfig) -> Any:
    """Weights in the type that products are computed in."""
    if config.compute == "float32":
        return params
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16) if eqx.is_inexact_array(x) else x, params)


def fresh_noise(
    static: Any, config: TrainConfig, noise: Channel, x_0: Int[Array, "batch L"], key: Array
) -> tuple[Any, Array]:
    """Noisy tokens of a batch and their levels, drawn for the batch as a whole."""
    k_level, k_noise = jax.random.split(key)
    uniforms = stratified(k_level, config.batch)
    return noised(k_noise, x_0, uniforms, static.schedule, noise, config.loss)


def value_and_gradient(
    params: Any,
    static: Any,
    config: TrainConfig,
    x_0: Int[Array, "batch L"],
    noise: tuple[Any, Array],
    key: Array,
) -> tuple[Array, Any]:
    """Loss of a batch, given its noisy tokens and levels, and its gradient, computed in
    `config.accumulate` parts."""
    noisy, t = noise
    k_drop = jax.random.fold_in(key, 2) if getattr(static, "dropout", 0.0) > 0 else None

    def loss(params: Any, part: Any, k: Array | int) -> Array:
        model = eqx.combine(cast(params, config), static)
        drop = None if k_drop is None else jax.random.fold_in(k_drop, k)
        return jnp.mean(LOSSES[config.loss](model, *part, drop))

    whole = (noisy, x_0, t)
    if config.accumulate == 1:
        return jax.value_and_grad(loss)(params, whole, 0)
    n = config.accumulate
    # row r goes to part r mod n, so that each part has levels from the whole interval
    parts = jax.tree.map(lambda a: a.reshape(-1, n, *a.shape[1:]).swapaxes(0, 1), whole)

    def add(total: Any, part: Any) -> tuple[Any, None]:
        found = jax.value_and_grad(loss)(params, *part)
        return jax.tree.map(lambda a, b: a + b / n, total, found), None

    nothing = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
    return jax.lax.scan(add, nothing, (parts, jnp.arange(n)))[0]


@partial(
    jax.jit, static_argnames=("static", "config", "n_steps", "mesh", "members"), donate_argnums=(0,)
)
def run_steps(
    state: Any,
    static: Any,
    config: TrainConfig,
    n_steps: int,
    key: Array,
    first_step: Array,
    stored: Int[Array, "K_max L"] | None,
    train_size: Array,
    rows: Int[Array, "n_steps batch L"] | None = None,
    mesh: Mesh | None = None,
    members: bool = False,
) -> tuple[Any, StepLog]:
    """`n_steps` optimizer steps; state = (params, ema, optimizer state).

    Sequences come from `stored`, or were gathered before as `rows`. With `members` the state, the
    key, the size and a three-dimensional store have a leading axis, one entry a member.
    """
    optimizer = make_optimizer(config)

    def member(state: Any, key: Array, train_size: Array, stored: Any, k: Array, rows: Any) -> Any:
        params, ema, opt_state = state
        k_batch, k_loss = jax.random.split(jax.random.fold_in(key, k))
        index = rows_of_step(k_batch, config.batch, train_size)
        x_0 = (stored[index] if rows is None else rows).astype(jnp.int32)
        if mesh is not None:
            x_0 = jax.lax.with_sharding_constraint(
                x_0, NamedSharding(mesh, PartitionSpec(*mesh.axis_names))
            )
        kind = channel_of(eqx.combine(params, static))
        if config.noise_draws:
            copy = jax.random.randint(
                jax.random.fold_in(k_loss, 3), (config.batch,), 0, config.noise_draws
            )
            drawn = (config.noise_draws, x_0, static.schedule, kind, config.loss)
            noise = kept_noise(jax.random.fold_in(key, KEPT), index, copy, *drawn)
        else:
            noise = fresh_noise(static, config, kind, x_0, k_loss)
        value, grads = value_and_gradient(params, static, config, x_0, noise, k_loss)
        norm = optax.tree.norm(grads)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        decay = jnp.minimum(config.ema_decay, (1.0 + k) / (10.0 + k))
        ema = jax.tree.map(lambda e, p: decay * e + (1 - decay) * p, ema, params)
        return (params, ema, opt_state), StepLog(value, norm)

    def step(state: Any, x: Any) -> Any:
        k, rows = x
        if not members:
            return member(state, key, train_size, stored, k, rows)
        axes = (0, 0, 0, 0 if stored is not None and stored.ndim == 3 else None, None, None)
        return jax.vmap(member, in_axes=axes)(state, key, train_size, stored, k, rows)

    return jax.lax.scan(step, state, (first_step + jnp.arange(n_steps), rows))


@partial(jax.jit, static_argnames=("config", "members"))
def start(params: Any, config: TrainConfig, members: bool = False) -> Any:
    """Fresh buffers for parameters, EMA and optimizer state, by one compiled program."""
    copies = [jax.tree.map(jnp.copy, params) for _ in range(2)]
    init = make_optimizer(config).init
    return (*copies, jax.vmap(init)(params) if members else init(params))


@partial(jax.jit, static_argnames=("batch", "n_steps"))
def rows_ahead(key: Array, first: Array, batch: int, n_steps: int, train_size: Array) -> Array:
    """Row indices (n_steps, batch) of the steps from `first` on, as `run_steps` would draw them."""

    def draw(k: Array) -> Array:
        return rows_of_step(jax.random.split(jax.random.fold_in(key, k))[0], batch, train_size)

    return jax.lax.map(draw, first + jnp.arange(n_steps))
