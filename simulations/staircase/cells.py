"""What one cell of the study of degrees measures, as raw numbers per set and network."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from am_theory.staircase import network_kernel
from models.noise import noise
from models.streams import stream
from simulations.staircase.config import DEGREES, StaircaseConfig, fit_sizes
from simulations.staircase.functions import functions, random_functions

TARGETS = 24  # random functions of each degree that share a kernel matrix
TESTS = 400  # held-out sequences of kernel regression
ERROR = {"units": "1", "long_name": "squared error over the variance of the target"}


def compute(config: StaircaseConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell."""
    kind = coordinates["kind"]
    cell = {
        "regression": regression,
        "orders": orders,
        "degrees": degrees,
        "memory": memory,
    }[kind]
    rng = stream(config.root_seed, *coordinates.values())
    return cell(config, rng, coordinates)


def regression(
    config: StaircaseConfig, rng: np.random.Generator, coordinates: dict[str, Any]
) -> xr.Dataset:
    """Held-out error of kernel regression by K and degree of the target, of one training set."""
    vocab_size, seq_len = config.kernel_size
    kernel = network_kernel(seq_len, n_blocks=config.n_blocks)
    tokens = rng.integers(vocab_size, size=(max(config.sizes) + TESTS, seq_len))
    target = np.stack(
        [random_functions(rng, tokens, vocab_size, degree, TARGETS) for degree in DEGREES]
    )
    apart = (tokens[:, None] != tokens[None]).sum(-1, dtype=np.uint8)
    table = np.zeros((len(config.sizes), len(DEGREES)))
    for i, size in enumerate(config.sizes):
        inner = kernel[apart[:size, :size]] + config.ridge * np.eye(size)
        cross = kernel[apart[-TESTS:, :size]] @ np.linalg.inv(inner)
        table[i] = ((cross @ target[:, :size] - target[:, -TESTS:]) ** 2).mean((1, 2))
    return xr.Dataset(
        {"error": (("size", "degree"), table, ERROR)},
        {"size": list(config.sizes), "degree": list(DEGREES)},
    )


def orders(
    config: StaircaseConfig, rng: np.random.Generator, coordinates: dict[str, Any]
) -> xr.Dataset:
    """Train error, on fresh noise, of denoisers fitted in all functions up to a degree, (set,
    ratio)."""
    order, seq_len = coordinates["order"], coordinates["seq_len"]
    sizes = fit_sizes(config, order, seq_len)

    def features(tokens: Any) -> Any:
        return np.concatenate([functions(tokens, 2, j) for j in range(1, order + 1)], axis=1)

    table = np.zeros((config.sets, len(sizes)))
    for s in range(config.sets):
        for i, size in enumerate(sizes):
            clean = rng.integers(2, size=(size, seq_len))
            copies: Any = np.repeat(
                clean, math.ceil(config.pairs * features(clean[:1]).size / size), axis=0
            )
            inputs = features(noise(rng, copies, config.alpha, 2))
            target = functions(copies, 2, 1)
            readout = np.linalg.solve(inputs.T @ inputs, inputs.T @ target)
            fresh = features(noise(rng, copies, config.alpha, 2))
            table[s, i] = ((fresh @ readout - target) ** 2).mean()
    return xr.Dataset(
        {
            "error": (("set", "ratio"), table, ERROR),
            "train_size": ("ratio", sizes, {"units": "sequences"}),
        }
    )


