"""Exact checks of the entropy command, and what a finite number of reverse steps changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import channel
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from models.streams import stream
from models.tokens import Tokens
from simulations.data.problem import make_source
from simulations.entropy.config import BIAS_STEPS, CHECK_LEVELS, STATISTICS, EntropyConfig
from simulations.entropy.readings import pure_noise, read, reverse_run
from simulations.measure.checks import Check, as_dataset, check_mean
from simulations.measure.names import LAWS, SMALL_LEVEL

Floats = NDArray[np.float64]
Read = Iterable[tuple[float, Tokens, Floats]]  # level, tokens, `loo` law
Means = dict[tuple[float, str], tuple[float, float]]

LEVELS = (*CHECK_LEVELS, SMALL_LEVEL)


def checks_cell(config: EntropyConfig) -> xr.Dataset:
    """What holds exactly for the two exact denoisers, and what finite steps change."""
    source = make_source(config.source, config.vocab_size, config.seq_len)
    stored = config.problem(0, held_out=config.sequences).stored[: config.train_sizes[0]]
    n, rng = config.check_sequences, stream(config.root_seed, "checks")
    population, fresh = source.population_denoiser(), source.sample(rng, n)
    store = EmpiricalDenoiser(stored, config.vocab_size)
    cases = {
        "population": (population, fresh),
        f"empirical, K = {len(stored)}": (store, stored[rng.integers(len(stored), size=n)]),
    }
    checks, bias = [], []
    for name, (denoiser, x_0) in cases.items():
        checks += identities(name, denoiser, x_0, rng)
        through = _means(denoiser, _noised(denoiser, x_0, rng, LEVELS))
        last = noise(rng, x_0, float(denoiser.schedule.alpha(1.0)), config.vocab_size)
        exact = reverse_run(denoiser, rng, last, config.n_steps, joint=True)
        for (t, law), pair in _pairs(_means(denoiser, exact), through).items():
            label = f"{name}: {law} entropy at t={t:g}, reverse run - channel"
            checks.append(Check(label, *pair, n))
        for factor in BIAS_STEPS:
            steps = factor * config.n_steps
            plain = reverse_run(denoiser, rng, pure_noise(config, rng, n), steps)
            for (t, law), pair in _pairs(_means(denoiser, plain), through).items():
                bias.append((f"{name}: {law} entropy at t={t:g}", steps, *pair))
    # at the smallest level the population's `loo` entropy has mean and variance of the source
    [(t, x_t, log_loo)] = _noised(population, fresh, rng, (SMALL_LEVEL,))
    entropy = read(log_loo, x_t, float(population.schedule.alpha(t))).means[0, 0]
    mean, variance = source.loo_entropy_moments()
    spread = np.round((entropy - mean) ** 2, 12)
    checks += [
        check_mean("population: loo entropy at t=1e-05", np.round(entropy, 12), round(mean, 12)),
        check_mean("population: variance of it over sequences", spread, round(variance, 12)),
    ]
    names = ("bias_of", "bias_steps", "bias_run", "bias_channel", "bias_error")
    columns = zip(names, zip(*bias, strict=True), strict=True)
    return as_dataset(checks).assign({n: ("bias", np.array(column)) for n, column in columns})


def _noised(denoiser: Any, x_0: Tokens, rng: np.random.Generator, levels: Iterable[float]) -> Read:
    """Sequences (n, L) that the channel has noised to every level, and the denoiser's law."""
    for t in levels:
        x_t = noise(rng, x_0, float(denoiser.schedule.alpha(t)), denoiser.vocab_size)
        yield t, x_t, denoiser.log_loo(x_t, t)


def _means(denoiser: Any, steps: Read) -> Means:
    """Mean entropy and its standard error over sequences, by (t, law), at those of LEVELS."""
    found: Means = {}
    for t, x_t, log_loo in steps:
        if t in LEVELS:
            entropy = read(log_loo, x_t, float(denoiser.schedule.alpha(t))).means[:, 0]
            error = entropy.std(1, ddof=1) / np.sqrt(entropy.shape[1])
            parts = zip(LAWS, entropy.mean(1), error, strict=True)
            found |= {(t, law): (mean, e) for law, mean, e in parts}
    return found


def _pairs(run: Means, through: Means) -> dict[tuple[float, str], tuple[float, float, float]]:
    """Means of a run and of the channel, and the standard error of their gap, by (t, law)."""
    return {
        key: (mean, through[key][0], float(np.hypot(error, through[key][1])))
        for key, (mean, error) in run.items()
    }


def identities(name: str, denoiser: Any, x_0: Tokens, rng: np.random.Generator) -> list[Check]:
    """A true posterior is calibrated: the mean of every statistic is that of what it tells of.

    entropy: -log p(x_0); max_conf: whether x_0 is the likeliest token; spectral_gap: that less
    whether it is the second. Nishimori identities of either law, mean over CHECK_LEVELS: where a
    memory is all but sure, its rare errors alone would have no standard error to speak of.
    """
    gaps = np.zeros((len(LAWS), len(STATISTICS), len(x_0)))
    for t, x_t, log_loo in _noised(denoiser, x_0, rng, CHECK_LEVELS):
        alpha = float(denoiser.schedule.alpha(t))
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
