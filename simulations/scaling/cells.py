"""What one cell of the scaling laws measures: one condition with one seed, at every K.

Raw numbers per sequence: tokens corrupted and restored, by the reverse process and by the best
change, the `loo` entropy as t -> 0, and the code length that the network gives a sequence.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import channel
from models.sampler import ancestral, noise
from models.sources import HierarchySource, IidSource, MarkovSource
from models.sources.permutations import permutation_chain
from models.streams import stream
from models.tokens import Tokens
from simulations.linear_curves.cells import COUNTS, curve_point
from simulations.linear_curves.config import Case, train_sizes
from simulations.measure.counts import (
    corrupted_count,
    count_tokens,
    decode,
    law_statistics,
    nelbo_rates,
    stratified_levels,
)
from simulations.phase.config import SMALL_LEVEL
from simulations.scaling.config import (
    CHANGE_LEVEL,
    RECOVERY_LEVEL,
    START_LEVEL,
    SYMBOLS_PER_RULE,
    Condition,
    ScalingConfig,
)

Floats = NDArray[np.float64]
SPLITS = ("train", "heldout")
DECODERS = ("ancestral", "best_change")


def make_source(condition: Condition, root_seed: int, seed: int) -> Any:
    """The source of a condition; the rules of a hierarchy are drawn anew for every seed."""
    if condition.source == "iid":
        return IidSource(condition.vocab_size, condition.seq_len)
    if condition.source == "markov":
        return MarkovSource(permutation_chain(condition.vocab_size), condition.seq_len)
    shape = (condition.vocab_size, condition.n_rules, SYMBOLS_PER_RULE, condition.depth)
    return HierarchySource.random(stream(root_seed, "rules", *shape, seed), *shape)


def code_length(laws: Any, schedule: Any, x_0: Tokens, draws: int, rng: Any, size: int) -> Floats:
    """Upper bound of -log p(x_0) under a model, nats a sequence, (batch,).

    NELBO: its diffusion term from t_0 to 1, by `draws` stratified levels; the reconstruction
    -log p(x_0 | x_t0) by the `full` law at t_0, one draw; the prior, L C(alpha(1)). `laws` maps
    x_t (n, L) and t (n,) to (log_loo, log_full).
    """
    n, seq_len = x_0.shape
    strata = stratified_levels(rng, START_LEVEL, n, draws).astype(np.float32)
    t = strata.T.reshape(-1).astype(np.float64)
    clean = np.tile(x_0, (draws, 1))
    keep = rng.random(clean.shape) < np.asarray(schedule.alpha(t))[:, None]
    x_t = np.where(keep, clean, rng.integers(size, size=clean.shape).astype(clean.dtype))
    rates = nelbo_rates(laws(x_t, t)[0], x_t, clean, t, schedule).reshape(draws, n).mean(0)
    x_t = noise(rng, x_0, float(schedule.alpha(START_LEVEL)), size)
    log_full = np.asarray(laws(x_t, np.full(n, START_LEVEL))[1], dtype=np.float64)
    own = np.take_along_axis(log_full, x_0[..., None].astype(np.int64), -1)[..., 0]
    prior = float(channel.capacity(schedule.alpha(1.0), size))
    total: Floats = seq_len * ((1 - START_LEVEL) * rates + prior) - own.sum(1)
    return total


def stored_among(x: Tokens, stored: Tokens) -> NDArray[np.bool_]:
    """Which rows of x (n, L) are rows of `stored` (K, L)."""

    def keys(rows: Tokens) -> Any:
        rows = np.ascontiguousarray(rows)
        return rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]

    return np.isin(keys(x), keys(stored))


def network_cell(config: ScalingConfig, condition: Condition, seed: int) -> xr.Dataset:
    """One condition with one seed: dimensions train_size, split, decoder, sample.

    Held-out sequences that are stored by chance are left out of the counts (0 corrupted).
    Raises models.training.train.TrainingDiverged, naming the step, when training stops being
    finite.
    """
    source = make_source(condition, config.root_seed, seed)
    name = condition.name
    largest = max(condition.train_sizes)
    stored = source.sample(stream(config.root_seed, "stored", name, seed), largest)
    held_out = source.sample(stream(config.root_seed, "held-out", name, seed), config.queries)
    points = [
        _point(config, condition, seed, size, stored, held_out, source)
        for size in condition.train_sizes
    ]
    merged = xr.concat([part for part, _ in points], "train_size")
    sizes = {"units": "sequences", "long_name": "training-set size"}
    return merged.assign_coords(
        train_size=("train_size", list(condition.train_sizes), sizes),
        split=list(SPLITS),
        decoder=list(DECODERS),
    ).assign_attrs(
        n_parameters=points[0][1],
        source_entropy=float(source.entropy()),
        loo_entropy=float(source.loo_entropy()),
    )


def _point(
    config: ScalingConfig,
    condition: Condition,
    seed: int,
    size: int,
    stored: Tokens,
    held_out: Tokens,
    source: Any,
) -> tuple[xr.Dataset, int]:
    """One network: trained on the first `size` sequences, then measured; its parameters."""
    import jax

    from models.networks.mlp import MLPDenoiser
    from simulations.phase.cells import Laws
    from simulations.sweep.checkpoint import train_in_cell

    rng = stream(config.root_seed, "scaling", condition.name, size, seed)
    k_model, k_train = jax.random.split(jax.random.key(int(rng.integers(2**31))))
    place = (condition.vocab_size, condition.seq_len, condition.width, condition.n_blocks)
    training = dataclasses.replace(
        config.training, steps=condition.steps, noise_draws=condition.draws
    )
    trained = train_in_cell(
        f"K{size}", k_train, MLPDenoiser(k_model, *place), stored, size, training
    ).model
    model = Laws(trained, config.queries)
    population = source.population_denoiser(trained.schedule)
    found: dict[str, list[Any]] = {}
    chosen = np.arange(config.queries) % size
    splits = (
        (stored[chosen], chosen, np.zeros(config.queries, bool)),
        (held_out, np.arange(config.queries), stored_among(held_out, stored[:size])),
    )
    for x_0, cluster, left_out in splits:
        _split(config, found, trained, model, population, x_0, left_out, rng)
        found.setdefault("cluster", []).append(cluster)
    n_parameters = sum(leaf.size for leaf in jax.tree.leaves(trained))
    return _dataset(found), n_parameters


def _split(
    config: ScalingConfig,
    found: dict[str, list[Any]],
    trained: Any,
    model: Any,
    population: Any,
    x_0: Tokens,
    left_out: NDArray[np.bool_],
    rng: np.random.Generator,
) -> None:
    """All readings of one split, appended to `found`."""
    size, schedule = trained.vocab_size, trained.schedule
    counted = np.where(left_out, 0, 1)
    rows: dict[str, list[Any]] = {"corrupted": [], "recovered": [], "population": []}
    for decoder, t in zip(DECODERS, (RECOVERY_LEVEL, CHANGE_LEVEL), strict=True):
        x_t = noise(rng, x_0, float(schedule.alpha(t)), size)
        if decoder == "ancestral":
            output = ancestral(trained, rng, x_t, t, config.n_steps)
            exact = population.posterior_draw(rng, x_t, t)
        else:
            output = decode(model.laws(x_t, np.full(len(x_t), t))[1], x_t)[decoder]
            law = channel.full_from_loo(population.log_loo(x_t, t), x_t, schedule.alpha(t))
            exact = decode(law, x_t)[decoder]
        rows["corrupted"].append(corrupted_count(x_0, x_t) * counted)
        rows["recovered"].append(count_tokens(x_0, x_t, output).recovered * counted)
        rows["population"].append(count_tokens(x_0, x_t, exact).recovered * counted)
    for name, values in rows.items():
        found.setdefault(name, []).append(values)
    log_loo = model.laws(x_0, np.full(len(x_0), SMALL_LEVEL))[0]
    found.setdefault("entropy", []).append(law_statistics(log_loo, x_0).entropy)
    n = min(config.nelbo_queries, len(x_0))
    found.setdefault("code_length", []).append(
        code_length(model.laws, schedule, x_0[:n], config.nelbo_draws, rng, size)
    )


def _dataset(found: dict[str, list[Any]]) -> xr.Dataset:
    counts = ("split", "decoder", "sample")
    schema: dict[str, tuple[tuple[str, ...], Any, str]] = {
        "corrupted": (counts, np.int16, "tokens"),
        "recovered": (counts, np.int16, "tokens"),
        "population": (counts, np.int16, "tokens"),
        "entropy": (("split", "sample"), np.float32, "nats per token"),
        "code_length": (("split", "nelbo_sample"), np.float32, "nats per sequence"),
        "cluster": (("split", "sample"), np.int32, "1"),
    }
    return xr.Dataset(
        {
            name: (dims, np.array(found[name], dtype), {"units": units})
            for name, (dims, dtype, units) in schema.items()
        }
    )


def linear_cell(config: ScalingConfig, case: Case, ratios: tuple[float, ...]) -> xr.Dataset:
    """Token counts of the linear denoiser of one case: dimensions ratio, set, split."""
    sizes = train_sizes(case, ratios)
    points = [
        [
            curve_point(
                case, k, config.queries, stream(config.root_seed, "linear", *case, k, number)
            )
            for number in range(config.linear_sets)
        ]
        for k in sizes
    ]
    data = {
        name: (
            ("ratio", "set", "split"),
            np.array([[point[name] for point in row] for row in points], np.int32),
            {"units": "tokens"},
        )
        for name in COUNTS
    }
    return xr.Dataset(
        {**data, "train_size": ("ratio", sizes, {"units": "sequences"})},
        {"ratio": ("ratio", list(ratios), {"units": "1"}), "split": list(SPLITS)},
    )
