"""Every kind of associative memory behind one call: corrupted sequences in, sequences out.

    rule = BUILDERS[name](store, max_iter)
    rule(rng, x_t, t) -> Retrieval, its states tokens (n, L)

`store` is the empirical denoiser of the sequences, which holds them. Memories with an energy,
and pseudo-likelihood, run to a fixed point one site at a time and know nothing of t; the
empirical-score denoiser and a trained one are told the true t. Where nothing is iterated,
iterations are -1; where there is no energy, it is NaN. x_t holds V at erased sites: memories and
the trained denoiser start as `erased` says, the empirical one needs a store behind the absorbing
channel, which reads them as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.exact.empirical import EmpiricalDenoiser
from models.memories import dense, hopfield, potts, pseudolikelihood
from models.memories.retrieval import Retrieval
from models.sampler import ancestral
from models.tokens import Tokens
from simulations.basins import erased
from simulations.basins.config import DRAW, MAP, PENALTY
from simulations.basins.theory import exponential_rate

Floats = NDArray[np.float64]


Rule = Callable[[np.random.Generator, Tokens, Floats], Retrieval]
Builder = Callable[[EmpiricalDenoiser, int], Rule]


def _at_once(tokens: Tokens) -> Retrieval:
    """Of a rule that iterates nothing."""
    n = len(tokens)
    return Retrieval(tokens, np.full(n, -1), np.full(n, True), np.full(n, np.nan))


def _same(tokens: Tokens) -> Tokens:
    return tokens


def _memory(
    store: Callable[[Tokens, int], Any],
    fields: Callable[[Any], erased.Fields],
    there: Any = _same,
    back: Any = _same,
) -> Builder:
    """Builder of a memory that runs to a fixed point; `there` and `back` translate its states."""

    def build(stored: EmpiricalDenoiser, max_iter: int) -> Rule:
        vocab_size = stored.vocab_size
        memory = store(there(stored.patterns), vocab_size)
        favours = fields(memory)

        def recall(rng: np.random.Generator, x_t: Tokens, t: Floats) -> Retrieval:
            if (x_t == vocab_size).any():
                x_t = erased.favoured(rng, x_t, vocab_size, favours)
            found = memory.retrieve(there(x_t), max_iter=max_iter)
            return replace(found, states=back(found.states))

        return recall

    return build


def _spins(rule: Any) -> Builder:
    """Builder of a memory of spins, V = 2."""
    there, back = hopfield.spins_from_tokens, hopfield.tokens_from_spins
    return _memory(
        lambda spins, v: hopfield.store(spins, rule=rule), erased.spin_fields, there, back
    )


def _draw(store: EmpiricalDenoiser, max_iter: int) -> Rule:
    return lambda rng, x_t, t: _at_once(store.posterior_draw(rng, x_t, t))


def _map(store: EmpiricalDenoiser, max_iter: int) -> Rule:
    return lambda rng, x_t, t: _at_once(store.patterns[store.posterior(x_t, t, rng).map_index])


BUILDERS: dict[str, Builder] = {
    "Hopfield": _spins("hebb"),
    "pseudo-inverse": _spins("pseudo-inverse"),
    "Potts": _memory(potts.store, erased.vote_fields(erased.overlap_weight)),
    "dense, n = 3": _memory(
        lambda x, v: dense.store(x, v, dense.Distinct(3)), erased.vote_fields(erased.pair_weight)
    ),
    "exponential": _memory(
        lambda x, v: dense.store(x, v, dense.Exponential(exponential_rate(v))),
        erased.vote_fields(erased.exponential_weight),
    ),
    "pseudo-likelihood": _memory(
        partial(pseudolikelihood.store, penalty=PENALTY), erased.row_fields
    ),
    DRAW: _draw,
    MAP: _map,
}


def ancestral_rule(denoiser: Any, n_steps: int, block: int) -> Rule:
    """Reverse process of a denoiser; each `block` of queries in turn has one level, its own."""

    def recall(rng: np.random.Generator, x_t: Tokens, t: Floats) -> Retrieval:
        if (x_t == denoiser.vocab_size).any():
            x_t = erased.filled(rng, x_t, denoiser.vocab_size)
        parts = [
            ancestral(denoiser, rng, x_t[start : start + block], float(t[start]), n_steps)
            for start in range(0, len(x_t), block)
        ]
        return _at_once(np.concatenate(parts))

    return recall
