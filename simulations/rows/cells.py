"""What the workers of `rows` compute: one dataset per size or case.

Rows under noise are trained on the average over all noise, their fields' noise taken as Gaussian,
and measured on drawn noise; memories see none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, roots_hermitenorm

from am_theory.conditional_likelihood import critical_load
from am_theory.conditional_likelihood import rows as theory_rows
from models.streams import stream
from simulations.rows.config import RowsConfig, train_sizes
from simulations.rows.networks import networks
from simulations.rows.newton import fit_row, inputs_of, log_law
from simulations.rows.programs import chain_rows, separable_rows

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
        "chains": chain_rows,
        "memories": memories,
        "networks": networks,
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


def memories(config: RowsConfig, index: int) -> xr.Dataset:
    """Fitted rows of memories: losses, entropy and the share of rows that put every training token
    right, dimensions set, relative_load, ridge; means over rows."""
    vocab_size, seq_len = case = config.memories[index]
    sizes = train_sizes(config, case)
    shape = (config.sets, len(sizes), len(config.ridges))
    found = {name: np.full(shape, np.nan) for name in (*MEASURED, "held", "converged")}
    for number in range(config.sets):
        rng = stream(config.root_seed, "memories", vocab_size, seq_len, number)
        tokens = rng.integers(vocab_size, size=(sizes[-1], seq_len))
        unseen = rng.integers(vocab_size, size=(UNSEEN, seq_len))
        for place, count in enumerate(sizes):
            of_rows = [
                read_row(tokens[:count], unseen, site, vocab_size, config.ridges)
                for site in range(config.sites[index])
            ]
            for name, means in found.items():
                means[number, place] = np.mean([row[name] for row in of_rows], axis=0)
    dims = ("set", "relative_load", "ridge")
    units = {name: NATS if name in MEASURED else {"units": "1"} for name in found}
    return xr.Dataset(
        {name: (dims, values, units[name]) for name, values in found.items()},
        {"relative_load": list(config.relative_loads), "ridge": list(config.ridges)},
    )


def read_row(
    tokens: NDArray[np.int64],
    unseen: NDArray[np.int64],
    site: int,
    vocab_size: int,
    ridges: tuple[float, ...],
) -> dict[str, list[float]]:
    """A site's row at all ridges: train loss, entropy, held-out loss, held, converged."""
    inputs, others = (inputs_of(x, site, vocab_size) for x in (tokens, unseen))
    own, found = tokens[:, site], []
    for row in fit_row(inputs, own, vocab_size, ridges):
        law, new = log_law(inputs, row.weights), log_law(others, row.weights)
        found.append(
            {
                "train": -law[np.arange(len(own)), own].mean(),
                "entropy": -(np.exp(law) * law).sum(axis=1).mean(),
                "heldout": -new[np.arange(len(new)), unseen[:, site]].mean(),
                "held": float((law.argmax(axis=1) == own).all()),
                "converged": float(row.converged),
            }
        )
    return {name: [row[name] for row in found] for name in found[0]}


def theory(config: RowsConfig, index: int) -> xr.Dataset:
    """The rows' theory without noise: losses and entropy, dimensions relative_load, ridge; NaN
    where it has not converged."""
    vocab_size = config.vocabularies[index]
    loads = critical_load(vocab_size) * np.array(config.relative_loads)
    ridges = np.array(config.ridges)
    found = theory_rows(loads[:, None], 1.0, ridges, vocab_size=vocab_size)
    dims = ("relative_load", "ridge")
    values = {name: np.where(found.converged, getattr(found, name), np.nan) for name in MEASURED}
    return xr.Dataset(
        {name: (dims, value, NATS) for name, value in values.items()},
        {"relative_load": list(config.relative_loads), "ridge": list(ridges)},
    )
