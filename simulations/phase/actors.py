"""What the main job measures beside the optimal memorizer: each gives its laws and restores tokens.

`trained`: the network. `nelbo`: the same network trained by the paper's objective. `pairwise`: the
pseudo-likelihood memory of the same sequences, pairwise conditional laws that come from no energy.
`population`: the exact law of the source, whose `ancestral` decoder is one exact joint draw.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from am_theory import channel
from models.denoiser import channel_of
from models.memories import pseudolikelihood
from models.memories.pseudolikelihood import PairwiseJax
from models.sampler import ancestral
from models.streams import stream
from models.tokens import Tokens, token_dtype
from simulations.data.problem import Problem
from simulations.measure.names import SMALL_LEVEL
from simulations.phase.config import Config
from simulations.trained import Laws, train_network

Floats = NDArray[np.float64]

# Of the L2 term, in units of one pattern's nats. Held-out log loss of the default source, nats a
# token, at K = 1,024 and 16,384: 1.02 and .67 at a penalty of 1e-3, .78 and .61 at .01, .73 and
# .52 at .1, .86 and .51 at .3, 1.25 and .54 at 1. At 1e-3 it peaks (1.65 at K = 8,192), at .1 not.
PENALTY = 0.1
ROWS = 8192  # inputs of one pass over sites masked alone


class Actor(Protocol):
    """A denoiser on the bench."""

    def laws(self, x_t: Tokens, t: Floats) -> tuple[Any, Any]:
        """log_loo and log_full, (n, L, V), of inputs (n, L) at levels (n,)."""
        ...

    def restore(self, rng: np.random.Generator, x_t: Tokens, t: float) -> Tokens:
        """The decoder `ancestral` from inputs (n, L) at level t."""
        ...


@dataclass(frozen=True)
class Network:
    """A trained network; n_steps reverse steps on the full interval. memory : whose twin it is."""

    network: Laws
    n_steps: int
    memory: Any = None

    def laws(self, x_t: Tokens, t: Floats) -> tuple[Any, Any]:
        return self.network.laws(x_t, t)

    def restore(self, rng: np.random.Generator, x_t: Tokens, t: float) -> Tokens:
        return ancestral(self.network.model, rng, x_t, t, self.n_steps)


@dataclass(frozen=True)
class Plain:
    """A denoiser in NumPy: laws of its own, and reverse steps with these."""

    denoiser: Any
    n_steps: int

    def laws(self, x_t: Tokens, t: Floats) -> tuple[Any, Any]:
        log_loo, alpha = self.denoiser.log_loo(x_t, t), self.denoiser.schedule.alpha(t)
        return log_loo, channel.full_from_loo(log_loo, x_t, alpha, channel_of(self.denoiser))

    def restore(self, rng: np.random.Generator, x_t: Tokens, t: float) -> Tokens:
        return ancestral(self.denoiser, rng, x_t, t, self.n_steps)


@dataclass(frozen=True)
class Population(Plain):
    """The exact law: one joint draw in place of reverse steps."""

    def restore(self, rng: np.random.Generator, x_t: Tokens, t: float) -> Tokens:
        drawn: Tokens = self.denoiser.posterior_draw(rng, x_t, t)
        return drawn


def clean_laws(actor: Actor, config: Config, x_0: Tokens) -> Any:
    """Law of every token given all others as they are, (n, L, V): `loo` at t = 1e-5, or, where no
    visible site has one, of each site masked alone, at the level at which one of L is."""
    if config.noise.redraws:
        return actor.laws(x_0, np.full(len(x_0), SMALL_LEVEL))[0]
    n, length = x_0.shape
    out = np.empty((n, length, config.vocab_size))
    group = max(1, ROWS // n)
    for first in range(0, length, group):
        sites = np.arange(first, min(first + group, length))
        masked = np.repeat(x_0[None].astype(token_dtype(config.vocab_size + 1)), len(sites), axis=0)
        masked[np.arange(len(sites)), :, sites] = config.vocab_size
        rows = masked.reshape(-1, length)
        law = np.asarray(actor.laws(rows, np.full(len(rows), 1 / length))[0])
        law = law.reshape(len(sites), n, length, -1)
        out[:, sites] = np.moveaxis(law[np.arange(len(sites)), :, sites], 0, 1)
    return out


def filled(noise: channel.Channel, x_t: Tokens, output: Tokens) -> Tokens:
    """A decoded sequence with the visible tokens of x_t, where the channel leaves no doubt of
    them: no reverse process changes these."""
    if noise.redraws:
        return output
    return np.where(x_t == noise.mask_id, output, x_t).astype(output.dtype)


def make_actors(
    config: Config, problem: Problem, train_size: int, seed: int
) -> tuple[dict[str, Actor], Any]:
    """The actors of one (K, seed), the first of them `trained`, and the record of its training.

    `nelbo` at the sizes of the configuration and `pairwise` at all, each of the first seed alone.
    Raises models.training.train.TrainingDiverged.
    """
    trained = config.train(problem, train_size, seed)
    actors: dict[str, Actor] = {
        "trained": Network(Laws(trained.model, config.queries), config.n_steps)
    }
    if config.trains_nelbo(train_size, seed):
        import jax.numpy as jnp

        other = train_network(
            stream(config.root_seed, "training", train_size, seed),  # the same weights at first
            config.network,
            jnp.asarray(problem.stored),
            train_size,
            dataclasses.replace(config.training, loss="nelbo"),
            "nelbo",
        )
        actors["nelbo"] = Network(Laws(other.model, config.queries), config.n_steps)
    if seed == 0:
        memory = pseudolikelihood.store(
            problem.stored[:train_size],
            config.vocab_size,
            penalty=PENALTY,
            biases=True,
            schedule=trained.model.schedule,
        )
        twin = Laws(PairwiseJax.of(memory, config.noise), config.queries)
        actors["pairwise"] = Network(twin, config.n_steps, memory)
    if problem.source is not None:
        exact = problem.source.population_denoiser(trained.model.schedule, config.noise)
        actors["population"] = Population(exact, config.n_steps)
    return actors, trained
