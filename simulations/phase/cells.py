"""One cell of the phase diagram: train on K sequences, then measure every denoiser on them.

The trained network, its companions (`simulations.phase.actors`), the empirical denoiser of the same
K sequences and, where the source has one, the population denoiser see the same corrupted inputs.
For the two exact ones the decoder `ancestral` is one exact joint posterior draw, the limit of many
reverse steps. Long because it holds the whole layout of a cell's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from models.relaxation import relax
from models.sampler import generate
from models.streams import stream
from models.tokens import Tokens
from simulations.data.problem import Problem
from simulations.measure.counts import (
    LawStatistics,
    corrupted_count,
    count_tokens,
    decode,
    entropy_histogram,
    law_statistics,
    nelbo_rates,
    stratified_levels,
)
from simulations.measure.names import (
    DECODERS,
    DENOISERS,
    ENTROPY_EDGES,
    EPSILONS,
    EXACT,
    LAWS,
    SMALL_LEVEL,
    SPLITS,
)
from simulations.phase.actors import Actor, Network, Plain, clean_laws, filled, make_actors
from simulations.phase.attractors import (
    LEVEL_OF_FULL,
    MAPS,
    STARTS,
    attractor_schema,
    draw_cycles,
    measure_attractors,
)
from simulations.phase.config import BIAS, CHECKS, Config
from simulations.results.cells import unfilled

RESTORED = ("train", "heldout")  # the splits that are corrupted and restored
EXAMPLES = 6
WITH_FULL = ("trained", *EXACT)  # whose `full` law is read too

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
    actors, trained = make_actors(config, problem, train_size, seed)
    rng = stream(config.root_seed, "measure", train_size, seed)
    generated = generate(
        trained.model, rng, config.queries, config.seq_len, config.generation_steps
    )
    splits = make_queries(config, problem, train_size, generated)
    schedule = trained.model.schedule
    patterns = problem.stored[:train_size]
    store = EmpiricalDenoiser(patterns, config.vocab_size, schedule, channel=config.noise)
    out = _empty(config)
    bench = Bench(config, out, rng, schedule, actors, store)
    for split, queries in splits.items():
        out["cluster"].loc[{"split": split}] = queries.cluster
        bench.level(split, queries, SMALL_LEVEL)
        if split in RESTORED:
            for t in config.levels:
                bench.level(split, queries, t)
            bench.nelbo(split, queries)
            out["example_clean"].loc[{"split_read": split}] = queries.x_0[:EXAMPLES]
    out["copy_distance"][:] = store.nearest(generated, generated)[1]
    out["generated_tokens"][:] = generated
    bench.end_examples()
    bench.attractors(splits)
    if isinstance(pairwise := actors.get("pairwise"), Network):
        out["asymmetry"][()] = pairwise.memory.asymmetry
    return out.assign_coords(loss_block=np.arange(len(trained.losses))).assign(
        training_loss=("loss_block", trained.losses, {"units": "nats per token"})
    )


@dataclass(frozen=True)
class Bench:
    """The denoisers of a cell, the random numbers they share, and where readings go."""

    config: Config
    out: xr.Dataset
    rng: np.random.Generator
    schedule: Any
    actors: dict[str, Actor]
    store: EmpiricalDenoiser

    def level(self, split: str, queries: Queries, t: float) -> None:
        """One split at one level: noise once, then every denoiser on the same inputs."""
        x_0, kind = queries.x_0, self.config.noise
        if t == SMALL_LEVEL and not kind.redraws:
            return self._masked_alone(split, x_0)
        x_t = noise(self.rng, x_0, float(self.schedule.alpha(t)), kind)
        with_decoders = t != SMALL_LEVEL
        if with_decoders:
            self.out["corrupted"].loc[{"split": split, "t": t}] = corrupted_count(x_0, x_t)
        for name in (*self.actors, "empirical"):
            draw: Tokens | None = None
            if name == "empirical":
                posterior = self.store.posterior(x_t, t, self.rng, queries.stored_index)
                log_loo, log_full = posterior.log_loo, posterior.log_full
                draw = filled(self.config.noise, x_t, self.store.patterns[posterior.draw_index])
                if with_decoders:
                    self._memory(split, t, queries, x_t, posterior)
            else:
                log_loo, log_full = self.actors[name].laws(x_t, np.full(len(x_t), t))
                if with_decoders:
                    draw = self.actors[name].restore(self.rng, x_t, t)
            laws = LAWS if name in WITH_FULL else LAWS[:1]
            for law, log_law in zip(laws, (log_loo, log_full), strict=False):
                place = {"denoiser": name, "law": law, "split": split, "t_entropy": t}
                statistics = law_statistics(log_law, x_0)
                for reading in LawStatistics._fields:
                    self.out[reading].loc[place] = getattr(statistics, reading)
            if not with_decoders:
                place = {"denoiser": name, "split": split}
                self.out["entropy_histogram"].loc[place] = entropy_histogram(log_loo)
            elif draw is not None:
                if name == "trained":
                    self._examples(split, t, x_t, draw)
                outputs = {"ancestral": draw, **decode(log_full, x_t)}
                self._outputs({"denoiser": name, "split": split, "t": t}, x_0, x_t, outputs)

    def _masked_alone(self, split: str, x_0: Tokens) -> None:
        """As `level` at t -> 0 for a channel whose visible sites have no law: each masked alone."""
        for name, actor in self._everyone().items():
            log_law = clean_laws(actor, self.config, x_0)
            statistics = law_statistics(log_law, x_0)
            for law in LAWS if name in WITH_FULL else LAWS[:1]:  # of a masked site the same
                place = {"denoiser": name, "law": law, "split": split, "t_entropy": SMALL_LEVEL}
                for reading in LawStatistics._fields:
                    self.out[reading].loc[place] = getattr(statistics, reading)
            place = {"denoiser": name, "split": split}
            self.out["entropy_histogram"].loc[place] = entropy_histogram(log_law)

    def _everyone(self) -> dict[str, Actor]:
        """The actors, and the memorizer as one of them."""
        return {**self.actors, "empirical": Plain(self.store, self.config.n_steps)}

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
        nearest = filled(self.config.noise, x_t, self.store.patterns[posterior.map_index])
        counts = count_tokens(queries.x_0, x_t, nearest)
        self.out["map_recovered"].loc[place] = counts.recovered
        self.out["map_broken"].loc[place] = counts.broken
        self.out["pattern_entropy"].loc[place] = posterior.entropy
        if split == "train":
            right = posterior.map_index == queries.stored_index
            self.out["map_retrieved"].loc[{"t": t}] = right
            self.out["true_weight"].loc[{"t": t}] = posterior.true_weight

    def nelbo(self, split: str, queries: Queries) -> None:
        """Diffusion term from t_0 to 1, nats a token, on the first sequences of a split."""
        config, rng, schedule = self.config, self.rng, self.schedule
        n, draws = min(config.nelbo_queries, config.queries), config.nelbo_draws
        strata = stratified_levels(rng, config.nelbo_start, n, draws).astype(np.float32)
        level = strata.T.reshape(-1).astype(np.float64)  # all inputs of one draw, then of the next
        x_0 = np.tile(queries.x_0[:n], (draws, 1))
        x_t = noise(rng, x_0, np.asarray(schedule.alpha(level))[:, None], config.noise)
        laws = {
            name: actor.laws(x_t, level)[0]
            for name, actor in self.actors.items()
            if name != "pairwise"  # it knows no noise level
        }
        laws["empirical"] = self.store.log_loo(x_t, level)
        for name, log_loo in laws.items():
            rates = nelbo_rates(log_loo, x_t, x_0, level, schedule, config.noise).reshape(draws, n)
            place = {"denoiser": name, "split_nelbo": split}
            self.out["nelbo"].loc[place] = (1 - config.nelbo_start) * rates.mean(0)
        self.out["nelbo_cluster"].loc[{"split_nelbo": split}] = queries.cluster[:n]

    def _examples(self, split: str, t: float, x_t: Tokens, restored: Tokens) -> None:
        """The first sequences of a split at one level, for a reader to look at."""
        near = self.store.posterior(restored[:EXAMPLES], SMALL_LEVEL, self.rng).map_index
        rows = (x_t, restored, self.store.patterns[near])
        for name, tokens in zip(("noisy", "restored", "nearest"), rows, strict=True):
            self.out[f"example_{name}"].loc[{"split_read": split, "t": t}] = tokens[:EXAMPLES]

    def end_examples(self) -> None:
        """The attractor of the network that every noisy example runs into."""
        noisy = self.out["example_noisy"]
        starts = noisy.values.reshape(-1, self.config.seq_len).astype(self.store.patterns.dtype)
        network = self.actors["trained"]
        ended = relax(lambda x: clean_laws(network, self.config, x), starts)
        self.out["example_attractor"][:] = ended.states.reshape(noisy.shape)

    def attractors(self, splits: dict[str, Queries]) -> None:
        """Fixed points and attractors of every denoiser, from the first starts of a split."""
        n = min(self.config.starts, self.config.queries)
        starts = {split: splits[split].x_0[:n] for split in STARTS}
        for split in STARTS:
            self.out["start_cluster"].loc[{"split_start": split}] = splits[split].cluster[:n]
        cycles = draw_cycles(self.rng, starts, self.config.vocab_size)
        for name, actor in self._everyone().items():

            def law(x: Tokens, actor: Actor = actor) -> Any:
                return clean_laws(actor, self.config, x)

            def full(x: Tokens, actor: Actor = actor) -> Any:
                return actor.laws(x, np.full(len(x), LEVEL_OF_FULL))[1]

            measure_attractors(self.out, name, law, full, starts, cycles, self.store)


def _empty(config: Config) -> xr.Dataset:
    """A cell to be filled; -1 in counts and NaN in reals mean "not measured"."""
    schema, coords = _schema(config)
    return unfilled(
        schema,
        coords,
        sample=config.queries,
        nelbo_sample=min(config.nelbo_queries, config.queries),
        start=min(config.starts, config.queries),
        position=config.seq_len,
        example=min(EXAMPLES, config.queries),
        entropy_bin=len(ENTROPY_EDGES) + 1,
    )


def _schema(config: Config) -> tuple[list[tuple[str, str, Any, str, str]], dict[str, Any]]:
    level = {"long_name": "noise level", "units": "1"}
    coords: dict[str, Any] = {
        "denoiser": list(DENOISERS),
        "decoder": list(DECODERS),
        "split": list(SPLITS),
        "split_nelbo": list(RESTORED),
        "split_read": list(RESTORED),
        "split_start": list(STARTS),
        "map": list(MAPS),
        "law": list(LAWS),
        "t": ("t", np.array(config.levels), level),
        "t_entropy": ("t_entropy", np.array([SMALL_LEVEL, *config.levels]), level),
        "epsilon": ("epsilon", np.array(EPSILONS), {"units": "nats"}),
        "entropy_edge": ("entropy_edge", np.array(ENTROPY_EDGES), {"units": "nats"}),
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
        ("own", of_law, real, "1", "mean of law(x_0)"),
        (
            *("entropy_histogram", "denoiser split entropy_bin", np.int32, "tokens"),
            "tokens by `loo` entropy at t = 1e-5, between the edges",
        ),
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
        *attractor_schema(),
        ("asymmetry", "", np.float32, "1", "of the couplings of the pairwise memory"),
        ("example_clean", "split_read example position", np.int32, "1", "sequences to look at"),
        *(
            (f"example_{name}", "split_read t example position", np.int32, "1", what)
            for name, what in (
                ("noisy", "the same through the channel"),
                ("restored", "then by the trained network, decoder ancestral"),
                ("nearest", "stored sequence nearest to the restored one"),
                ("attractor", "where the deterministic dynamics of the network ends"),
            )
        ),
    ]
    return schema, coords
