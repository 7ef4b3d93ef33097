"""Small sources and denoisers by name: what every conformance test runs over."""

from __future__ import annotations

import equinox as eqx
import jax
import numpy as np
import pytest

from am_theory.channel import Absorbing, Hybrid, Linear
from models.denoiser import channel_of
from models.exact.empirical import EmpiricalDenoiser
from models.networks.dit import DiT, Shape
from models.networks.linear import LinearDenoiser
from models.networks.mlp import MLPDenoiser
from models.networks.random_features import RandomFeatureDenoiser
from models.sources import HiddenMarkovSource, HierarchySource, IidSource, MarkovSource
from tests import oracles

# A cycle with detours: half of its transitions are forbidden.
CYCLE = np.array([[0.0, 0.8, 0.2, 0.0], [0.0, 0.0, 0.5, 0.5], [0.9, 0.0, 0.0, 0.1], [1, 0, 0, 0]])
PATTERNS = np.array([[0, 1, 2, 2], [2, 2, 0, 1], [1, 1, 1, 1], [0, 1, 2, 2], [0, 1, 0, 2]])

# Each symbol becomes (a, a) or (a, a + 1 mod 3), at both levels.
R2 = np.array([[[[a, a], [a, (a + 1) % 3]] for a in range(3)]] * 2)

# Two states, three letters; and one with forbidden steps and letters.
H2 = ([[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
GAPS = (CYCLE, [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.2, 0.8], [0.0, 1.0, 0.0]])

COSTLY = ("hierarchy", "hidden", "transitions, JAX")  # their kernels compile for most of a minute


def cases(names):
    """Names to parametrize over, those of costly kernels with the slow tests."""
    costly = [name for name in names if any(word in name for word in COSTLY)]
    return [pytest.param(n, marks=pytest.mark.slow) if n in costly else n for n in names]


SOURCES = {
    "chain": MarkovSource(oracles.CHAIN, 4),
    "chain, forbidden transitions": MarkovSource(CYCLE, 4),
    "chain, fixed start": MarkovSource(CYCLE, 3, [0.0, 1.0, 0.0, 0.0]),
    "chain, one site": MarkovSource(oracles.CHAIN, 1),
    "chain, two letters": MarkovSource([[0.9, 0.1], [0.4, 0.6]], 5),
    "hierarchy": HierarchySource(R2),
    "hierarchy, triples": HierarchySource.random(np.random.default_rng(1), 3, 2, 3, 1),
    "hierarchy, three levels": HierarchySource.random(np.random.default_rng(2), 2, 2, 2, 3),
    "hierarchy, one rule": HierarchySource.random(np.random.default_rng(3), 2, 1, 2, 3),
    "hidden": HiddenMarkovSource(*H2, 4),
    "hidden, forbidden transitions": HiddenMarkovSource(*GAPS, 4),
    "iid": IidSource(4, 3),
    "iid, forbidden token": IidSource(3, 4, [0.7, 0.3, 0.0]),
}


def source_law(name: str) -> np.ndarray:
    """Probability of every sequence of a source, written out."""
    source = SOURCES[name]
    if isinstance(source, IidSource):
        rows = np.tile(source.probs, (source.vocab_size, 1))
        return oracles.markov_law(source.probs, rows, source.seq_len)
    if isinstance(source, HierarchySource):
        return oracles.hierarchy_law(source.rules)
    if isinstance(source, HiddenMarkovSource):
        return oracles.hidden_markov_law(
            source.initial, source.transition, source.emission, source.seq_len
        )
    return oracles.markov_law(source.initial, source.transition, source.seq_len)


class Compiled:
    """A JAX denoiser whose `log_loo` is compiled as one function."""

    def __init__(self, denoiser) -> None:
        self.vocab_size, self.seq_len = denoiser.vocab_size, denoiser.seq_len
        self.schedule, self.channel = denoiser.schedule, channel_of(denoiser)
        self.log_loo = eqx.filter_jit(denoiser.log_loo)


DENOISERS = {
    **{f"population of {name}": source.population_denoiser() for name, source in SOURCES.items()},
    "population, linear schedule": SOURCES["chain"].population_denoiser(Linear()),
    "empirical": EmpiricalDenoiser(PATTERNS, 3),
    "empirical, one pattern": EmpiricalDenoiser(PATTERNS[:1], 3),
    "empirical, JAX": Compiled(EmpiricalDenoiser(PATTERNS, 3).jax()),
    "linear": LinearDenoiser(np.concatenate([PATTERNS, PATTERNS[:, ::-1]]), 3),
    "linear, fewer sequences than dimensions": LinearDenoiser(PATTERNS, 3, ridge=0.1),
    "linear, one pattern": LinearDenoiser(PATTERNS[:1], 3),
    "random features": RandomFeatureDenoiser(PATTERNS, 3, 12, ridge=1e-3, skip="full"),
    "random features, one pattern": RandomFeatureDenoiser(PATTERNS[:1], 3, 12, activation="sign"),
    "hierarchy, JAX": Compiled(SOURCES["hierarchy"].population_denoiser().jax()),
    "hierarchy, triples, JAX": Compiled(SOURCES["hierarchy, triples"].population_denoiser().jax()),
    "hidden, JAX": Compiled(SOURCES["hidden"].population_denoiser().jax()),
    "chain, forbidden transitions, JAX": Compiled(
        SOURCES["chain, forbidden transitions"].population_denoiser().jax()
    ),
    "mlp": Compiled(MLPDenoiser(jax.random.key(0), 3, 4, width=8)),
    "transformer": Compiled(DiT(jax.random.key(0), 3, Shape(8, 1, 2, 4), 4)),
    "mlp, masks": Compiled(MLPDenoiser(jax.random.key(0), 3, 4, width=8, channel=Absorbing(3))),
    "transformer, masks and redraws": Compiled(
        DiT(jax.random.key(0), 3, Shape(8, 1, 2, 4), 4, channel=Hybrid(3, 0.2))
    ),
    "empirical, masks": EmpiricalDenoiser(PATTERNS, 3, channel=Absorbing(3)),
    "population of chain, masks and redraws": SOURCES["chain"].population_denoiser(
        Linear(), Hybrid(3, 0.3)
    ),
    "mlp, no blocks": Compiled(MLPDenoiser(jax.random.key(0), 2, 1, width=4, n_blocks=0)),
}
