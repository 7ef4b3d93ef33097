"""Exact checks of the entropy command, and what a finite number of reverse steps changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import channel
from models.exact.empirical import EmpiricalDenoiser
from models.sampler import noise
from models.sources import IidSource, MarkovSource
from models.streams import stream
from models.tokens import Tokens
from simulations.data.problem import make_source
from simulations.entropy.config import (
    BIAS_STEPS,
    CHECK_LEVELS,
    STATISTICS,
    EntropyConfig,
    main_config,
)
from simulations.entropy.readings import pure_noise, read, reverse_run
from simulations.measure.checks import Check, as_dataset, check_mean
from simulations.phase.config import LAWS, SMALL_LEVEL, problem_of

Floats = NDArray[np.float64]
Means = dict[tuple[float, str], tuple[float, float]]


def checks_cell(config: EntropyConfig) -> xr.Dataset:
    """What holds exactly for the two exact denoisers, and what finite steps change."""
    source = make_source(config.source, config.vocab_size, config.seq_len)
    stored = problem_of(main_config(config), 0, None).stored[: config.train_sizes[0]]
    store = EmpiricalDenoiser(stored, config.vocab_size)
    population = source.population_denoiser()
    n, rng = config.check_sequences, stream(config.root_seed, "checks")
    cases = {
        "population": (population, source.sample(rng, n)),
        f"empirical, K = {len(stored)}": (store, stored[rng.integers(len(stored), size=n)]),
    }
    checks, bias = [], []
    for name, (denoiser, x_0) in cases.items():
        checks += identities(name, denoiser, x_0, rng)
        through = _channel_means(denoiser, x_0, rng)
        last = noise(rng, x_0, float(denoiser.schedule.alpha(1.0)), config.vocab_size)
        exact = reverse_run(denoiser, rng, last, config.n_steps, joint=True)
        for (t, law), pair in _pairs(denoiser, exact, through).items():
            label = f"{name}: {law} entropy at t={t:g}, reverse run - channel"
            checks.append(Check(label, *pair, n))
        for factor in BIAS_STEPS:
            steps = factor * config.n_steps
            plain = reverse_run(denoiser, rng, pure_noise(config, rng, n), steps)
            for (t, law), pair in _pairs(denoiser, plain, through).items():
                bias.append((f"{name}: {law} entropy at t={t:g}", steps, *pair))
    checks += _small_noise_checks(source, population, cases["population"][1], rng)
    columns = zip(*bias, strict=True)
    names = ("bias_of", "bias_steps", "bias_run", "bias_channel", "bias_error")
    table = {k: ("bias", np.array(v)) for k, v in zip(names, columns, strict=True)}
    return as_dataset(checks).assign(table)


def _entropy_means(denoiser: Any, t: float, x_t: Tokens, log_loo: Floats) -> Means:
    """Mean entropy and its standard error over sequences, by (t, law)."""
    entropy = read(log_loo, x_t, float(denoiser.schedule.alpha(t))).means[:, 0]
    error = entropy.std(1, ddof=1) / np.sqrt(entropy.shape[1])
    return {(t, law): (m, e) for law, m, e in zip(LAWS, entropy.mean(1), error, strict=True)}


def _channel_means(denoiser: Any, x_0: Tokens, rng: np.random.Generator) -> Means:
    found: Means = {}
    for t in (*CHECK_LEVELS, SMALL_LEVEL):
        x_t = noise(rng, x_0, float(denoiser.schedule.alpha(t)), denoiser.vocab_size)
        found |= _entropy_means(denoiser, t, x_t, denoiser.log_loo(x_t, t))
    return found


def _pairs(
    denoiser: Any, run: Iterable[tuple[float, Tokens, Floats]], through: Means
) -> dict[tuple[float, str], tuple[float, float, float]]:
    """Means of a run and of the channel, and the standard error of their gap, by (t, law)."""
    found: Means = {}
    for t, x_t, log_loo in run:
        if t in (*CHECK_LEVELS, SMALL_LEVEL):
            found |= _entropy_means(denoiser, t, x_t, log_loo)
    return {
        key: (mean, through[key][0], float(np.hypot(error, through[key][1])))
        for key, (mean, error) in found.items()
    }


def identities(name: str, denoiser: Any, x_0: Tokens, rng: np.random.Generator) -> list[Check]:
    """A true posterior is calibrated: the mean of every statistic is that of what it tells of.

    entropy: -log p(x_0); max_conf: whether x_0 is the likeliest token; spectral_gap: that less
    whether it is the second. Nishimori identities of either law, mean over CHECK_LEVELS: where a
    memory is all but sure, its rare errors alone would have no standard error to speak of.
    """
    gaps = np.zeros((len(LAWS), len(STATISTICS), len(x_0)))
    for t in CHECK_LEVELS:
        alpha = float(denoiser.schedule.alpha(t))
        x_t = noise(rng, x_0, alpha, denoiser.vocab_size)
        log_loo = denoiser.log_loo(x_t, t)
        means = read(log_loo, x_t, alpha).means
        laws = (log_loo, channel.full_from_loo(log_loo, x_t, alpha))
        for i, log_law in enumerate(laws):
            own = np.take_along_axis(log_law, x_0[..., None].astype(np.int64), -1)[..., 0]
            second, first = np.moveaxis(np.argsort(log_law)[..., -2:] == x_0[..., None], -1, 0)
            foretold = (-own, first * 1.0 - second, first)
            gaps[i] += [values.mean(1) for values in foretold] - means[i]
    gaps = np.round(gaps / len(CHECK_LEVELS), 12)  # rounding alone is no spread
    return [
        check_mean(f"{name}: {law} {statistic}, come true - told", gaps[i, j], 0.0)
        for i, law in enumerate(LAWS)
        for j, statistic in enumerate(STATISTICS)
    ]


def _small_noise_checks(
    source: MarkovSource | IidSource, population: Any, x_0: Tokens, rng: np.random.Generator
) -> list[Check]:
    """Mean and variance of the population's `loo` entropy at t = 1e-5 against the source."""
    alpha = float(population.schedule.alpha(SMALL_LEVEL))
    x_t = noise(rng, x_0, alpha, population.vocab_size)
    entropy = read(population.log_loo(x_t, SMALL_LEVEL), x_t, alpha).means[0, 0]
    mean, variance = source.loo_entropy_moments()
    spread = np.round((entropy - mean) ** 2, 12)
    return [
        check_mean("population: loo entropy at t=1e-05", np.round(entropy, 12), round(mean, 12)),
        check_mean("population: variance of it over sequences", spread, round(variance, 12)),
    ]