def degrees(
    config: StaircaseConfig, rng: np.random.Generator, coordinates: dict[str, Any]
) -> xr.Dataset:
    """Error of networks that learn random functions of each degree from unlimited data: site i has
    one of degree 1 + i mod 3. (seed, reading, degree), exact over all sequences."""
    import jax
    import jax.numpy as jnp

    from simulations.staircase.networks import outputs

    vocab_size, seq_len = config.degrees_size
    every = np.indices((vocab_size,) * seq_len).reshape(seq_len, -1).T
    wanted = np.zeros((config.seeds, *every.shape, vocab_size))
    degree_of = np.array([DEGREES[i % len(DEGREES)] for i in range(seq_len)])
    direction = np.zeros(vocab_size)
    direction[:2] = 2**-0.5, -(2**-0.5)
    for part in wanted:
        for i, degree in enumerate(degree_of):
            values = random_functions(rng, every, vocab_size, int(degree), 1)
            part[:, i] = values * direction
    x = jnp.asarray(every, jnp.int32)

    def draw(target: Any, key: Any) -> Any:
        rows = jax.random.randint(key, (config.batch,), 0, len(every))
        return x[rows], target[rows]

    def read(model: Any, target: Any) -> Any:
        by_site = ((outputs(model, x, config.alpha) - target) ** 2).sum(-1).mean(0)
        return jnp.stack([by_site[degree_of == degree].mean() for degree in DEGREES])

    table = _train(config, rng, coordinates, jnp.asarray(wanted, jnp.float32), draw, read)
    return xr.Dataset({"error": (("seed", "reading", "degree"), table, ERROR)})


def memory(
    config: StaircaseConfig, rng: np.random.Generator, coordinates: dict[str, Any]
) -> xr.Dataset:
    """Errors of networks that denoise K stored sequences, on fresh noise, (train_size, seed,
    reading, split)."""
    import jax
    import jax.numpy as jnp

    from simulations.staircase.networks import code, noisy, outputs

    vocab_size, seq_len = config.memory_size
    sizes = np.repeat(config.train_sizes, config.seeds)
    most, queries = max(config.train_sizes), config.queries
    tokens = rng.integers(vocab_size, size=(len(sizes), most + queries, seq_len), dtype=np.int32)
    keys = jax.random.split(jax.random.key(int(rng.integers(2**31))), len(sizes))

    def draw(data: Any, key: Any) -> Any:
        k_rows, k_noise = jax.random.split(key)
        x_0 = data[0][jax.random.randint(k_rows, (config.batch,), 0, data[2])]
        return noisy(k_noise, x_0, config.alpha, vocab_size), code(x_0, vocab_size)

    def read(model: Any, data: Any) -> Any:
        rows = jnp.arange(queries)
        asked = data[0][jnp.concatenate([rows % data[2], most + rows])]
        x_t = noisy(data[1], asked, config.alpha, vocab_size)
        gap = outputs(model, x_t, config.alpha) - code(asked, vocab_size)
        return (gap**2).sum((1, 2)).reshape(2, queries).mean(1) / (seq_len * (vocab_size - 1))

    data = jnp.asarray(tokens), keys, jnp.asarray(sizes, jnp.int32)
    table = _train(config, rng, coordinates, data, draw, read)
    table = table.reshape(len(config.train_sizes), config.seeds, *table.shape[1:])
    return xr.Dataset(
        {"error": (("train_size", "seed", "reading", "split"), table, ERROR)},
        {"train_size": list(config.train_sizes), "split": ["train", "test"]},
    )


def _train(
    config: StaircaseConfig,
    rng: np.random.Generator,
    coordinates: dict[str, Any],
    data: Any,
    draw: Any,
    read: Any,
) -> Any:
    from simulations.staircase.networks import make, method_of, trained

    kind, method, width = (coordinates[name] for name in ("kind", "method", "width"))
    shape = config.degrees_size if kind == "degrees" else config.memory_size
    rate = config.learning_rate(kind, method, width)
    optimizer = method_of(method, rate)
    count = config.seeds * (len(config.train_sizes) if kind == "memory" else 1)
    models = [make(int(rng.integers(2**31)), *shape, width, config.n_blocks) for _ in range(count)]
    seed, steps = int(rng.integers(2**31)), config.steps(kind, method, width)
    alone = method == "readout"
    return trained(models, optimizer, alone, data, draw, read, seed, steps, config.alpha)
