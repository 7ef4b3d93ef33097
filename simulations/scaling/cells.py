"""What one cell of the scaling laws measures: one condition with one seed, at every K.

Raw numbers per sequence: tokens corrupted and restored, by the reverse process and by the best
change, the `loo` entropy as t -> 0, and the code length that the network gives a sequence. The
optimal memorizer of the same K sequences and the exact law of the source restore the same inputs;
in the place of their reverse process stands one exact posterior draw.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import channel
from am_theory.channel import Uniform
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from models.sampler import ancestral
from models.sources import HierarchySource, IidSource, MarkovSource
from models.sources.permutations import permutation_chain
from models.streams import stream
from models.tokens import Tokens
from simulations.linear_curves.cells import COUNTS, curve_points
from simulations.linear_curves.config import Case, train_sizes
from simulations.measure.counts import (
    corrupted_count,
    count_tokens,
    decode,
    law_statistics,
    nelbo_rates,
    noisy_inputs,
)
from simulations.measure.names import SMALL_LEVEL
from simulations.scaling.config import (
    CHANGE_LEVEL,
    RECOVERY_LEVEL,
    START_LEVEL,
    SYMBOLS_PER_RULE,
    Condition,
    ScalingConfig,
)
from simulations.trained import Laws, train_network

Floats = NDArray[np.float64]
SPLITS = ("train", "heldout")
DECODERS = ("ancestral", "best_change")
_COUNTED = (("split", "decoder", "sample"), np.int16, "tokens")
SCHEMA: dict[str, tuple[tuple[str, ...], Any, str]] = {
    "corrupted": _COUNTED,
    "recovered": _COUNTED,
    "population": _COUNTED,
    "memorizer": _COUNTED,
    "entropy": (("split", "sample"), np.float32, "nats per token"),
    "code_length": (("split", "nelbo_sample"), np.float32, "nats per sequence"),
    "cluster": (("split", "sample"), np.int32, "1"),
}


def compute(config: ScalingConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep."""
    if coordinates["kind"] == "linear":
        return linear_cell(config, tuple(coordinates["case"]), tuple(coordinates["ratios"]))
    words = coordinates["condition"]
    condition = Condition(**{**words, "train_sizes": tuple(words["train_sizes"])})
    return network_cell(config, condition, coordinates["seed"])


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
    x_t, clean, t = noisy_inputs(rng, x_0, draws, START_LEVEL, schedule, Uniform(size))
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
    place = (condition.name, seed)
    largest = max(condition.train_sizes)
    stored = source.sample(stream(config.root_seed, "stored", *place), largest)
    held_out = source.sample(stream(config.root_seed, "held-out", *place), config.queries)
    points = [
        _point(config, condition, seed, size, stored, held_out, source)
        for size in condition.train_sizes
    ]
    sizes = {"units": "sequences", "long_name": "training-set size"}
    return (
        xr.concat(points, "train_size")
        .assign_coords(
            train_size=("train_size", list(condition.train_sizes), sizes),
            split=list(SPLITS),
            decoder=list(DECODERS),
        )
        .assign_attrs(
            source_entropy=float(source.entropy()), loo_entropy=float(source.loo_entropy())
        )
    )


