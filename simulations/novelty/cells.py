"""What one cell of the novelty command measures: raw numbers per generated sequence.

Also the chance that unrelated sequences of a source lie near each other, exactly, against which
the classification is checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.exact.hamming import HammingStore
from models.streams import stream
from models.tokens import Tokens
from simulations.data.problem import make_source
from simulations.measure.checks import Check, as_dataset, check_mean
from simulations.novelty.config import (
    CONTROLS,
    EMPIRICAL,
    LABELS,
    PARTS,
    POPULATION,
    SOURCE,
    NoveltyConfig,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

BLOCK = 2**20  # pairs of sequences whose distances or matches are held at once
CHECK_SIZE = (3, 7, 24, 48)  # V, L, K, N of the exact checks: 2187 sequences, all of them summed


def classify(stored_distance: Ints, other_distance: Ints, distance: int) -> NDArray[np.bool_]:
    """Labels (..., 3) in the order of LABELS, exactly one true.

    memorized: a stored sequence lies within `distance`; spurious: none does, but another
    generated sequence; novel: neither. Distances (...) are to the nearest of each kind.

    Source: B. Pham et al., arXiv:2505.21777, with token Hamming distances.
    """
    memorized = np.asarray(stored_distance) <= distance
    repeated = np.asarray(other_distance) <= distance
    return np.stack([memorized, ~memorized & repeated, ~memorized & ~repeated], axis=-1)


def among_generated(tokens: Tokens, vocab_size: int, parts: int) -> tuple[Ints, Ints, Ints]:
    """Of each generated sequence of (n, L), n a multiple of `parts`, all (n,): the distance to
    the nearest other one, that within its own part of the draws, and the number of others equal
    to it. A part of one sequence has no others: L + 1."""
    n, seq_len = tokens.shape
    store = HammingStore.of(tokens, vocab_size)
    nearest, in_part, equal = (np.empty(n, np.int64) for _ in range(3))
    size = n // parts
    rows = max(1, BLOCK // n)
    for start in range(0, n, size):
        part = slice(start, start + size)
        for first in range(start, start + size, rows):
            block = np.arange(first, min(first + rows, start + size))
            gaps = store.distances(tokens[block]).astype(np.int32)
            gaps[np.arange(len(block)), block] = seq_len + 1
            nearest[block], in_part[block] = gaps.min(1), gaps[:, part].min(1)
            equal[block] = (gaps == 0).sum(1)
    return nearest, in_part, equal


def pieces(tokens: Tokens, stored: Tokens) -> Ints:
    """Smallest number of stretches that make up each sequence of (n, L), each found at the same
    sites of some stored sequence of (K, L): 1 for a copy, 2 for the head of one stored sequence
    and the tail of another. A token that no stored sequence has at its site is one piece.

    From the first site on the longest stretch is taken; as any part of a stretch is one, no other
    choice needs fewer. Cost n K L.
    """
    n, seq_len = tokens.shape
    small = np.uint8 if seq_len < 256 else np.uint16
    reach = np.empty((n, seq_len), np.int64)  # longest stretch from each site
    columns = np.ascontiguousarray(stored.T)
    rows = max(1, BLOCK // len(stored))
    for first in range(0, n, rows):
        part = tokens[first : first + rows]
        run = np.zeros((len(part), len(stored)), small)
        for site in reversed(range(seq_len)):
            run += 1
            run *= part[:, site, None] == columns[site]
            reach[first : first + rows, site] = run.max(1)
    count, done = np.zeros(n, np.int64), np.zeros(n, np.int64)
    while (left := np.flatnonzero(done < seq_len)).size:
        done[left] += np.maximum(1, reach[left, done[left]])
        count[left] += 1
    return count


def _steps(source: Any) -> tuple[Floats, Floats]:
    """Initial law (V,) and transition (V, V) of a chain or of independent tokens."""
    if hasattr(source, "transition"):
        return source.initial, source.transition
    return source.probs, np.broadcast_to(source.probs, (source.vocab_size, source.vocab_size))


def near_probability(source: Any, tokens: Tokens, reach: int) -> Floats:
    """P(a sequence of the source lies within distance d of each given one), (n, reach + 1).

    Exact, column d = 0 ... reach, by a sum over chains that keeps the last token and the number
    of differences so far. Cost n L reach V^2.
    """
    initial, transition = _steps(source)
    law = np.zeros((len(tokens), reach + 1, source.vocab_size))
    law[:, 0] = initial
    for site in range(source.seq_len):
        if site:
            law = law @ transition
        own = (np.arange(source.vocab_size) == tokens[:, site, None])[:, None]
        differing = np.where(own, 0.0, law)
        law = np.where(own, law, 0.0)
        law[:, 1:] += differing[:, :-1]
    return np.cumsum(law.sum(-1), axis=1)


def pair_probability(source: Any, reach: int) -> Floats:
    """P(two independent sequences of the source lie within distance d), (reach + 1,). Exact."""
    initial, transition = _steps(source)
    law = np.zeros((reach + 1, source.vocab_size, source.vocab_size))
    law[0] = np.outer(initial, initial)
    equal = np.eye(source.vocab_size, dtype=bool)
    for site in range(source.seq_len):
        if site:
            law = transition.T @ law @ transition
        differing = np.where(equal, 0.0, law)
        law = np.where(equal, law, 0.0)
        law[1:] += differing[:-1]
    return np.cumsum(law.sum((1, 2)))


def chance_shares(near: Floats, train_size: int, n: int) -> Floats:
    """Expected labels (..., 3) of a sequence among `n` fresh ones of the source, K stored.

    near (...): probability q that a sequence of the source lies near it. All others are
    independent of it, so memorized 1 - (1 - q)^K and novel (1 - q)^(K + n - 1), exactly.
    """
    away = np.log1p(-near)
    unstored, novel = np.exp(train_size * away), np.exp((train_size + n - 1) * away)
    return np.stack([1 - unstored, unstored - novel, novel], axis=-1)


def against_stored(config: NoveltyConfig, tokens: Tokens, stored: Tokens) -> dict[str, Ints]:
    """Raw numbers (n,) of generated sequences (n, L) that depend on the stored ones (K, L)."""
    nearest, _ = HammingStore.of(stored, config.vocab_size).nearest(tokens)
    return {"stored_distance": nearest, "pieces": pieces(tokens, stored)}


def unconditional(config: NoveltyConfig, source: Any, tokens: Tokens) -> dict[str, Any]:
    """Raw numbers (n,) of generated sequences (n, L) that depend on these alone."""
    nearest, in_part, equal = among_generated(tokens, config.vocab_size, PARTS)
    names = ("other_distance", "part_distance", "equal_others")
    found: dict[str, Any] = dict(zip(names, (nearest, in_part, equal), strict=True))
    return {**found, "log_prob": source.log_prob(tokens)}


UNITS = {
    "stored_distance": ("tokens", "distance to the nearest stored sequence"),
    "pieces": ("1", "stretches of stored sequences that make it up"),
    "other_distance": ("tokens", "distance to the nearest other generated sequence"),
    "part_distance": ("tokens", "the same within its quarter of the draws"),
    "equal_others": ("sequences", "other generated sequences equal to it"),
    "log_prob": ("nats", "log probability under the source"),
}


def _dataset(found: dict[str, Any], dims: tuple[str, ...]) -> xr.Dataset:
    variables = {}
    for name, (units, long_name) in UNITS.items():
        values = np.asarray(found[name])
        kind = np.float64 if values.dtype.kind == "f" else np.uint16
        attributes = {"units": units, "long_name": long_name}
        variables[name] = (dims, values.astype(kind), attributes)
    return xr.Dataset(variables)


def compute(config: NoveltyConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep."""
    if coordinates["kind"] == "model":
        return model(config, coordinates["train_size"], coordinates["seed"])
    if coordinates["kind"] == "controls":
        return controls(config, coordinates["seed"])
    return checks(config)


