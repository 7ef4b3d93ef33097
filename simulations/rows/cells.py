"""What the workers of `rows` compute: one dataset per size or case.

Rows under noise are trained on the average over all noise, their fields' noise taken as Gaussian,
and measured on drawn noise; memories see none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize
from scipy.special import expit, log_softmax, roots_hermitenorm

from am_theory.conditional_likelihood import critical_load
from am_theory.conditional_likelihood import rows as theory_rows
from models.memories.multinomial import simplex
from models.memories.pseudolikelihood import store
from models.streams import stream
from simulations.rows.config import RowsConfig, dimension, penalty, train_sizes

Floats = NDArray[np.float64]

DRAWN = 20_000  # noisy sequences, at least, on which a row is measured
UNSEEN = 1000  # sequences on which a memory's held-out loss is measured
NATS = {"units": "nats per token"}
MEASURED = ("train", "entropy", "heldout")


def compute(config: RowsConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep."""
    kinds = {
        "training": training,
        "separable": separable_rows,
        "memories": memories,
        "theory": theory,
    }
    return kinds[coordinates["kind"]](config, coordinates["index"])


def training(config: RowsConfig, index: int) -> xr.Dataset:
    """Rows of two tokens under noise: losses and entropy, dimensions alpha, load, row."""
    size = config.sizes[index]
    shape = (len(config.alphas), len(config.loads), config.rows)
    found = {name: np.empty(shape) for name in MEASURED}
    for at in np.ndindex(shape):
        alpha, load = config.alphas[at[0]], config.loads[at[1]]
        rng = stream(config.root_seed, "training", size, alpha, load, at[2])
        for name, value in zip(MEASURED, noisy_row(rng, load, alpha, size), strict=True):
            found[name][at] = value
    dims = ("alpha", "load", "row")
    return xr.Dataset(
        {name: (dims, values, NATS) for name, values in found.items()},
        {"alpha": list(config.alphas), "load": list(config.loads)},
    )


