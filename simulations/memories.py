"""Every kind of associative memory behind one call: corrupted sequences in, sequences out.

    rule = BUILDERS[name](patterns, vocab_size, max_iter)
    rule(rng, x_t, t) -> Recall

Memories with an energy run to a fixed point, one site at a time, and know nothing of t; the
empirical-score denoiser and a trained one are told the true t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from am_theory import channel
from models import dense, hopfield, potts
from models.empirical import EmpiricalDenoiser
from models.retrieval import Retrieval
from models.sampler import ancestral
from models.tokens import Tokens
from simulations.basins_config import DRAW, MAP

Floats = NDArray[np.float64]
MATCHED_ALPHA = 0.5  # the exponential memory's rate is the posterior's at this kept fraction


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


def exponential_rate(vocab_size: int) -> float:
    """Rate b of the exponential memory, matched to the channel at `MATCHED_ALPHA`."""
    return float(channel.inverse_temperature(MATCHED_ALPHA, vocab_size))


def _recall(found: Retrieval, tokens: Tokens) -> Recall:
    return Recall(tokens, found.iterations, found.converged, found.energy)


def _at_once(tokens: Tokens) -> Recall:
    """Of a rule that iterates nothing."""
    n = len(tokens)
    return Recall(tokens, np.full(n, -1), np.full(n, True), np.full(n, np.nan))


def _spins(rule: Any) -> Callable[[Tokens, int, int], Rule]:
    """Builder of a memory of spins, V = 2."""

    def build(patterns: Tokens, vocab_size: int, max_iter: int) -> Rule:
        memory = hopfield.store(hopfield.spins_from_tokens(patterns), rule=rule)

        def recall(rng: np.random.Generator, x_t: Tokens, t: Floats) -> Recall:
            found = memory.retrieve(hopfield.spins_from_tokens(x_t), max_iter=max_iter)
            return _recall(found, hopfield.tokens_from_spins(found.states))

        return recall

    return build


def _tokens(store: Callable[[Tokens, int], Any]) -> Callable[[Tokens, int, int], Rule]:
    """Builder of a memory of tokens with an energy."""

    def build(patterns: Tokens, vocab_size: int, max_iter: int) -> Rule:
        memory = store(patterns, vocab_size)

        def recall(rng: np.random.Generator, x_t: Tokens, t: Floats) -> Recall:
            found = memory.retrieve(x_t, max_iter=max_iter)
            return _recall(found, found.states)

        return recall

    return build


def _draw(patterns: Tokens, vocab_size: int, max_iter: int) -> Rule:
    store = EmpiricalDenoiser(patterns, vocab_size)
    return lambda rng, x_t, t: _at_once(store.posterior_draw(rng, x_t, t))


def _map(patterns: Tokens, vocab_size: int, max_iter: int) -> Rule:
    store = EmpiricalDenoiser(patterns, vocab_size)
    return lambda rng, x_t, t: _at_once(store.patterns[store.posterior(x_t, t, rng).map_index])


BUILDERS: dict[str, Callable[[Tokens, int, int], Rule]] = {
    "Hopfield": _spins("hebb"),
    "pseudo-inverse": _spins("pseudo-inverse"),
    "Potts": _tokens(potts.store),
    "dense, n = 3": _tokens(lambda x, v: dense.store(x, v, dense.Distinct(3))),
    "exponential": _tokens(lambda x, v: dense.store(x, v, dense.Exponential(exponential_rate(v)))),
    DRAW: _draw,
    MAP: _map,
}


def ancestral_rule(denoiser: Any, n_steps: int) -> Rule:
    """Reverse process of a denoiser from each query's own level; levels are taken in groups."""

    def recall(rng: np.random.Generator, x_t: Tokens, t: Floats) -> Recall:
        out = np.empty_like(x_t)
        for level in np.unique(t):
            rows = t == level
            out[rows] = ancestral(denoiser, rng, x_t[rows], float(level), n_steps)
        return _at_once(out)

    return recall
