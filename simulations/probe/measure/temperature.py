"""At which temperature does a model write as its own laws foretell?

A model whose logits are divided by a temperature writes sequences that its tempered `loo` laws do
not foretell: at t = 0.75 another inverse temperature predicts them better. So its own temperature
is looked for where it has none of its texts by heart: beta, the inverse temperature of least log
loss on the model's own sequences, is found; if that is surely off 1, the model is tempered by
it, writes anew, and so on until beta is 1. Independent tokens are the exception: a tempered law of
theirs is the law of what it writes, and nothing can be found.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.sampler import generate
from models.streams import stream
from simulations.measure.bootstrap import bootstrap_ratio, interval
from simulations.probe.measure.cells import Work
from simulations.probe.measure.dataset import BETAS, Split

Floats = NDArray[np.float64]

LEVEL = 0.75
LEAST, MOST = 32, 64  # sequences that a temperature is read on
WORTH = 0.005  # nats a token by which another temperature must foretell better
NEAR = (0.8, 1.25)  # inverse temperatures that are taken for 1
CLOSE = 0.1  # of log beta, where the search ends
STRIDE = 1.4  # of a step of the search: beta closes a part of the way
ROUNDS = 8
REPLICATES = 200
OFF = (
    "What the model writes is foretold best by its laws at a temperature of {:.2f} of its logits, "
    "not at 1: it is asked to write at that one too."
)


def losses(work: Work, split: Split) -> xr.Dataset:
    """Log losses of `loo` at LEVEL and all BETAS of the first sequences of a split."""
    few = Split(split.name, split.tokens[:MOST], split.index[:MOST])
    x_t = work.noisy(few, LEVEL, "temperature")
    found = work.reader.tempered_losses(x_t, few.tokens, LEVEL, BETAS)
    return xr.Dataset({"tempered_loss": (("sequence", "beta"), found.astype(np.float32))})


def least(loss: Floats) -> Floats:
    """The inverse temperature (...) of least loss (..., BETAS): the lowest point of a parabola in
    log beta through the three lowest grid points, or an end of the grid."""
    x = np.log(BETAS)
    at = np.clip(loss.argmin(-1), 1, len(x) - 2)
    left, middle, right = (
        np.take_along_axis(loss, (at + k)[..., None], -1)[..., 0] for k in (-1, 0, 1)
    )
    bend = left - 2 * middle + right
    step = np.where(bend > 0, (left - right) / (2 * np.where(bend > 0, bend, 1.0)), 0.0)
    inside = np.exp(x[at] + (x[1] - x[0]) * np.clip(step, -1, 1))
    end = np.asarray(BETAS)[loss.argmin(-1)]
    found: Floats = np.where(bend > 0, inside, end)
    return found


def inverse_temperature(
    loss: Floats, tokens: NDArray[Any], rng: np.random.Generator
) -> tuple[float, float, float]:
    """`least` of the mean of loss (n, BETAS), with its 95 % interval; equal sequences of `tokens`
    (n, L) are resampled together."""
    _, group = np.unique(tokens, axis=0, return_inverse=True)
    one = np.ones_like(loss)
    mean, replicates = bootstrap_ratio(rng, loss, one, group.ravel(), REPLICATES)
    drawn = np.where(np.isfinite(replicates).all(1), least(np.nan_to_num(replicates)), np.nan)
    low, high = interval(drawn)
    return float(least(mean)), float(low), float(high)


def is_one(loss: Floats, found: float, low: float, high: float) -> bool:
    """Whether nothing speaks against an inverse temperature of about 1: what was found is near it,
    or its interval holds 1 or is unknown, or the mean of loss (n, BETAS) is hardly better
    elsewhere, or there are too few sequences."""
    mean = loss.mean(0)
    gain = mean[BETAS.index(1.0)] - mean.min()
    surely = low > 1 or high < 1
    return len(loss) < LEAST or gain < WORTH or NEAR[0] <= found <= NEAR[1] or not surely


def search(work: Work, own: Split) -> xr.Dataset:
    """The temperature of a model from its own sequences: `beta` of every round, by which its logits
    were multiplied, `found`, the one at which these sequences are foretold best, `low` and `high`.

    The attribute `beta` is the outcome, of the round that came nearest; `settled` is 0 where even
    that one is off 1.
    """
    beta, path, seed, cold = 1.0, [], work.config.root_seed, work
    for k in range(ROUNDS):
        if k:
            rng = stream(seed, "temperature", k)
            cold = work.at(beta)
            size = work.reader.seq_len, work.config.steps
            drawn = generate(cold.reader.denoiser, rng, MOST, *size)
            own = Split(f"temperature {k}", drawn, np.arange(MOST))
        loss = losses(cold, own)["tempered_loss"].values.astype(np.float64)
        rng = stream(seed, "temperature intervals", k)
        found, low, high = inverse_temperature(loss, own.tokens[: len(loss)], rng)
        path.append((beta, found, low, high))
        settled = is_one(loss, found, low, high) if k == 0 else abs(math.log(found)) < CLOSE
        if settled:
            break
        beta = float(np.clip(beta * found**STRIDE, BETAS[0], BETAS[-1]))
    columns = zip(("beta", "found", "low", "high"), zip(*path, strict=True), strict=True)
    data = xr.Dataset({name: ("round", np.array(values)) for name, values in columns})
    best = int(np.abs(np.log(data["found"].values)).argmin())
    return data.assign_attrs(beta=path[best][0], settled=int(settled))
