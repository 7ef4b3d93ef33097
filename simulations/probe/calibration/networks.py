"""The networks of a calibration: trained, fitted or solved, then changed as their family says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jax import Array

from am_theory.channel import Absorbing, Channel, Hybrid, Uniform
from models.memories import pseudolikelihood
from models.networks.linear import LinearDenoiser
from models.networks.mlp import PlainMLP
from models.released.converted import Converted, Reading
from models.tempered import tempered
from models.tokens import Tokens
from models.training.config import TrainConfig
from simulations.probe.calibration.families import Family, SourceShape
from simulations.trained import Network, train_network

P_UNIFORM = 0.2  # of hybrid noise
PENALTY, MOST_STEPS = 0.1, 300  # of rows fitted by pseudo-likelihood
RIDGE = 1e-3  # of the linear regression


@dataclass(frozen=True)
class Plain:
    """`Network` without a pairwise field."""

    network: Network

    def make(self, key: Any) -> PlainMLP:
        """The network, untrained, from a JAX key."""
        net = self.network
        return PlainMLP(key, net.vocab_size, net.seq_len, net.width, net.n_blocks)


@dataclass(frozen=True)
class OfFull:
    """A network whose softmax is the token posterior `full`, read as `loo`, as released ones are
    (`models.released.converted`)."""

    network: Any
    vocab_size: int
    seq_len: int

    def make(self, key: Any) -> Converted:
        """The network, untrained, from a JAX key."""
        net = self.network.make(key)
        reading = Reading("full", Uniform(self.vocab_size))
        return Converted(net, _softmax, reading, net.schedule, self.seq_len)


def _softmax(net: Any, ids: Array, t: Array) -> Any:
    return net.log_loo(ids, t)


def channel_named(name: str, vocab_size: int) -> Channel:
    """The noise uniform, absorbing or hybrid over `vocab_size` values."""
    if name == "absorbing":
        return Absorbing(vocab_size)
    return Hybrid(vocab_size, P_UNIFORM) if name == "hybrid" else Uniform(vocab_size)


def make_network(
    rng: np.random.Generator,
    family: Family,
    shape: SourceShape,
    width: int,
    rows: Tokens,
    size: int,
    training: TrainConfig,
) -> Any:
    """A denoiser of the first `size` of `rows` (n, L), as the family has them.

    Raises models.training.train.TrainingDiverged.
    """
    found = _learned(rng, family, shape, width, rows, size, training)
    return found if family.temperature == 1 else tempered(found, 1 / family.temperature)


def _learned(
    rng: np.random.Generator,
    family: Family,
    shape: SourceShape,
    width: int,
    rows: Tokens,
    size: int,
    training: TrainConfig,
) -> Any:
    if family.network == "pseudo-likelihood":
        memory = pseudolikelihood.store(
            rows[:size],
            shape.vocab_size,
            biases=True,
            penalty=PENALTY,
            max_iter=MOST_STEPS,
        )
        return memory.jax()
    if family.network == "linear":
        return LinearDenoiser(rows[:size], shape.vocab_size, ridge=RIDGE)
    network: Any = Network(
        shape.vocab_size,
        shape.seq_len,
        width,
        model="dit" if family.network == "transformer" else "mlp",
        noise=channel_named(family.noise, shape.vocab_size),
    )
    if family.network == "plain":
        network = Plain(network)
    if family.loss == "full":
        network = OfFull(network, shape.vocab_size, shape.seq_len)
    trained = train_network(rng, network, rows, size, training)
    return trained.raw if family.raw else trained.model