def model(config: NoveltyConfig, train_size: int, seed: int) -> xr.Dataset:
    """One trained network: dimensions sample and, of its sequences themselves, position.

    Raises models.training.train.TrainingDiverged, naming the step, when training stops being
    finite.
    """
    from models.sampler import generate

    problem = config.problem(seed, held_out=1)
    trained = config.train(problem, train_size, seed)
    rng = stream(config.root_seed, "novelty", train_size, seed)
    tokens = generate(trained.model, rng, config.sequences, config.seq_len, config.n_steps)
    tokens = tokens.astype(problem.stored.dtype)
    found = against_stored(config, tokens, problem.stored[:train_size])
    out = _dataset({**found, **unconditional(config, problem.source, tokens)}, ("sample",))
    attributes = {"units": "1", "long_name": "generated sequences"}
    return out.assign(generated=(("sample", "position"), tokens, attributes))


def controls(config: NoveltyConfig, seed: int) -> xr.Dataset:
    """The three controls of one seed, next to the same stored sequences as the networks.

    Dimensions model (CONTROLS), train_size, sample. source: fresh sequences; population: the
    exact denoiser of the source by the same reverse steps; empirical: draws of the exact
    denoiser of the K stored ones. stepped_distance (train_size, stepped): to the nearest stored
    one, of the latter denoiser by reverse steps. stored_log_prob (train_size): mean, nats.
    """
    from models.exact.empirical import EmpiricalDenoiser
    from models.sampler import generate

    problem = config.problem(seed, held_out=1)
    source: Any = problem.source
    n, length = config.sequences, config.seq_len
    rng = stream(config.root_seed, "novelty controls", seed)
    fresh = source.sample(rng, n)
    exact = generate(source.population_denoiser(), rng, n, length, config.n_steps)
    made = {SOURCE: fresh, POPULATION: exact}
    alone = {name: unconditional(config, source, tokens) for name, tokens in made.items()}
    rows, stepped, levels = [], [], []
    for size in config.train_sizes:
        stored = problem.stored[:size]
        memory = EmpiricalDenoiser(stored, config.vocab_size)
        noise = rng.integers(config.vocab_size, size=(n, length))
        copies = memory.posterior_draw(rng, noise, 1.0)
        alone[EMPIRICAL] = unconditional(config, source, copies)
        rows.append(
            [
                {**against_stored(config, tokens, stored), **alone[name]}
                for name, tokens in {**made, EMPIRICAL: copies}.items()
            ]
        )
        walked = generate(memory, rng, config.stepped, length, config.n_steps)
        stepped.append(HammingStore.of(stored, config.vocab_size).nearest(walked)[0])
        levels.append(float(source.log_prob(stored).mean()))
    found = {
        name: np.array([[row[k][name] for row in rows] for k in range(len(CONTROLS))])
        for name in UNITS
    }
    out = _dataset(found, ("model", "train_size", "sample"))
    distance = {"units": "tokens", "long_name": "stepped memorizer to the nearest stored sequence"}
    level = {"units": "nats", "long_name": "mean log probability of the stored sequences"}
    return out.assign(
        stepped_distance=(("train_size", "stepped"), np.array(stepped, np.uint16), distance),
        stored_log_prob=("train_size", np.array(levels), level),
    )


