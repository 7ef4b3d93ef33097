"""One cell of the phase diagram: train on K sequences, then measure three denoisers.

The trained model, the empirical denoiser of the same K sequences and, where the source has one,
the population denoiser see the same corrupted inputs. For the two exact ones the decoder
`ancestral` is one exact joint posterior draw, the limit of many reverse steps.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import channel
from models.exact.empirical import EmpiricalDenoiser
from models.sampler import ancestral, generate, noise
from models.streams import stream
from models.tokens import Tokens
from simulations.data.corpora import TextFile
from simulations.data.problem import Problem
from simulations.measure.counts import (
    corrupted_count,
    count_tokens,
    decode,
    law_statistics,
    nelbo_rates,
    stratified_levels,
)
from simulations.phase.config import (
    DECODERS,
    DENOISERS,
    EPSILONS,
    LAWS,
    SMALL_LEVEL,
    SPLITS,
    Config,
    problem_of,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Queries:
    """Sequences of one split (n, L); which distinct sequence each is, and its stored index (-1)."""

    x_0: Tokens
    cluster: NDArray[np.int64]
    stored_index: NDArray[np.int64]


def make_queries(config: Config, problem: Problem, train_size: int, generated: Tokens) -> Any:
    """The four splits; stored and held-out sequences repeat where there are fewer than asked."""
    n = config.queries
    train = np.arange(n) % train_size
    held_out = np.arange(n) % len(problem.held_out)
    unstored = np.full(n, -1)
    uniform = stream(config.root_seed, "random").integers(
        config.vocab_size, size=(n, config.seq_len)
    )
    return {
        "train": Queries(problem.stored[train], train, train),
        "heldout": Queries(problem.held_out[held_out], held_out, unstored),
        "generated": Queries(generated, np.arange(n), unstored),
        "random": Queries(uniform.astype(problem.stored.dtype), np.arange(n), unstored),
    }


def make_model(config: Config, key: Any) -> Any:
    """The network of a configuration, untrained."""
    if config.model == "dit":
        from models.networks.dit import DiT, Shape

        shape = Shape(config.width, config.n_blocks, config.n_heads, config.width)
        return DiT(key, config.vocab_size, shape, config.seq_len)
    from models.networks.mlp import MLPDenoiser

    return MLPDenoiser(key, config.vocab_size, config.seq_len, config.width, config.n_blocks)


def train_model(config: Config, problem: Problem, train_size: int, seed: int) -> Any:
    """The trained denoiser (EMA weights) and its loss per block of steps."""
    import jax
    import jax.numpy as jnp

    from simulations.sweep.checkpoint import train_in_cell

    key = int(stream(config.root_seed, "training", train_size, seed).integers(2**31))
    k_model, k_train = jax.random.split(jax.random.key(key))
    model = make_model(config, k_model)
    return train_in_cell(
        "model", k_train, model, jnp.asarray(problem.stored), train_size, config.training
    )


@functools.cache
def _compiled_laws() -> Any:
    """(model, x_t, t) -> (log_loo, log_full), one function for all cells that a worker computes:
    it compiles once."""
    import equinox as eqx

    from models.denoiser import log_full

    return eqx.filter_jit(lambda model, x_t, t: (model.log_loo(x_t, t), log_full(model, x_t, t)))


class Laws:
    """The trained model, its laws computed in blocks of one size: one shape to compile."""

    def __init__(self, model: Any, block: int) -> None:
        self.model = model
        self.schedule = model.schedule
        self.block = block

    def laws(self, x_t: Tokens, t: Floats) -> tuple[Any, Any]:
        """log_loo and log_full, (n, L, V), of inputs (n, L) at levels (n,)."""
        import jax.numpy as jnp

        missing = -len(x_t) % self.block
        tokens = jnp.asarray(np.pad(x_t, ((0, missing), (0, 0))), jnp.int32)
        levels = jnp.asarray(np.pad(t, (0, missing), constant_values=1.0), jnp.float32)
        blocks = [
            _compiled_laws()(self.model, tokens[rows], levels[rows])
            for rows in np.split(np.arange(len(tokens)), len(tokens) // self.block)
        ]
        log_loo, log_full = (
            np.concatenate([np.asarray(law) for law in laws])[: len(x_t)]
            for laws in zip(*blocks, strict=True)
        )
        return log_loo, log_full


def measure(config: Config, train_size: int, seed: int, text: TextFile | None = None) -> xr.Dataset:
    """All measurements of one (K, seed), with raw counts per sequence.

    Raises models.training.train.TrainingDiverged, naming the step, when training stops being
    finite.
    """
    problem = problem_of(config, seed, text)
    trained = train_model(config, problem, train_size, seed)
    rng = stream(config.root_seed, "measure", train_size, seed)
    generated = generate(
        trained.model, rng, config.queries, config.seq_len, config.generation_steps
    )
    splits = make_queries(config, problem, train_size, generated)
    model = Laws(trained.model, config.queries)
    store = EmpiricalDenoiser(problem.stored[:train_size], config.vocab_size, model.schedule)
    population = problem.source.population_denoiser(model.schedule) if problem.source else None
    out = _empty(config)
    for split, queries in splits.items():
        out["cluster"].loc[{"split": split}] = queries.cluster
        for t in (SMALL_LEVEL, *config.levels):
            _measure_level(config, out, split, queries, t, rng, model, store, population)
    for split in ("train", "heldout"):
        _measure_nelbo(config, out, split, splits[split], rng, model, store, population)
    out["copy_distance"][:] = store.nearest(generated, generated)[1]
    out["generated_tokens"][:] = generated
    return out.assign_coords(loss_block=np.arange(len(trained.losses))).assign(
        training_loss=("loss_block", trained.losses, {"units": "nats per token"})
    )


def _measure_level(
    config: Config,
    out: xr.Dataset,
    split: str,
    queries: Queries,
    t: float,
    rng: np.random.Generator,
    model: Laws,
    store: EmpiricalDenoiser,
    population: Any,
) -> None:
    """One split at one level: noise once, then every denoiser on the same inputs."""
    x_0 = queries.x_0
    x_t = noise(rng, x_0, float(model.schedule.alpha(t)), config.vocab_size)
    with_decoders = t != SMALL_LEVEL
    if with_decoders:
        out["corrupted"].loc[{"split": split, "t": t}] = corrupted_count(x_0, x_t)
    for name in DENOISERS:
        draw: Tokens | None = None
        if name == "trained":
            log_loo, log_full = model.laws(x_t, np.full(len(x_t), t))
            if with_decoders:
                draw = ancestral(model.model, rng, x_t, t, config.n_steps)
        elif name == "empirical":
            posterior = store.posterior(x_t, t, rng, queries.stored_index)
            log_loo, log_full = posterior.log_loo, posterior.log_full
            draw = store.patterns[posterior.draw_index]
            if with_decoders:
                _record_memory(out, split, t, queries, x_t, store, posterior)
        elif population is not None:
            log_loo = population.log_loo(x_t, t)
            log_full = channel.full_from_loo(log_loo, x_t, model.schedule.alpha(t))
            if with_decoders:
                draw = population.posterior_draw(rng, x_t, t)
        else:
            continue
        _record_laws(out, name, split, t, log_loo, log_full, x_0)
        if with_decoders and draw is not None:
            outputs = {"ancestral": draw, **decode(log_full, x_t)}
            _record_outputs(out, name, split, t, x_0, x_t, outputs, store)


def _record_laws(
    out: xr.Dataset, name: str, split: str, t: float, log_loo: Any, log_full: Any, x_0: Tokens
) -> None:
    for law, log_law in zip(LAWS, (log_loo, log_full), strict=True):
        statistics = law_statistics(log_law, x_0)
        place = {"denoiser": name, "law": law, "split": split, "t_entropy": t}
        out["entropy"].loc[place] = statistics.entropy
        out["vanishing"].loc[place] = statistics.vanishing
        out["log_loss"].loc[place] = statistics.log_loss


def _record_outputs(
    out: xr.Dataset,
    name: str,
    split: str,
    t: float,
    x_0: Tokens,
    x_t: Tokens,
    outputs: dict[str, Tokens],
    store: EmpiricalDenoiser,
) -> None:
    for decoder, output in outputs.items():
        place = {"denoiser": name, "decoder": decoder, "split": split, "t": t}
        counts = count_tokens(x_0, x_t, output)
        out["recovered"].loc[place] = counts.recovered
        out["broken"].loc[place] = counts.broken
        if decoder != "best_change":  # a change everywhere is no retrieval
            out["nearest"].loc[place] = store.nearest(output, x_0)[0]


def _record_memory(
    out: xr.Dataset,
    split: str,
    t: float,
    queries: Queries,
    x_t: Tokens,
    store: EmpiricalDenoiser,
    posterior: Any,
) -> None:
    """What only the empirical denoiser has: MAP retrieval, true weight, H(mu | x_t)."""
    place = {"split": split, "t": t}
    counts = count_tokens(queries.x_0, x_t, store.patterns[posterior.map_index])
    out["map_recovered"].loc[place] = counts.recovered
    out["map_broken"].loc[place] = counts.broken
    out["pattern_entropy"].loc[place] = posterior.entropy
    if split == "train":
        out["map_retrieved"].loc[{"t": t}] = posterior.map_index == queries.stored_index
        out["true_weight"].loc[{"t": t}] = posterior.true_weight


def _measure_nelbo(
    config: Config,
    out: xr.Dataset,
    split: str,
    queries: Queries,
    rng: np.random.Generator,
    model: Laws,
    store: EmpiricalDenoiser,
    population: Any,
) -> None:
    """Diffusion term from t_0 to 1, nats a token, on the first sequences of a split."""
    n, draws = min(config.nelbo_queries, config.queries), config.nelbo_draws
    strata = stratified_levels(rng, config.nelbo_start, n, draws).astype(np.float32)
    level = strata.T.reshape(-1).astype(np.float64)  # all inputs of one draw, then of the next
    x_0 = np.tile(queries.x_0[:n], (draws, 1))
    keep = rng.random(x_0.shape) < np.asarray(model.schedule.alpha(level))[:, None]
    x_t = np.where(keep, x_0, rng.integers(config.vocab_size, size=x_0.shape).astype(x_0.dtype))
    laws = {"trained": model.laws(x_t, level)[0], "empirical": store.log_loo(x_t, level)}
    if population is not None:
        laws["population"] = population.log_loo(x_t, level)
    for name, log_loo in laws.items():
        rates = nelbo_rates(log_loo, x_t, x_0, level, model.schedule).reshape(draws, n)
        place = {"denoiser": name, "split_nelbo": split}
        out["nelbo"].loc[place] = (1 - config.nelbo_start) * rates.mean(0)
    out["nelbo_cluster"].loc[{"split_nelbo": split}] = queries.cluster[:n]


def _empty(config: Config) -> xr.Dataset:
    """The dataset of a cell, unfilled: -1 in counts and NaN in reals mean "not measured"."""
    n, nelbo_n = config.queries, min(config.nelbo_queries, config.queries)
    coords: dict[str, Any] = {
        "denoiser": list(DENOISERS),
        "decoder": list(DECODERS),
        "split": list(SPLITS),
        "split_nelbo": ["train", "heldout"],
        "law": list(LAWS),
        "t": ("t", np.array(config.levels), {"long_name": "noise level", "units": "1"}),
        "t_entropy": (
            "t_entropy",
            np.array([SMALL_LEVEL, *config.levels]),
            {"long_name": "noise level", "units": "1"},
        ),
        "epsilon": ("epsilon", np.array(EPSILONS), {"units": "nats"}),
    }
    sizes = {
        **{name: len(value) for name, value in coords.items() if isinstance(value, list)},
        "t": len(config.levels),
        "t_entropy": len(config.levels) + 1,
        "epsilon": len(EPSILONS),
        "sample": n,
        "nelbo_sample": nelbo_n,
        "position": config.seq_len,
    }
    small = np.int16 if config.seq_len < 2**15 else np.int32
    decoded = ("denoiser", "decoder", "split", "t", "sample")
    on_law = ("denoiser", "law", "split", "t_entropy")
    schema: list[tuple[str, tuple[str, ...], Any, str, str]] = [
        ("cluster", ("split", "sample"), np.int32, "1", "which distinct sequence was corrupted"),
        ("corrupted", ("split", "t", "sample"), small, "tokens", "tokens changed by the channel"),
        ("recovered", decoded, small, "tokens", "changed tokens restored"),
        ("broken", decoded, small, "tokens", "unchanged tokens broken"),
        ("nearest", decoded, np.float32, "1", "query is the sequence nearest to the output"),
        ("entropy", (*on_law, "sample"), np.float32, "nats per token", "mean token entropy"),
        (
            "vanishing",
            (*on_law, "epsilon", "sample"),
            small,
            "tokens",
            "tokens with entropy below epsilon",
        ),
        (
            "log_loss",
            (*on_law, "sample"),
            np.float32,
            "nats per token",
            "mean of -log law(x_0), capped at 20 nats a token",
        ),
        (
            "nelbo",
            ("denoiser", "split_nelbo", "nelbo_sample"),
            np.float32,
            "nats per token",
            "NELBO, diffusion term from t_0 to 1",
        ),
        ("nelbo_cluster", ("split_nelbo", "nelbo_sample"), np.int32, "1", "sequence measured"),
        ("map_recovered", ("split", "t", "sample"), small, "tokens", "restored by the MAP pattern"),
        ("map_broken", ("split", "t", "sample"), small, "tokens", "broken by the MAP pattern"),
        ("pattern_entropy", ("split", "t", "sample"), np.float32, "nats", "H(mu | x_t)"),
        ("map_retrieved", ("t", "sample"), small, "1", "MAP pattern is the stored one"),
        ("true_weight", ("t", "sample"), np.float32, "1", "posterior weight of the stored one"),
        ("copy_distance", ("sample",), small, "tokens", "generated to nearest stored"),
        ("generated_tokens", ("sample", "position"), np.int32, "1", "generated sequences"),
    ]
    variables = {}
    for name, dims, dtype, units, long_name in schema:
        fill = np.nan if np.dtype(dtype).kind == "f" else -1
        values = np.full([sizes[d] for d in dims], fill, dtype)
        variables[name] = (dims, values, {"units": units, "long_name": long_name})
    return xr.Dataset(variables, coords)
