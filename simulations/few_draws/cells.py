"""What one cell computes: one network of K sequences with n noisy copies each, read on both splits.

Raw numbers per sequence at t = 0.25, on noise that training has not seen: the log loss of the `loo`
law and the squared error of the `full` law's mean code, each a mean over sites; and the training
loss, on the noise that it sees, over the last block of steps.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.noise import noise
from models.sources import IidSource
from models.streams import stream
from models.tokens import Tokens
from simulations.features_law.cells import STORED, Plain
from simulations.features_law.config import LEVEL
from simulations.few_draws.config import DrawsConfig
from simulations.trained import Laws, train_network

Floats = NDArray[np.float64]
SPLITS = ("train", "heldout")


def compute(config: DrawsConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell: dimensions split, sample; the training loss alone has none.

    A seed has one set of stored sequences, which all its networks take the first K of. Raises
    models.training.train.TrainingDiverged, naming the step, when training stops being finite.
    """
    at = coordinates
    source = IidSource(config.vocab_size, config.seq_len)
    rows = max(STORED, at["train_size"])
    stored = source.sample(stream(config.root_seed, "stored", at["seed"]), rows)
    held_out = source.sample(stream(config.root_seed, "held-out", at["seed"]), config.queries)
    rng = stream(config.root_seed, *(str(at[name]) for name in sorted(at)))
    network = config.network(at["width"])
    training = dataclasses.replace(config.training, steps=at["steps"], noise_draws=at["draws"])
    kind: Any = network if at["pair"] else Plain(network)
    trained = train_network(rng, kind, stored, at["train_size"], training)
    seen = float(trained.losses[-1])
    chosen = stored[np.arange(config.queries) % at["train_size"]]
    read = [readings(trained.model, rng, x_0) for x_0 in (chosen, held_out)]
    log_loss, error = (np.array(values, np.float32) for values in zip(*read, strict=True))
    return xr.Dataset(
        {
            "seen": ((), seen, {"units": "nats per token"}),
            "log_loss": (("split", "sample"), log_loss, {"units": "nats per token"}),
            "error": (("split", "sample"), error, {"units": "per effective dimension"}),
        },
        {"split": list(SPLITS)},
    )


def readings(model: Any, rng: np.random.Generator, x_0: Tokens) -> tuple[Floats, Floats]:
    """Log loss and squared error of every sequence (n, L) at t = 0.25, (n,) each."""
    x_t = noise(rng, x_0, float(model.schedule.alpha(LEVEL)), model.vocab_size)
    log_loo, log_full = Laws(model, len(x_0)).laws(x_t, np.full(len(x_0), LEVEL))
    loss = -np.take_along_axis(log_loo, x_0[..., None].astype(np.int64), axis=-1)[..., 0]
    return loss.mean(1, dtype=np.float64), squared_error(log_full, x_0)


def squared_error(log_law: Any, x_0: Tokens) -> Floats:
    """|u - <u>|^2 / d of sequences (n, L) by laws (n, L, V), with u = sqrt(V) (e_x - 1/V) the code
    of a site and <u> its mean under the law.

    >>> squared_error(np.log([[[0.5, 0.5], [0.5, 0.5]]]), np.array([[0, 1]]))
    array([1.])
    """
    law = np.exp(np.asarray(log_law, dtype=np.float64))
    size = law.shape[-1]
    gap = np.eye(size)[x_0] - law
    return np.asarray(size / (size - 1) * (gap**2).sum(-1).mean(1))
