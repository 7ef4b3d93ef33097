"""One cell of the phase diagram: train on K sequences, then measure three denoisers.

The trained model, the empirical denoiser of the same K sequences and, where the source has one,
the population denoiser see the same corrupted inputs. For the two exact ones the decoder
`ancestral` is one exact joint posterior draw, the limit of many reverse steps.
"""

from __future__ import annotations

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
from simulations.data.problem import Problem
from simulations.measure.counts import (
    corrupted_count,
    count_tokens,
    decode,
    law_statistics,
    nelbo_rates,
    stratified_levels,
)
from simulations.measure.names import DECODERS, DENOISERS, EPSILONS, LAWS, SMALL_LEVEL, SPLITS
from simulations.phase.config import BIAS, CHECKS, Config
from simulations.results.cells import unfilled
from simulations.trained import Laws

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


def compute(config: Config, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep."""
    from simulations.phase import exact_checks

    if coordinates["kind"] == CHECKS:
        return exact_checks.exact_checks(config)
    if coordinates["kind"] == BIAS:
        return exact_checks.step_bias(config)
    return measure(config, coordinates["train_size"], coordinates["seed"])


def measure(config: Config, train_size: int, seed: int) -> xr.Dataset:
    """All measurements of one (K, seed), with raw counts per sequence.

    Raises models.training.train.TrainingDiverged, naming the step, when training stops being
    finite.
    """
    problem = config.problem_of(seed)
    trained = config.train(problem, train_size, seed)
    rng = stream(config.root_seed, "measure", train_size, seed)
    generated = generate(
        trained.model, rng, config.queries, config.seq_len, config.generation_steps
    )
    splits = make_queries(config, problem, train_size, generated)
    model = Laws(trained.model, config.queries)
    store = EmpiricalDenoiser(problem.stored[:train_size], config.vocab_size, model.schedule)
    population = problem.source.population_denoiser(model.schedule) if problem.source else None
    nelbo_sample = min(config.nelbo_queries, config.queries)
    sizes = {"sample": config.queries, "nelbo_sample": nelbo_sample, "position": config.seq_len}
    schema, coords = _schema(config)
    out = unfilled(schema, coords, **sizes)
    bench = Bench(config, out, rng, model, store, population)
    for split, queries in splits.items():
        out["cluster"].loc[{"split": split}] = queries.cluster
        for t in (SMALL_LEVEL, *config.levels):
            bench.level(split, queries, t)
    for split in ("train", "heldout"):
        bench.nelbo(split, splits[split])
    out["copy_distance"][:] = store.nearest(generated, generated)[1]
    out["generated_tokens"][:] = generated
    return out.assign_coords(loss_block=np.arange(len(trained.losses))).assign(
        training_loss=("loss_block", trained.losses, {"units": "nats per token"})
    )


@dataclass(frozen=True)
class Bench:
    """The three denoisers of a cell, the random numbers they share, and where readings go."""

    config: Config
    out: xr.Dataset
    rng: np.random.Generator
    model: Laws
    store: EmpiricalDenoiser
    population: Any

    def level(self, split: str, queries: Queries, t: float) -> None:
        """One split at one level: noise once, then every denoiser on the same inputs."""
        x_0, alpha = queries.x_0, float(self.model.schedule.alpha(t))
        x_t = noise(self.rng, x_0, alpha, self.config.vocab_size)
        with_decoders = t != SMALL_LEVEL
        if with_decoders:
            self.out["corrupted"].loc[{"split": split, "t": t}] = corrupted_count(x_0, x_t)
        for name in DENOISERS:
            draw: Tokens | None = None
            if name == "trained":
                log_loo, log_full = self.model.laws(x_t, np.full(len(x_t), t))
                if with_decoders:
                    draw = ancestral(self.model.model, self.rng, x_t, t, self.config.n_steps)
            elif name == "empirical":
                posterior = self.store.posterior(x_t, t, self.rng, queries.stored_index)
                log_loo, log_full = posterior.log_loo, posterior.log_full
                draw = self.store.patterns[posterior.draw_index]
                if with_decoders:
                    self._memory(split, t, queries, x_t, posterior)
            elif self.population is not None:
                log_loo = self.population.log_loo(x_t, t)
                log_full = channel.full_from_loo(log_loo, x_t, self.model.schedule.alpha(t))
                if with_decoders:
                    draw = self.population.posterior_draw(self.rng, x_t, t)
            else:
                continue
            for law, log_law in zip(LAWS, (log_loo, log_full), strict=True):
                place = {"denoiser": name, "law": law, "split": split, "t_entropy": t}
                statistics = law_statistics(log_law, x_0)
                for reading in ("entropy", "vanishing", "log_loss"):
                    self.out[reading].loc[place] = getattr(statistics, reading)
            if with_decoders and draw is not None:
                outputs = {"ancestral": draw, **decode(log_full, x_t)}
                self._outputs({"denoiser": name, "split": split, "t": t}, x_0, x_t, outputs)

    def _outputs(
        self, where: dict[str, Any], x_0: Tokens, x_t: Tokens, outputs: dict[str, Tokens]
    ) -> None:
        for decoder, output in outputs.items():
            place = {**where, "decoder": decoder}
            counts = count_tokens(x_0, x_t, output)
            self.out["recovered"].loc[place] = counts.recovered
            self.out["broken"].loc[place] = counts.broken
            if decoder != "best_change":  # a change everywhere is no retrieval
                self.out["nearest"].loc[place] = self.store.nearest(output, x_0)[0]

    def _memory(self, split: str, t: float, queries: Queries, x_t: Tokens, posterior: Any) -> None:
        """What only the empirical denoiser has: MAP retrieval, true weight, H(mu | x_t)."""
        place = {"split": split, "t": t}
        counts = count_tokens(queries.x_0, x_t, self.store.patterns[posterior.map_index])
        self.out["map_recovered"].loc[place] = counts.recovered
        self.out["map_broken"].loc[place] = counts.broken
        self.out["pattern_entropy"].loc[place] = posterior.entropy
        if split == "train":
            right = posterior.map_index == queries.stored_index
            self.out["map_retrieved"].loc[{"t": t}] = right
            self.out["true_weight"].loc[{"t": t}] = posterior.true_weight

    def nelbo(self, split: str, queries: Queries) -> None:
        """Diffusion term from t_0 to 1, nats a token, on the first sequences of a split."""
        config, rng, schedule = self.config, self.rng, self.model.schedule
        n, draws = min(config.nelbo_queries, config.queries), config.nelbo_draws
        strata = stratified_levels(rng, config.nelbo_start, n, draws).astype(np.float32)
        level = strata.T.reshape(-1).astype(np.float64)  # all inputs of one draw, then of the next
        x_0 = np.tile(queries.x_0[:n], (draws, 1))
        keep = rng.random(x_0.shape) < np.asarray(schedule.alpha(level))[:, None]
        x_t = np.where(keep, x_0, rng.integers(config.vocab_size, size=x_0.shape).astype(x_0.dtype))
        laws = {
            "trained": self.model.laws(x_t, level)[0],
            "empirical": self.store.log_loo(x_t, level),
        }
        if self.population is not None:
            laws["population"] = self.population.log_loo(x_t, level)
        for name, log_loo in laws.items():
            rates = nelbo_rates(log_loo, x_t, x_0, level, schedule).reshape(draws, n)
            place = {"denoiser": name, "split_nelbo": split}
            self.out["nelbo"].loc[place] = (1 - config.nelbo_start) * rates.mean(0)
        self.out["nelbo_cluster"].loc[{"split_nelbo": split}] = queries.cluster[:n]


def _schema(config: Config) -> tuple[list[tuple[str, str, Any, str, str]], dict[str, Any]]:
    """Variables and coordinates of a cell; -1 in counts and NaN in reals mean "not measured"."""
    level = {"long_name": "noise level", "units": "1"}
    coords: dict[str, Any] = {
        "denoiser": list(DENOISERS),
        "decoder": list(DECODERS),
        "split": list(SPLITS),
        "split_nelbo": ["train", "heldout"],
        "law": list(LAWS),
        "t": ("t", np.array(config.levels), level),
        "t_entropy": ("t_entropy", np.array([SMALL_LEVEL, *config.levels]), level),
        "epsilon": ("epsilon", np.array(EPSILONS), {"units": "nats"}),
    }
    small = np.int16 if config.seq_len < 2**15 else np.int32
    real, count, nats = np.float32, "tokens", "nats per token"
    decoded, on_law = "denoiser decoder split t sample", "denoiser law split t_entropy"
    of_law = f"{on_law} sample"
    schema: list[tuple[str, str, Any, str, str]] = [
        ("cluster", "split sample", np.int32, "1", "which distinct sequence was corrupted"),
        ("corrupted", "split t sample", small, count, "tokens changed by the channel"),
        ("recovered", decoded, small, count, "changed tokens restored"),
        ("broken", decoded, small, count, "unchanged tokens broken"),
        ("nearest", decoded, real, "1", "query is the sequence nearest to the output"),
        ("entropy", of_law, real, nats, "mean token entropy"),
        (
            "vanishing",
            f"{on_law} epsilon sample",
            small,
            count,
            "tokens with entropy below epsilon",
        ),
        ("log_loss", of_law, real, nats, "mean of -log law(x_0), capped at 20 nats a token"),
        (
            *("nelbo", "denoiser split_nelbo nelbo_sample", real, nats),
            "NELBO, diffusion term from t_0 to 1",
        ),
        ("nelbo_cluster", "split_nelbo nelbo_sample", np.int32, "1", "sequence measured"),
        ("map_recovered", "split t sample", small, count, "restored by the MAP pattern"),
        ("map_broken", "split t sample", small, count, "broken by the MAP pattern"),
        ("pattern_entropy", "split t sample", real, "nats", "H(mu | x_t)"),
        ("map_retrieved", "t sample", small, "1", "MAP pattern is the stored one"),
        ("true_weight", "t sample", real, "1", "posterior weight of the stored one"),
        ("copy_distance", "sample", small, count, "generated to nearest stored"),
        ("generated_tokens", "sample position", np.int32, "1", "generated sequences"),
    ]
    return schema, coords