def _point(
    config: ScalingConfig,
    condition: Condition,
    seed: int,
    size: int,
    stored: Tokens,
    held_out: Tokens,
    source: Any,
) -> xr.Dataset:
    """One network: trained on the first `size` sequences, then measured."""
    import jax

    place = (condition.name, size, seed)
    rng = stream(config.root_seed, "scaling", *place)
    training = dataclasses.replace(
        config.training, steps=condition.steps, noise_draws=condition.draws
    )
    trained = train_network(rng, condition.network, stored, size, training, f"K{size}").model
    population = source.population_denoiser(trained.schedule)
    memorizer = EmpiricalDenoiser(stored[:size], condition.vocab_size, trained.schedule)
    denoisers = (trained, population, memorizer)
    # what the memorizer draws is no part of the stream that everything else is drawn from
    streams = (rng, stream(config.root_seed, "memorizer", *place))
    numbers = np.arange(config.queries)
    splits = (
        (stored[numbers % size], numbers % size, np.zeros(config.queries, bool)),
        (held_out, numbers, stored_among(held_out, stored[:size])),
    )
    found = [
        {**_readings(config, denoisers, streams, x_0, left_out), "cluster": cluster}
        for x_0, cluster, left_out in splits
    ]
    data = {
        name: (dims, np.array([part[name] for part in found], dtype), {"units": units})
        for name, (dims, dtype, units) in SCHEMA.items()
    }
    n_parameters = sum(leaf.size for leaf in jax.tree.leaves(trained))
    return xr.Dataset(data, attrs={"n_parameters": n_parameters})


def _readings(
    config: ScalingConfig,
    denoisers: tuple[Any, Any, EmpiricalDenoiser],
    streams: tuple[np.random.Generator, np.random.Generator],
    x_0: Tokens,
    left_out: NDArray[np.bool_],
) -> dict[str, Any]:
    """All of `SCHEMA` for one split, but for the clusters; the memorizer draws from the second
    stream."""
    (trained, population, memorizer), (rng, own) = denoisers, streams
    model, schedule = Laws(trained, config.queries), trained.schedule
    found: dict[str, list[Any]] = {
        name: [] for name in ("corrupted", "recovered", "population", "memorizer")
    }
    for decoder, t in zip(DECODERS, (RECOVERY_LEVEL, CHANGE_LEVEL), strict=True):
        x_t = noise(rng, x_0, float(schedule.alpha(t)), trained.vocab_size)
        if decoder == "ancestral":
            output = ancestral(trained, rng, x_t, t, config.n_steps)
            exact = population.posterior_draw(rng, x_t, t)
            stored = memorizer.posterior_draw(own, x_t, t)
        else:
            output = decode(model.laws(x_t, np.full(len(x_t), t))[1], x_t)[decoder]
            law = channel.full_from_loo(population.log_loo(x_t, t), x_t, schedule.alpha(t))
            exact = decode(law, x_t)[decoder]
            stored = decode(memorizer.posterior(x_t, t, own).log_full, x_t)[decoder]
        for name, count in (
            ("corrupted", corrupted_count(x_0, x_t)),
            ("recovered", count_tokens(x_0, x_t, output).recovered),
            ("population", count_tokens(x_0, x_t, exact).recovered),
            ("memorizer", count_tokens(x_0, x_t, stored).recovered),
        ):
            found[name].append(np.where(left_out, 0, count))
    log_loo = model.laws(x_0, np.full(len(x_0), SMALL_LEVEL))[0]
    coded, draws = x_0[: config.nelbo_queries], config.nelbo_draws
    lengths = code_length(model.laws, schedule, coded, draws, rng, trained.vocab_size)
    return {**found, "entropy": law_statistics(log_loo, x_0).entropy, "code_length": lengths}


def linear_cell(config: ScalingConfig, case: Case, ratios: tuple[float, ...]) -> xr.Dataset:
    """Token counts of the linear denoiser of one case: dimensions ratio, set, split."""
    sizes = train_sizes(case, ratios)
    tables = curve_points(
        case,
        sizes,
        config.queries,
        config.linear_sets,
        lambda k, number: stream(config.root_seed, "linear", *case, sizes[k], number),
    )
    dims, units = ("ratio", "set", "split"), {"units": "tokens"}
    return xr.Dataset(
        {
            **{name: (dims, tables[name].astype(np.int32), units) for name in COUNTS},
            "train_size": ("ratio", sizes, {"units": "sequences"}),
        },
        {"ratio": ("ratio", list(ratios), {"units": "1"}), "split": list(SPLITS)},
    )
