"""One cell of the basins: memories of K random sequences, queried at every noise level.

Stored sequences and corruptions depend on (V, L, K) alone, so that all memories see the same.
Erasures have random streams of their own: without them all other numbers are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory.channel import Absorbing, LogLinear, corruption_rate
from models.exact.empirical import EmpiricalDenoiser
from models.memories.retrieval import Retrieval
from models.noise import noise
from models.streams import stream
from models.tokens import Tokens
from simulations.basins.config import PLACE, TRAINED, Config, memories_of
from simulations.basins.memories import BUILDERS, Rule, ancestral_rule
from simulations.measure.counts import corrupted_count, count_tokens
from simulations.trained import train_network


def error_count(t: float, seq_len: int, vocab_size: int) -> int:
    """Mean number of tokens that the channel changes at level t, rounded."""
    return round(seq_len * float(corruption_rate(float(LogLinear().alpha(t)), vocab_size)))


def exact_errors(rng: np.random.Generator, x_0: Tokens, count: int, vocab_size: int) -> Tokens:
    """`count` random tokens of each sequence (batch, L) changed to random other values."""
    rank = rng.random(x_0.shape).argsort(axis=1).argsort(axis=1)
    other = (x_0 + rng.integers(1, vocab_size, size=x_0.shape)) % vocab_size
    changed: Tokens = np.where(rank < count, other, x_0).astype(x_0.dtype)
    return changed


def corruptions(config: Config, vocab_size: int, seq_len: int) -> list[tuple[float, int]]:
    """(t, -1) for the channel at each level, then (t, D) for exactly D changed tokens."""
    exact = [(t, error_count(t, seq_len, vocab_size)) for t in config.error_levels]
    return [*((t, -1) for t in config.levels), *exact]


@dataclass(frozen=True)
class Queries:
    """One set of stored sequences and what was made of them, (n, L), all corruptions in turn.

    store: of the corruption's channel; truth: the stored sequences, of number `index` (per_set,);
    x_t: corrupted, V at erased sites; t (n,); lookup (n,): share of MAP decoding that is right.
    """

    store: EmpiricalDenoiser
    index: NDArray[np.int64]
    truth: Tokens
    x_t: Tokens
    t: NDArray[np.float64]
    lookup: NDArray[np.float64]


def make_queries(config: Config, place: tuple[int, ...], number: int, per_set: int) -> Queries:
    """Set `number` at a place (V, L, K), the same for every memory; tokens changed."""
    vocab_size, seq_len, train_size = place
    rng = stream(config.root_seed, "stored", *place, number)
    patterns = rng.integers(vocab_size, size=(train_size, seq_len), dtype=np.uint8)
    store = EmpiricalDenoiser(patterns, vocab_size)
    rng = stream(config.root_seed, "queries", *place, number, per_set)
    index = rng.integers(train_size, size=per_set)
    x_0 = patterns[index]
    plan = corruptions(config, vocab_size, seq_len)
    x_t = [
        noise(rng, x_0, float(store.schedule.alpha(t)), vocab_size)
        if errors < 0
        else exact_errors(rng, x_0, errors, vocab_size)
        for t, errors in plan
    ]
    level = np.repeat([t for t, _ in plan], per_set)
    truth, changed = np.tile(x_0, (len(plan), 1)), np.concatenate(x_t)
    return Queries(store, index, truth, changed, level, store.nearest(changed, truth)[0])


def make_erased(
    config: Config, place: tuple[int, ...], number: int, per_set: int, given: Queries
) -> Queries:
    """The same stored sequences as in `given`, tokens erased at each of `erased_levels`."""
    store, levels = given.store, config.erased_levels
    channel = Absorbing(store.vocab_size)
    behind = EmpiricalDenoiser(store.patterns, store.vocab_size, store.schedule, channel=channel)
    rng = stream(config.root_seed, "erased queries", *place, number, per_set)
    x_0 = store.patterns[given.index]
    erased = [noise(rng, x_0, float(store.schedule.alpha(t)), channel) for t in levels]
    truth, x_t, level = (
        np.tile(x_0, (len(levels), 1)),
        np.concatenate(erased),
        np.repeat(levels, per_set),
    )
    own = behind.weights(x_t, level)[np.arange(len(x_t)), np.tile(given.index, len(levels))]
    lookup = own * np.tile(store.multiplicity(x_0), len(levels))
    return Queries(behind, given.index, truth, x_t, level, lookup)


def compute(config: Config, coordinates: dict[str, Any]) -> xr.Dataset:
    """Raw counts per query of one cell, dimensions (memory, corruption, sample)."""
    place = tuple(coordinates[name] for name in PLACE)
    sets, per_set = config.sets, config.queries_per_set
    if coordinates["trained"]:
        sets, per_set = 1, config.queries
    memories = memories_of(config, **coordinates)
    plan = corruptions(config, *place[:2])
    out = _empty([memory.name for memory in memories], plan, config.erased_levels, sets, per_set)
    changed, erased = slice(len(plan)), slice(len(plan), None)
    for number in range(sets):
        queries = make_queries(config, place, number, per_set)
        blanks = make_erased(config, place, number, per_set, queries)
        samples = slice(number * per_set, (number + 1) * per_set)
        out["stored_index"][samples] = queries.index
        for m, memory in enumerate(memories):
            rule = make_rule(config, memory.name, queries.store)
            rng = stream(config.root_seed, memory.name, *place, number)
            _enter(out, m, changed, samples, queries, rule(rng, queries.x_t, queries.t))
            if memory.kind == "lookup":  # the exact denoiser of the other channel
                rule = make_rule(config, memory.name, blanks.store)
            rng = stream(config.root_seed, "erased", memory.name, *place, number)
            _enter(out, m, erased, samples, blanks, rule(rng, blanks.x_t, blanks.t))
    return out


def _enter(
    out: xr.Dataset, m: int, rows: slice, samples: slice, queries: Queries, found: Retrieval
) -> None:
    """Enter what memory m made of a set's queries, at the corruptions `rows`."""
    truth, x_t = queries.truth, queries.x_t
    counts = count_tokens(truth, x_t, found.states)
    columns = {
        "corrupted": corrupted_count(truth, x_t),
        "lookup": queries.lookup,
        "recovered": counts.recovered,
        "broken": counts.broken,
        "nearest": queries.store.nearest(found.states, truth)[0],
        "exact": (found.states == truth).all(1),
        "unchanged": (found.states == x_t).all(1),
        "iterations": found.iterations,
        "converged": found.converged,
        "energy": found.energy,
    }
    for key, values in columns.items():
        out[key][m, rows, samples] = values.reshape(-1, len(queries.index))


