"""Simulations that theory predicts exactly: the checks that may fail a run.

Every check averages over independent sets (pattern sets of an iid source, or batches of
sequences of a chain); the standard error is over sets, and a deviation beyond
`MAX_Z` standard errors is a failure.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import channel, empirical
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from models.sampler import ancestral
from models.streams import stream
from simulations.data.problem import make_source
from simulations.measure.checks import Check, as_dataset, check_mean
from simulations.measure.counts import count_tokens, law_statistics, nelbo_rates, stratified_levels
from simulations.measure.names import SMALL_LEVEL
from simulations.phase.actors import Plain, clean_laws, filled
from simulations.phase.config import Config

QUERIES_PER_SET = 32
# (K, L, V, t): from plain retrieval to a spread posterior
CASES = ((8, 8, 2, 0.5), (50, 12, 3, 0.6), (200, 16, 4, 0.5), (500, 16, 8, 0.7), (16, 16, 16, 0.8))


def noise_of(config: Config, vocab_size: int) -> channel.Channel:
    """The channel of the configuration, of another vocabulary."""
    return dataclasses.replace(config, vocab_size=vocab_size).noise


def memory_checks(
    config: Config, case: tuple[int, int, int, float], rng: np.random.Generator
) -> list[Check]:
    """Empirical denoiser on random patterns against the exact finite-size formulas."""
    train_size, seq_len, vocab_size, t = case
    alpha, kind = float(channel.LogLinear().alpha(t)), noise_of(config, vocab_size)
    scale = seq_len * float(channel.corruption_rate(alpha, kind))
    sets, n = config.pattern_sets, QUERIES_PER_SET
    place = (train_size, seq_len, vocab_size, alpha)
    found: dict[str, list[float]] = {}
    for _ in range(sets):
        patterns = rng.integers(vocab_size, size=(train_size, seq_len))
        store = EmpiricalDenoiser(patterns, vocab_size, channel=kind)
        index = rng.integers(train_size, size=n)
        for query in ("train", "test"):
            x_0 = store.patterns[index]
            if query == "test":
                x_0 = rng.integers(vocab_size, size=x_0.shape).astype(x_0.dtype)
            x_t = noise(rng, x_0, alpha, kind)
            truth = index if query == "train" else np.full(n, -1)
            post = store.posterior(x_t, t, rng, truth)
            if query == "train":
                found.setdefault("MAP retrieval", []).append((post.map_index == index).mean())
                found.setdefault("true weight", []).append(post.true_weight.mean())
            found.setdefault(f"H(mu | x_t) {query}", []).append(post.entropy.mean())
            for rule, chosen in (("map", post.map_index), ("sample", post.draw_index)):
                output = filled(kind, x_t, store.patterns[chosen])
                counts = count_tokens(x_0, x_t, output)
                hits = (output == x_0).mean()
                restored = counts.recovered.mean() / scale
                found.setdefault(f"recovery {rule} all {query}", []).append(hits)
                found.setdefault(f"recovery {rule} corrupted {query}", []).append(restored)
    exact = {
        "MAP retrieval": empirical.retrieval_probability(*place, channel=kind),
        "true weight": empirical.true_weight(*place, channel=kind),
    }
    splits: tuple[Literal["train", "test"], ...] = ("train", "test")
    decoders: tuple[Literal["map", "sample"], ...] = ("map", "sample")
    kinds: tuple[Literal["all", "corrupted"], ...] = ("all", "corrupted")
    for split in splits:
        exact[f"H(mu | x_t) {split}"] = empirical.posterior_entropy(
            *place, split=split, channel=kind
        )
        for decoder in decoders:
            for tokens in kinds:
                exact[f"recovery {decoder} {tokens} {split}"] = empirical.token_recovery(
                    *place, decoder=decoder, tokens=tokens, split=split, channel=kind
                )
    label = f"iid K={train_size} L={seq_len} V={vocab_size} t={t:g}: "
    return [check_mean(label + name, np.array(found[name]), exact[name]) for name in sorted(found)]


def population_checks(config: Config, rng: np.random.Generator) -> list[Check]:
    """Identities of the exact population denoiser of the default kind of chain."""
    source = make_source("markov", config.vocab_size, config.seq_len)
    kind = config.noise
    denoiser = source.population_denoiser(channel=kind)
    vocab_size, sets, n = config.vocab_size, config.pattern_sets, QUERIES_PER_SET
    schedule = denoiser.schedule

    def mean_by_set(values: NDArray[np.float64]) -> NDArray[np.float64]:
        means: NDArray[np.float64] = values.reshape(sets, -1).mean(1)
        return means

    x_0 = source.sample(rng, sets * n)
    checks = []
    for t in (0.25, 0.6):
        alpha = float(schedule.alpha(t))
        x_t = noise(rng, x_0, alpha, kind)
        law = np.exp(channel.full_from_loo(denoiser.log_loo(x_t, t), x_t, alpha, kind))
        own = np.take_along_axis(law, x_0[..., None].astype(int), -1)[..., 0]
        purity = (law**2).sum(-1)
        draw = denoiser.posterior_draw(rng, x_t, t) == x_0
        best = law.argmax(-1) == x_0
        label = f"chain V={vocab_size} L={config.seq_len} t={t:g}: "
        checks += [
            check_mean(label + "p(true) = sum p^2", mean_by_set(own), mean_by_set(purity)),
            check_mean(label + "draw recovery = sum p^2", mean_by_set(draw), mean_by_set(purity)),
            check_mean(
                label + "argmax recovery = max p", mean_by_set(best), mean_by_set(law.max(-1))
            ),
        ]
    x_t = noise(rng, x_0, float(schedule.alpha(SMALL_LEVEL)), kind)
    alone = clean_laws(Plain(denoiser, config.n_steps), config, x_t if kind.redraws else x_0)
    small = law_statistics(alone, x_0)
    label = f"chain V={vocab_size} L={config.seq_len} t={SMALL_LEVEL:g}: "
    entropy, loss = mean_by_set(small.entropy), mean_by_set(small.log_loss)
    checks += [
        check_mean(label + "loo entropy", entropy, source.loo_entropy()),
        check_mean(label + "calibration gap = 0", loss - entropy, 0.0),
    ]
    return [*checks, _nelbo_check(config, source, denoiser, x_0, rng)]


def _nelbo_check(
    config: Config, source: Any, denoiser: Any, x_0: Any, rng: np.random.Generator
) -> Check:
    """NELBO of the exact `loo` from t_0 to 1 = I(x_0; x_t0) - I(x_0; x_1), nats a sequence."""
    start, schedule = config.nelbo_start, denoiser.schedule
    t = stratified_levels(rng, start, len(x_0), 8)
    total = np.zeros(len(x_0))
    for level in t.T:
        x_t = noise(rng, x_0, np.asarray(schedule.alpha(level))[:, None], config.noise)
        law = denoiser.log_loo(x_t, level)
        total += nelbo_rates(law, x_t, x_0, level, schedule, config.noise)
    per_set = ((1 - start) * config.seq_len * total / 8).reshape(config.pattern_sets, -1).mean(1)
    ends = [
        source.mutual_information(float(schedule.alpha(level)), rng, 20_000, config.noise)
        for level in (start, 1.0)
    ]
    exact = ends[0].value - ends[1].value
    error = np.sqrt(per_set.var(ddof=1) / len(per_set) + sum(end.standard_error**2 for end in ends))
    name = f"chain V={config.vocab_size} L={config.seq_len}: NELBO = I(t={start:g}) - I(t=1)"
    return Check(name, float(per_set.mean()), exact, float(error), len(per_set))


def exact_checks(config: Config) -> xr.Dataset:
    """All comparisons as one dataset with dimension `check`."""
    checks: list[Check] = []
    for case in CASES:
        checks += memory_checks(config, case, stream(config.root_seed, "exact", *case))
    checks += population_checks(config, stream(config.root_seed, "exact", "chain"))
    return as_dataset(checks)


def step_bias(config: Config) -> xr.Dataset:
    """What `n_steps` ancestral steps change, against one exact joint posterior draw.

    Measured on the exact denoisers, where the limit of many steps is known: held-out sequences
    for the population denoiser, stored ones for the empirical denoiser of (at most) 64 sequences.
    """
    problem = config.problem_of(0)
    rng = stream(config.root_seed, "step bias")
    store = EmpiricalDenoiser(problem.stored[:64], config.vocab_size, channel=config.noise)
    cases: dict[str, tuple[Any, Any]] = {
        "empirical": (store, store.patterns[np.arange(config.queries) % len(store.patterns)])
    }
    if problem.source is not None:
        law = problem.source.population_denoiser(channel=config.noise)
        cases["population"] = (law, problem.held_out)
    levels = [t for t in config.levels if t in (0.25, 0.5)] or [config.levels[-1]]
    rows = []
    for name, (denoiser, x_0) in cases.items():
        for t in levels:
            x_t = noise(rng, x_0, float(denoiser.schedule.alpha(t)), config.noise)
            steps = ancestral(denoiser, rng, x_t, t, config.n_steps)
            exact = filled(config.noise, x_t, denoiser.posterior_draw(rng, x_t, t))
            for measure in ("token recovery, all", "exact match"):
                pair = [
                    (out == x_0).mean(1) if measure.startswith("token") else (out == x_0).all(1)
                    for out in (steps, exact)
                ]
                gap = pair[0].astype(float) - pair[1]
                rows.append(
                    (
                        f"{name}, t={t:g}: {measure}",
                        pair[0].mean(),
                        pair[1].mean(),
                        gap.std(ddof=1) / np.sqrt(len(gap)),
                    )
                )
    return xr.Dataset(
        {
            "ancestral": ("case", np.array([r[1] for r in rows]), {"units": "1"}),
            "exact_draw": ("case", np.array([r[2] for r in rows]), {"units": "1"}),
            "standard_error": ("case", np.array([r[3] for r in rows]), {"units": "1"}),
        },
        {"case": [r[0] for r in rows]},
    )
