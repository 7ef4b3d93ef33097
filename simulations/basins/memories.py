"""Every kind of associative memory behind one call: corrupted sequences in, sequences out.

    rule = BUILDERS[name](store, max_iter)
    rule(rng, x_t, t) -> Recall

`store` is the empirical denoiser of the sequences, which holds them. Memories with an energy,
and pseudo-likelihood, run to a fixed point one site at a time and know nothing of t; the
empirical-score denoiser and a trained one are told the true t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.exact.empirical import EmpiricalDenoiser
from models.memories import dense, hopfield, potts, pseudolikelihood
from models.memories.retrieval import Retrieval
from models.sampler import ancestral
from models.tokens import Tokens
from simulations.basins.config import DRAW, MAP, PENALTY
from simulations.basins.theory import exponential_rate

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Recall:
    """What a memory made of its queries, one row each.

    tokens (n, L); iterations (n,), -1 where nothing is iterated; converged (n,): whether a
    fixed point was reached; energy (n,): of the last state, NaN where there is none.
    """

    tokens: Tokens
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]
    energy: Floats


Rule = Callable[[np.random.Generator, Tokens, Floats], Recall]
Builder = Callable[[EmpiricalDenoiser, int], Rule]


def _recall(found: Retrieval, tokens: Tokens) -> Recall:
    return Recall(tokens, found.iterations, found.converged, found.energy)


def _at_once(tokens: Tokens) -> Recall:
    """Of a rule that iterates nothing."""
    n = len(tokens)
    return Recall(tokens, np.full(n, -1), np.full(n, True), np.full(n, np.nan))


def _spins(rule: Any) -> Builder:
    """Builder of a memory of spins, V = 2."""

    def build(store: EmpiricalDenoiser, max_iter: int) -> Rule:
        memory = hopfield.store(hopfield.spins_from_tokens(store.patterns), rule=rule)

        def recall(rng: np.random.Generator, x_t: Tokens, t: Floats) -> Recall:
            found = memory.retrieve(hopfield.spins_from_tokens(x_t), max_iter=max_iter)
            return _recall(found, hopfield.tokens_from_spins(found.states))

        return recall

    return build


def _tokens(store: Callable[[Tokens, int], Any]) -> Builder:
    """Builder of a memory of tokens with an energy."""

    def build(stored: EmpiricalDenoiser, max_iter: int) -> Rule:
        memory = store(stored.patterns, stored.vocab_size)

        def recall(rng: np.random.Generator, x_t: Tokens, t: Floats) -> Recall:
            found = memory.retrieve(x_t, max_iter=max_iter)
            return _recall(found, found.states)

        return recall

    return build


def _draw(store: EmpiricalDenoiser, max_iter: int) -> Rule:
    return lambda rng, x_t, t: _at_once(store.posterior_draw(rng, x_t, t))


def _map(store: EmpiricalDenoiser, max_iter: int) -> Rule:
    return lambda rng, x_t, t: _at_once(store.patterns[store.posterior(x_t, t, rng).map_index])


BUILDERS: dict[str, Builder] = {
    "Hopfield": _spins("hebb"),
    "pseudo-inverse": _spins("pseudo-inverse"),
    "Potts": _tokens(potts.store),
    "dense, n = 3": _tokens(lambda x, v: dense.store(x, v, dense.Distinct(3))),
    "exponential": _tokens(lambda x, v: dense.store(x, v, dense.Exponential(exponential_rate(v)))),
    "pseudo-likelihood": _tokens(lambda x, v: pseudolikelihood.store(x, v, penalty=PENALTY)),
    DRAW: _draw,
    MAP: _map,
}


def ancestral_rule(denoiser: Any, n_steps: int, block: int) -> Rule:
    """Reverse process of a denoiser; each `block` of queries in turn has one level, its own."""

    def recall(rng: np.random.Generator, x_t: Tokens, t: Floats) -> Recall:
        parts = [
            ancestral(denoiser, rng, x_t[start : start + block], float(t[start]), n_steps)
            for start in range(0, len(x_t), block)
        ]
        return _at_once(np.concatenate(parts))

    return recall
