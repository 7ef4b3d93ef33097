"""What the cells of the study are made of, and what the analysis makes of them."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from am_theory.channel import LogLinear, Uniform
from models.networks.linear import fit_draws
from models.networks.linear_filter import LinearFilter
from models.networks.mlp import MLPDenoiser
from models.noise import noise
from models.sources import IidSource
from models.training.loss import loo_loss, noised
from simulations.curvature import objectives
from simulations.curvature.analysis import analyse
from simulations.curvature.config import FILTERS, make_cells, measures_curvature, preset
from simulations.curvature.curvatures import minimum
from simulations.curvature.effective_dimension import balanced_signs, inverse, lanczos, traces
from simulations.curvature.figure import draw
from simulations.curvature.gaps import error_excess, excess, gap_of
from simulations.curvature.report import report
from simulations.curvature.rule import LEAST_COVERAGE, enough, together
from tests.helpers import assert_close, within_standard_errors

L, V = 4, 3


def tokens(rng, n):
    return rng.integers(V, size=(n, L))


# losses and their inputs


def test_the_loss_of_a_network_is_the_training_loss():
    model = MLPDenoiser(jax.random.key(1), V, L, width=4)
    model = jax.tree.map(lambda x: x + 0.1, model)
    objective, theta = objectives.network(model)
    x_0 = jnp.asarray(tokens(np.random.default_rng(0), 8), jnp.int32)
    drawn = noised(
        jax.random.key(2), x_0, jnp.linspace(0.1, 0.9, 8), LogLinear(), Uniform(V), "loo"
    )
    inputs = objectives.Inputs(x_0, drawn[0].x_t, drawn[1], drawn[0].weights / L)
    assert_close(objective(theta, inputs), loo_loss(model, drawn[0], x_0, drawn[1]))
    again = objectives.network(jax.tree.map(lambda x: 2 * x, model))[0]
    assert again is objective  # compiles once


@pytest.mark.parametrize("t", [0.01, 0.5])
def test_the_loss_of_a_level_is_the_mean_over_resampled_sites(t):
    x_0 = jnp.asarray(tokens(np.random.default_rng(1), 4000), jnp.int32)
    inputs = objectives.at_level(jax.random.key(0), x_0, t, LogLinear(), Uniform(V))
    scored = np.asarray(inputs.weights) > 0
    assert np.all(np.asarray(inputs.x_t == x_0) | scored)
    within_standard_errors(inputs.weights.sum(1), 1.0)
    assert_close(np.unique(inputs.weights[scored]), np.float32([1 / ((0.999 * t) * L)]), rtol=1e-3)


def test_a_training_input_has_levels_and_weights_of_training():
    x_0 = jnp.asarray(tokens(np.random.default_rng(2), 4000), jnp.int32)
    inputs = objectives.as_trained(jax.random.key(3), x_0, LogLinear(), Uniform(V))
    within_standard_errors(np.sqrt(inputs.t), 0.5)  # t is the square of a uniform number
    assert float(inputs.weights.max()) <= 1 / L


def test_newton_finds_the_minimum():
    rng = np.random.default_rng(4)
    x_0 = tokens(rng, 200)
    x_t = noise(rng, x_0, 0.6, V)
    rows = objectives.every_site(jnp.asarray(x_0), jnp.asarray(x_t))
    d = L * (V - 1)
    found = minimum(objectives.linear(V), jnp.zeros(d * d), rows)
    exact = fit_draws(x_0, x_t[None], V, 0.6, 1e-9).matrix
    assert_close(np.asarray(found).reshape(d, d), exact.astype(np.float32), atol=1e-4)
    pair, size = objectives.pairwise(V, L)
    best = minimum(pair, jnp.zeros(size), rows)
    slope = pair.gradient(best, rows, jnp.full(200, 1 / 200))
    assert float(jnp.abs(slope).max()) < 1e-5


def test_the_dimension_is_that_of_laws_and_not_of_how_they_are_written():
    """Common shifts of logits, own couplings, and what passes from fields to couplings."""
    rng = np.random.default_rng(5)
    objective, size = objectives.pairwise(V, L)
    theta = rng.normal(size=size).astype(np.float32)
    couplings, fields = theta[: -L * V].reshape(L, V, L, V).copy(), theta[-L * V :].reshape(L, V)
    shift = rng.normal(size=(L, L, V)).astype(np.float32)
    couplings += shift[:, None]
    fields = fields - shift.sum(0) + shift[np.arange(L), np.arange(L)]
    couplings += rng.normal(size=(L, V, L, 1)).astype(np.float32)
    couplings[np.arange(L), :, np.arange(L)] = 7.0
    other = np.concatenate([couplings.ravel(), fields.ravel()])
    parts = [
        objectives.every_site(jnp.asarray(x), jnp.asarray(noise(rng, x, 0.6, V)))
        for x in (tokens(rng, 400), tokens(rng, 64))
    ]
    signs = balanced_signs(rng, 1, 64)

    def dimension(at, function):
        at = jnp.asarray(at)
        start = np.asarray(objective.gradient(at, parts[1], signs[0]), np.float64)[None]
        curved = jax.jit(lambda v: objective.curvature(at, parts[0], v))
        run = lanczos(lambda v: curved(jnp.asarray(v[0], jnp.float32))[None], start, 60)
        return traces(run, start, function, 64)[0]

    plain = dimension(theta, inverse())
    assert_close(dimension(other, inverse()), plain, rtol=1e-3)
    assert_close(dimension(theta, inverse(1e-7)), plain, rtol=1e-3)  # nothing to be damped away
    assert dimension(theta, inverse(1.0)) < 0.1 * plain


# gaps


def test_excess_is_the_loss_less_that_of_the_exact_law():
    rng = np.random.default_rng(6)
    source = IidSource(V, L, [0.6, 0.3, 0.1])
    x_0 = source.sample(rng, 300).astype(int)
    objective, size = objectives.pairwise(V, L)
    twice = np.tile(x_0, (2, 1))
    x_t = noise(rng, twice, 0.5, V)
    rows = objectives.every_site(jnp.asarray(twice), jnp.asarray(x_t))
    law = source.population_denoiser()
    fields = jnp.asarray(np.append(np.zeros(size - L * V), np.tile(np.log(source.probs), L)))
    assert_close(excess(objective, fields, rows, law, 0.5, 2), np.zeros(300), atol=1e-6)
    found = excess(objective, jnp.zeros(size), rows, law, 0.5, 2)
    assert_close(found, (np.log(V) + np.log(source.probs)[x_0]).mean(1), rtol=1e-5, atol=1e-6)


def test_gaps_and_their_replicates_are_of_unseen_less_stored():
    rng = np.random.default_rng(7)
    unseen, stored = rng.normal(1.0, 0.1, 400), rng.normal(0.7, 0.2, 100)
    gap, replicates = gap_of(500, rng, unseen, stored)
    assert_close(gap, unseen.mean() - stored.mean())
    error = np.hypot(0.1 / 20, 0.2 / 10)
    assert abs(replicates.std() / error - 1) < 0.25
    filters = [LinearFilter(V, L, 0.5, x * np.eye(L * (V - 1))) for x in (0.3, 0.5)]
    found = error_excess(rng, *filters, IidSource(V, L).sample(rng, 3000), 2)
    within_standard_errors(found, 0.2**2)  # |0.3 - 0.5|^2, as 0.5 is best


# what is made of them


def fabricated(factor=1.0, power=2.0, noise_level=0.01, tail=1.0, network=0.0, half=1.0):
    """Data of gaps 5 alpha^power / K^tail (as of the largest K) and curvatures `factor` times that:
    networks apart by `network`, and after half of the iterations `half` of it."""
    config = replace(
        preset("smoke"),
        systems=(("mlp", "iid", 500),),
        levels=(0.1, 0.4, 0.7),
        seeds=5,
        networks=5,
    )
    alphas = LogLinear().alpha(np.array(config.levels))
    sizes = np.array(config.train_sizes)
    dimension = 5 * alphas**power * ((sizes / sizes[-1]) ** (1 - tail))[:, None]

    def around(count, by=noise_level):
        return 1 + by * np.linspace(-1, 1, count)

    gaps = (dimension / sizes[:, None])[:, None] * around(config.seeds)[:, None]
    spread = around(config.replicates)[:, None]
    curved = factor * dimension[:, None, :, None, None, None] * np.ones((3, 1, 1))
    curved = curved * np.array([half, 1.0])[:, None] * around(config.blocks)
    curved = curved * around(config.networks, network)[:, None, None, None, None]
    axes = ("system", "train_size", "seed")
    dims = ("network", "level", "filter", "iterations", "block")
    return config, xr.Dataset(
        {
            "gap": ((*axes, "level"), gaps[None]),
            "gap_replicates": ((*axes, "replicate", "level"), gaps[None, :, :, None] * spread),
            "dimension": (("system", "train_size", *dims), curved[None]),
        }
    )


def test_the_analysis_finds_dimension_ratio_and_power():
    found = analyse(*fabricated())
    assert [line.verdict for line in found.lines] == ["agree"] * 3
    for line in found.lines:
        wanted = 5 * line.alpha**2
        assert_close(line.tail.effective_dimension, wanted, rtol=0.02)
        assert_close(line.curvature[-1].estimate, wanted, rtol=0.02)
        assert line.curvature[0].low < line.curvature[0].estimate < line.curvature[0].high
        assert line.tail.verdict == "agree"
        assert_close(line.scaled[-1].estimate, wanted, rtol=0.02)
    power = found.powers[0]
    assert power.measured.holds(2.0) and power.curvature.holds(2.0)
    assert not analyse(*fabricated(power=1.0)).powers[0].measured.holds(2.0)
    assert "networks: agreement" in report(found).lines[0]
    assert "in 3 of 3 cases" in report(found).lines[0]


def test_a_curvature_that_is_off_is_told_with_its_interval():
    found = analyse(*fabricated(factor=1.3))
    assert [line.verdict for line in found.lines] == ["deviate"] * 3
    assert_close(found.lines[0].ratio[-1].estimate, 1.3, rtol=0.03)
    assert found.lines[0].ratio[-1].low < 1.3 < found.lines[0].ratio[-1].high
    told = report(found)
    assert told.lines[0].startswith("Trained networks: no agreement") and "0 of 3" in told.lines[0]
    assert all(name in "\n".join(told.lines) for name in FILTERS)
    assert draw(found).axes[0].has_data()


def test_the_interval_of_the_curvature_covers_networks():
    alike, apart = (analyse(*fabricated(network=by)).lines[0] for by in (0.0, 0.3))
    widths = [line.curvature[-1].high - line.curvature[-1].low for line in (alike, apart)]
    assert widths[1] > 10 * widths[0]
    assert apart.ratio[-1].high - apart.ratio[-1].low > 10 * 0.01


def test_the_change_from_half_to_all_is_of_iterations_and_blocks():
    line = analyse(*fabricated(half=0.9)).lines[0]
    assert_close(line.iterations, [0.1] * 3)
    assert_close(line.probes, [0.006] * 3)  # (-1, -.6, -.2) per cent of the blocks, mean -.6
    assert "0.1000" in "\n".join(report(analyse(*fabricated(half=0.9))).lines)


def test_larger_sizes_are_foretold_from_smaller_ones():
    """d_eff of K^-.3: of one size too large by its growth, of two exact."""
    found = analyse(*fabricated(tail=1.3)).foretold
    assert len(found) == 3 * (1 + 2 + 3 + 1)
    for one in found:
        apart = one.size / one.seen[0] if len(one.seen) == 1 else 1.0
        assert_close(one.ratio.estimate, apart**0.3, rtol=1e-2)
        assert one.ratio.low < one.ratio.estimate < one.ratio.high
    assert {one.seen for one in found} == {(512,), (1024,), (2048,), (512, 1024)}
    assert f"typical factor of {2**0.3:.2f}" in report(analyse(*fabricated(tail=1.3))).lines[0]


def test_the_common_factor_of_all_levels_has_the_spread_of_seeds():
    """Seeds that are apart in curvature, not in gap: log-normal, an interval of known width."""
    rng = np.random.default_rng(11)
    gaps, held, widths = np.full((5, 3), 2.0), 0, []
    for _ in range(400):
        seeds = np.exp(0.1 * rng.normal(size=(5, 1)) - 0.005)
        _, low, high = together(1.3 * gaps * seeds, gaps)
        held += low < 1.3 < high
        widths.append(np.log(high / low))
    assert abs(held / 400 - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 400)
    assert_close(np.mean(widths), 2 * 2.776 * 0.1 * 0.94 / np.sqrt(5), rtol=0.08)  # E s = .94
    found = analyse(*fabricated(tail=1.3)).foretold
    own = next(one for one in found if one.seen == (one.size,))
    assert_close(own.together.estimate, 1.0, rtol=1e-6)
    assert np.isnan(together(gaps[:2], gaps[:2])[0])


def test_a_gap_that_is_not_told_from_0_is_not_foretold():
    config, data = fabricated()
    data["gap_replicates"] = data["gap_replicates"] * 0 - 1.0
    found = analyse(config, data)
    assert not any(one.resolved for one in found.foretold)
    assert found.lines[0].verdict == "not resolved"


@pytest.mark.parametrize(("cases", "wanted"), [(4, 2), (12, 8), (15, 10)])
def test_enough_agreements_are_those_that_agreement_hardly_ever_misses(cases, wanted):
    chances = [
        comb(cases, k) * LEAST_COVERAGE**k * (1 - LEAST_COVERAGE) ** (cases - k)
        for k in range(cases + 1)
    ]
    assert sum(chances[:wanted]) <= 0.05 < sum(chances[: wanted + 1])
    assert enough(cases) == wanted


def test_networks_are_asked_at_every_size_and_others_at_the_largest():
    config = preset("small")
    cells = make_cells(config)
    assert len({cell.name for cell in cells}) == len(cells)
    assert len(cells) == len(config.systems) * len(config.train_sizes) * config.seeds
    config = replace(config, networks=2)
    asked = [cell.coordinates for cell in cells if measures_curvature(config, cell.coordinates)]
    trained = [k for k, system in enumerate(config.systems) if system[2]]
    wanted = 2 * (len(config.systems) + (len(config.train_sizes) - 1) * len(trained))
    assert len(asked) == wanted and max(c["seed"] for c in asked) == 1
    small = [c for c in asked if c["train_size"] < max(config.train_sizes)]
    assert {c["system"] for c in small} == set(trained)