def chance_checks(config: NoveltyConfig) -> list[Check]:
    """Labels of fresh sequences against chance, for a source small enough to sum over all of its
    sequences; the standard error is over independent sets of stored and fresh ones."""
    vocab_size, length, size, n = CHECK_SIZE
    source = make_source(config.source, vocab_size, length)
    everything = np.indices((vocab_size,) * length).reshape(length, -1).T.astype(np.uint8)
    near = near_probability(source, everything, 2)
    law = np.exp(source.log_prob(everything))
    rng = stream(config.root_seed, "novelty checks")
    counts: dict[int, list[Floats]] = {n: [], n // PARTS: []}
    for _ in range(config.check_sets):
        stored, fresh = source.sample(rng, size), source.sample(rng, n)
        at = HammingStore.of(stored, vocab_size).nearest(fresh)[0]
        all_, part, _ = among_generated(fresh, vocab_size, PARTS)
        for others, found in zip((all_, part), counts.values(), strict=True):
            found.append(np.array([classify(at, others, d).mean(0) for d in range(3)]))
    checks = []
    for total, found in counts.items():
        exact = np.einsum("x,xdk->dk", law, chance_shares(near, size, total))
        for d in range(3):
            for k, label in enumerate(LABELS[:2]):  # the third is the rest
                name = f"{config.source} V={vocab_size} L={length} K={size} N={total} d={d}: "
                values = np.array([one[d, k] for one in found])
                checks.append(check_mean(name + label, values, float(exact[d, k])))
    return checks


def checks(config: NoveltyConfig) -> xr.Dataset:
    """The exact checks as a cell."""
    return as_dataset(chance_checks(config))
