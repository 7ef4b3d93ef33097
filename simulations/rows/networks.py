"""Networks of a pairwise field alone, trained on random sequences of two tokens by AdamW.

One is trained at each noise level alone, which the theory of rows under fresh noise predicts;
another one at all levels, as denoisers are, with one gain a level on the same couplings.

Fixed before they were trained: the load at which the entropy of training sequences under a level's
noise is a fifth of log V, over that of theory at this level, carried to infinite L on a line in
1 / (L - 1), is 1 at every level. Overturned for networks of one level if an interval, widened so
that those of all levels hold together in 95 %, excludes 1; for networks of all levels likewise,
for which theory stands in without being derived: a gain a level is not couplings of its own. As
t -> 0 the drop of theory goes to the end of separability.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import brentq

from am_theory.conditional_likelihood import critical_load, rows
from models.streams import stream
from models.training.config import TrainConfig
from simulations.rows.config import RowsConfig

Floats = NDArray[np.float64]

LEVEL = 0.2  # of log V: where entropy is said to drop
DRAWN = 4000  # noisy sequences, at least, on which a network is read
BATCH = 64


@dataclass(frozen=True)
class OneLevel:
    """A schedule that keeps a token with the same probability at every t."""

    kept: float

    def alpha(self, t: Any) -> Any:
        return 0 * t + self.kept


@lru_cache
def noisy_drop(level: float) -> float:
    """Load, over the critical one, at which by theory the entropy of training sequences under
    fresh noise of a level drops, of two tokens.

    >>> round(noisy_drop(0.1), 3)
    0.39
    """

    def excess(load: float) -> float:
        return float(rows(critical_load(2) * load, 1 - level).entropy) - LEVEL * np.log(2)

    return float(brentq(excess, 0.05, 1.0, xtol=1e-4))


def train_sizes(config: RowsConfig, seq_len: int, level: float | None) -> list[int]:
    """K of the networks of one length trained at a level, or at all of them (None)."""
    unit = critical_load(2) * (seq_len - 1)
    loads = config.free_loads
    if level is not None:
        loads = tuple(noisy_drop(level) * load for load in config.network_loads)
    return [max(2, round(unit * load)) for load in loads]


def networks(config: RowsConfig, index: int) -> xr.Dataset:
    """Entropy of training sequences under noise in nats a token, dimensions set, load (in the order
    of `train_sizes`), level; NaN at levels that a network was not trained at, and beyond."""
    import jax
    import jax.numpy as jnp

    from am_theory.channel import LogLinear
    from models.networks.pairwise import PairDenoiser
    from models.training.train import train_ensemble

    length, kind = divmod(index, len(config.levels) + 1)
    seq_len, level = config.networks[length], [*config.levels, None][kind]
    sizes = train_sizes(config, seq_len, level)
    rng = stream(config.root_seed, "networks", seq_len, "all" if level is None else level)
    tokens = rng.integers(2, size=(config.network_sets, max(sizes), seq_len))
    count = config.network_sets * len(sizes)
    network = PairDenoiser(2, seq_len, LogLinear() if level is None else OneLevel(1 - level))
    trained = train_ensemble(
        list(jax.random.split(jax.random.key(int(rng.integers(2**31))), count)),
        [network] * count,
        np.repeat(tokens, len(sizes), axis=0),
        sizes * config.network_sets,
        TrainConfig(config.steps, BATCH, warmup=config.steps // 20),
    )
    shape = (config.network_sets, len(sizes), len(config.levels))
    loads = max(len(config.network_loads), len(config.free_loads))
    entropy = np.full((shape[0], loads, shape[2]), np.nan)  # of one shape, to be joined
    for number, place, column in np.ndindex(shape):
        if level not in (None, config.levels[column]):
            continue
        which = number * len(sizes) + place
        member = jax.tree.map(itemgetter(which), trained.model)
        noisy = corrupted(rng, tokens[number, : sizes[place]], config.levels[column])
        law = np.asarray(member.log_loo(jnp.asarray(noisy), config.levels[column]), float)
        entropy[number, place, column] = -(np.exp(law) * law).sum(axis=2).mean()
    dims = ("set", "load", "level")
    return xr.Dataset(
        {"entropy": (dims, entropy, {"units": "nats per token"})},
        {"level": list(config.levels)},
    )


def corrupted(rng: np.random.Generator, tokens: NDArray[np.int64], level: float) -> Any:
    """At least DRAWN noisy versions of sequences of two tokens, as many of each."""
    many = np.repeat(tokens, -(-DRAWN // len(tokens)), axis=0)
    kept = rng.random(many.shape) < 1 - level
    return np.where(kept, many, rng.integers(2, size=many.shape))
