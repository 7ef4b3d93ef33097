"""One cell of the basins: memories of K random sequences, queried at every noise level.

Stored sequences and corruptions depend on (V, L, K) alone, so that all memories see the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory.channel import LogLinear, corruption_rate
from models.exact.empirical import EmpiricalDenoiser
from models.sampler import noise
from models.streams import stream
from models.tokens import Tokens
from simulations.basins.config import TRAINED, Config, memories_of
from simulations.basins.memories import BUILDERS, Rule, ancestral_rule
from simulations.measure.counts import corrupted_count, count_tokens


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

    truth: the stored sequences, of number `index` (per_set,); x_t: corrupted; t (n,).
    """

    store: EmpiricalDenoiser
    index: NDArray[np.int64]
    truth: Tokens
    x_t: Tokens
    t: NDArray[np.float64]


def make_queries(config: Config, place: tuple[int, int, int], number: int, per_set: int) -> Queries:
    """Set `number` at a place (V, L, K), the same for every memory."""
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
    return Queries(store, index, np.tile(x_0, (len(plan), 1)), np.concatenate(x_t), level)


def measure(
    config: Config, vocab_size: int, seq_len: int, train_size: int, trained: bool
) -> xr.Dataset:
    """Raw counts per query, dimensions (memory, corruption, sample)."""
    place = (vocab_size, seq_len, train_size)
    sets, per_set = config.sets, config.queries_per_set
    if trained:
        sets, per_set = 1, sets * per_set
    names = [
        memory.name
        for memory in memories_of(config, *place)
        if (memory.kind == "trained") == trained
    ]
    plan = corruptions(config, vocab_size, seq_len)
    out = _empty(names, plan, sets, per_set)
    for number in range(sets):
        queries = make_queries(config, place, number, per_set)
        samples = slice(number * per_set, (number + 1) * per_set)
        out["stored_index"][samples] = queries.index
        truth, x_t, store = queries.truth, queries.x_t, queries.store
        shared = {
            "corrupted": corrupted_count(truth, x_t),
            "lookup": store.nearest(x_t, truth)[0],
        }
        for m, name in enumerate(names):
            rule = make_rule(config, name, store)
            found = rule(stream(config.root_seed, name, *place, number), x_t, queries.t)
            counts = count_tokens(truth, x_t, found.tokens)
            rows = shared | {
                "recovered": counts.recovered,
                "broken": counts.broken,
                "nearest": store.nearest(found.tokens, truth)[0],
                "exact": (found.tokens == truth).all(1),
                "unchanged": (found.tokens == x_t).all(1),
                "iterations": found.iterations,
                "converged": found.converged,
                "energy": found.energy,
            }
            for key, values in rows.items():
                out[key][m, :, samples] = values.reshape(len(plan), per_set)
    return out


def make_rule(config: Config, memory: str, store: EmpiricalDenoiser) -> Rule:
    """The memory of the stored sequences; a trained denoiser is trained on them first."""
    patterns, vocab_size = store.patterns, store.vocab_size
    if memory != TRAINED:
        return BUILDERS[memory](store, config.max_iter)
    import jax
    import jax.numpy as jnp

    from models.networks.mlp import MLPDenoiser
    from simulations.sweep.checkpoint import train_in_cell

    size, seq_len = patterns.shape
    key = int(stream(config.root_seed, "training", vocab_size, seq_len, size).integers(2**31))
    k_model, k_train = jax.random.split(jax.random.key(key))
    model = MLPDenoiser(k_model, vocab_size, seq_len, config.width)
    # One padded shape for all K: the training step compiles once per worker and panel.
    padded = np.zeros((max(config.trained_sizes), seq_len), np.int32)
    padded[:size] = patterns
    trained = train_in_cell("model", k_train, model, jnp.asarray(padded), size, config.training)
    return ancestral_rule(trained.model, config.n_steps, config.sets * config.queries_per_set)


SCHEMA: tuple[tuple[str, Any, str, str], ...] = (
    ("corrupted", np.int16, "tokens", "tokens that differ from the stored sequence"),
    ("recovered", np.int16, "tokens", "changed tokens restored"),
    ("broken", np.int16, "tokens", "unchanged tokens broken"),
    ("nearest", np.float32, "1", "stored sequence nearest to the output is the queried one"),
    ("lookup", np.float32, "1", "the same of the corrupted query itself: MAP decoding"),
    ("exact", np.int8, "1", "output equals the stored sequence"),
    ("unchanged", np.int8, "1", "output equals the corrupted query"),
    ("iterations", np.int16, "sweeps", "sweeps that changed something; -1 where none are made"),
    ("converged", np.int8, "1", "a fixed point was reached"),
    ("energy", np.float32, "of the memory", "energy of the output; NaN where there is none"),
)


def _empty(names: list[str], plan: list[tuple[float, int]], sets: int, per_set: int) -> xr.Dataset:
    shape = len(names), len(plan), sets * per_set
    variables: dict[str, Any] = {
        name: (
            ("memory", "corruption", "sample"),
            np.zeros(shape, dtype),
            {"units": units, "long_name": long_name},
        )
        for name, dtype, units, long_name in SCHEMA
    }
    number = np.repeat(np.arange(sets, dtype=np.int32), per_set)
    which = {"units": "1", "long_name": "which of the K sequences was corrupted"}
    variables["set"] = ("sample", number, {"units": "1", "long_name": "set of stored sequences"})
    variables["stored_index"] = ("sample", np.zeros_like(number), which)
    fixed = {"units": "tokens", "long_name": "changed tokens, fixed; -1: by the channel at t"}
    errors = np.array([count for _, count in plan], np.int16)
    variables["errors"] = ("corruption", errors, fixed)
    levels = np.array([t for t, _ in plan])
    coords: dict[str, Any] = {"memory": names, "t": ("corruption", levels, {"units": "1"})}
    return xr.Dataset(variables, coords)