def noisy_row(
    rng: np.random.Generator, load: float, alpha: float, size: int
) -> tuple[float, float, float]:
    """Train loss, entropy and held-out loss of one row of `size` inputs, on drawn noise."""
    count = max(1, round(load * size))
    inputs = rng.choice([-1.0, 1.0], (count, size)) / np.sqrt(size)  # times the target
    g, weights = roots_hermitenorm(30)
    weights = weights / weights.sum()
    lost = (1 - alpha) * (1 + alpha)

    def objective(w: Floats) -> tuple[float, Floats]:
        spread = float(np.sqrt(lost * (w @ w) / size))
        u = alpha * (inputs @ w)[:, None] + spread * g
        wrong = expit(-u) * weights
        noise = lost * float((wrong @ g).sum()) / (size * spread)
        slope = -alpha * (wrong.sum(axis=1) @ inputs) - noise * w
        return float((np.logaddexp(0, -u) @ weights).sum()), slope

    options = {"maxiter": 5000, "maxfun": 20_000, "ftol": 1e-11}
    start = rng.normal(size=size)
    w = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    noisy = np.repeat(inputs, -(-DRAWN // count), axis=0)
    noisy *= np.where(rng.random(noisy.shape) < (1 + alpha) / 2, 1, -1)
    u = noisy @ w
    unseen = rng.choice([-1.0, 1.0], (DRAWN, size)) @ w / np.sqrt(size)
    loss = np.logaddexp(0, -u)
    return loss.mean(), (loss + u * expit(-u)).mean(), np.logaddexp(0, -unseen).mean()


def separable_rows(config: RowsConfig, index: int) -> xr.Dataset:
    """Largest K up to which some row puts the first K targets right, (program,)."""
    vocab_size, seq_len = case = config.separable[index]
    most = 3 * round(critical_load(vocab_size) * dimension(case)) + 20
    largest = np.empty(config.programs, np.int64)
    for number in range(config.programs):
        rng = stream(config.root_seed, "separable", vocab_size, seq_len, number)
        tokens = rng.integers(vocab_size, size=(most, seq_len))
        largest[number] = largest_separable(tokens, vocab_size)
    return xr.Dataset({"largest": ("program", largest, {"units": "sequences"})})


def largest_separable(tokens: NDArray[np.int64], vocab_size: int) -> int:
    """Largest K at which the last site's token follows from the others, by bisection."""
    walls = wall_inputs(tokens, vocab_size)
    low, high = 0, len(tokens)  # separable, and not so
    count = round(critical_load(vocab_size) * dimension((vocab_size, tokens.shape[1])))
    step = max(1, count // 8)
    while high - low > 1:
        if separable(walls[:count]):
            low, count = count, min(count + step, (count + high) // 2)
        else:
            high, count = count, max(count - step, (count + low) // 2)
        step = max(1, step // 2) if low and high < len(tokens) else step
        count = min(max(count, low + 1), high - 1)
    return low


def wall_inputs(tokens: NDArray[np.int64], vocab_size: int) -> Floats:
    """(K, V - 1, unknowns): products with a row's unknowns are the target's logit minus others."""
    basis = simplex(vocab_size)
    inputs = basis[tokens[:, :-1]].reshape(len(tokens), -1)
    target = tokens[:, -1]
    others = (target[:, None] + np.arange(1, vocab_size)) % vocab_size
    apart = basis[target][:, None, :] - basis[others]
    return np.einsum("kva,kd->kvad", apart, inputs).reshape(len(tokens), vocab_size - 1, -1)


def separable(walls: Floats) -> bool:
    """Whether some row has products of at least 1 with all: a linear program."""
    flat = walls.reshape(-1, walls.shape[-1])
    found = linprog(
        np.zeros(flat.shape[1]),
        A_ub=-flat,
        b_ub=-np.ones(len(flat)),
        bounds=(None, None),
        method="highs-ipm",
    )
    if found.status not in (0, 2):
        raise ArithmeticError(f"The linear program ended without an answer: {found.message}")
    return bool(found.status == 0)


def memories(config: RowsConfig, index: int) -> xr.Dataset:
    """Fitted memories: losses, entropy and the share of rows that put every training token right,
    dimensions set, relative_load, ridge; means over converged rows."""
    vocab_size, seq_len = case = config.memories[index]
    sizes = train_sizes(config, case)
    shape = (config.sets, len(sizes), len(config.ridges))
    found = {name: np.full(shape, np.nan) for name in (*MEASURED, "held", "converged")}
    for number in range(config.sets):
        rng = stream(config.root_seed, "memories", vocab_size, seq_len, number)
        tokens = rng.integers(vocab_size, size=(sizes[-1], seq_len))
        unseen = rng.integers(vocab_size, size=(UNSEEN, seq_len))
        for place, count in enumerate(sizes):
            for column, ridge in enumerate(config.ridges):
                memory = store(tokens[:count], vocab_size, penalty=penalty(ridge, case))
                good, at = memory.converged, (number, place, column)
                found["converged"][at] = good.mean()
                if not good.any():
                    continue
                law, loss = law_and_loss(memory.fields(tokens[:count]), tokens[:count])
                _, new = law_and_loss(memory.fields(unseen), unseen)
                right = law.argmax(axis=2) == tokens[:count]
                found["train"][at] = loss[:, good].mean()
                found["entropy"][at] = -(np.exp(law) * law).sum(axis=2)[:, good].mean()
                found["heldout"][at] = new[:, good].mean()
                found["held"][at] = right.all(axis=0)[good].mean()
    dims = ("set", "relative_load", "ridge")
    units = {name: NATS if name in MEASURED else {"units": "1"} for name in found}
    return xr.Dataset(
        {name: (dims, values, units[name]) for name, values in found.items()},
        {"relative_load": list(config.relative_loads), "ridge": list(config.ridges)},
    )


def law_and_loss(fields: Floats, tokens: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Log law (K, L, V) of fields, and the loss (K, L) of the tokens that are there."""
    law = log_softmax(fields, axis=2)
    return law, -np.take_along_axis(law, tokens[..., None], 2)[..., 0]


def theory(config: RowsConfig, index: int) -> xr.Dataset:
    """The rows' theory without noise: losses and entropy, dimensions relative_load, theory_ridge;
    NaN where it has not converged."""
    vocab_size = config.vocabularies[index]
    loads = critical_load(vocab_size) * np.array(config.relative_loads)
    ridges = np.array(config.theory_ridges)
    found = theory_rows(loads[:, None], 1.0, ridges, vocab_size=vocab_size)
    dims = ("relative_load", "theory_ridge")
    values = {name: np.where(found.converged, getattr(found, name), np.nan) for name in MEASURED}
    return xr.Dataset(
        {name: (dims, value, NATS) for name, value in values.items()},
        {"relative_load": list(config.relative_loads), "theory_ridge": list(ridges)},
    )