def make_rule(config: Config, memory: str, store: EmpiricalDenoiser) -> Rule:
    """The memory of the stored sequences; a trained denoiser is trained on them first."""
    patterns, vocab_size = store.patterns, store.vocab_size
    if memory != TRAINED:
        return BUILDERS[memory](store, config.max_iter)
    import jax.numpy as jnp

    size, seq_len = patterns.shape
    # One padded shape for all K: the training step compiles once per worker and panel.
    padded = np.zeros((max(config.trained_sizes), seq_len), np.int32)
    padded[:size] = patterns
    network = config.network(vocab_size, seq_len)
    rng = stream(config.root_seed, "training", vocab_size, seq_len, size)
    trained = train_network(rng, network, jnp.asarray(padded), size, config.training)
    return ancestral_rule(trained.model, config.n_steps, config.queries)


SCHEMA: tuple[tuple[str, Any, str, str], ...] = (
    ("corrupted", np.int16, "tokens", "tokens changed or erased"),
    ("recovered", np.int16, "tokens", "of them, those restored"),
    ("broken", np.int16, "tokens", "of the others, those broken"),
    ("nearest", np.float32, "1", "stored sequence nearest to the output is the queried one"),
    ("lookup", np.float32, "1", "the same of the corrupted query itself: MAP decoding"),
    ("exact", np.int8, "1", "output equals the stored sequence"),
    ("unchanged", np.int8, "1", "output equals the corrupted query"),
    ("iterations", np.int16, "sweeps", "sweeps that changed something; -1 where none are made"),
    ("converged", np.int8, "1", "a fixed point was reached"),
    ("energy", np.float32, "of the memory", "energy of the output; NaN where there is none"),
    ("set", np.int32, "1", "set of stored sequences"),
    ("stored_index", np.int32, "1", "which of the K sequences was corrupted"),
    ("errors", np.int16, "tokens", "changed tokens, fixed; -1: by the channel at t"),
    ("erased", np.int8, "1", "tokens are erased, not changed: the absorbing channel at t"),
)
DIMS = {
    "set": ("sample",),
    "stored_index": ("sample",),
    "errors": ("corruption",),
    "erased": ("corruption",),
}


def _empty(
    names: list[str],
    plan: list[tuple[float, int]],
    erased: tuple[float, ...],
    sets: int,
    per_set: int,
) -> xr.Dataset:
    plan = [*plan, *((t, -1) for t in erased)]
    sizes = {"memory": len(names), "corruption": len(plan), "sample": sets * per_set}
    variables: dict[str, Any] = {}
    for name, dtype, units, long_name in SCHEMA:
        dims = DIMS.get(name, tuple(sizes))
        zeros = np.zeros([sizes[dim] for dim in dims], dtype)
        variables[name] = (dims, zeros, {"units": units, "long_name": long_name})
    levels = ("corruption", [t for t, _ in plan], {"units": "1"})
    out = xr.Dataset(variables, {"memory": names, "t": levels})
    out["set"][:] = np.repeat(np.arange(sets), per_set)
    out["errors"][:] = [errors for _, errors in plan]
    out["erased"][len(plan) - len(erased) :] = 1
    return out
