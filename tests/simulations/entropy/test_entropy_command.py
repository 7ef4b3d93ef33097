"""The entropy study: its parts against enumeration and known numbers, and the whole when tiny."""

import dataclasses
import json
import re

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import norm

from am_theory import channel
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from models.sampler import ancestral, reverse_law
from models.sources import IidSource, MarkovSource
from simulations.console.errors import UserError
from simulations.entropy.analysis import _collapse, _half_way, analyse, findings, run_and_channel
from simulations.entropy.bands import POPULATION, Band
from simulations.entropy.cells import population_cell
from simulations.entropy.checks import checks_cell, identities
from simulations.entropy.config import STATISTICS, EntropyConfig, preset
from simulations.entropy.readings import bin_counts, read, reverse_run
from simulations.entropy.separation import (
    discriminability,
    highest,
    pair_of,
    placements,
    plateau,
    sequences_needed,
)
from simulations.entropy.study import STUDY
from simulations.measure.names import LAWS
from simulations.phase import config as main_job
from tests import oracles
from tests.helpers import assert_drawn, within_standard_errors
from tests.simulations.registry import STUDIES

WORDS = ["--preset", "smoke", *STUDIES["entropy"].tiny.split(), "--workers", "1"]
CHAIN = MarkovSource(oracles.CHAIN, 4, oracles.CHAIN_START)


def tiny_config(*more):
    return STUDY.parse([*WORDS, *more]).config


# --- readings and runs, against enumeration


def test_readings_are_those_of_enumerated_laws():
    """Every noisy sequence of a chain of 4 tokens, exactly; the means are theory's sheet 7.2."""
    seqs, alpha = oracles.all_sequences(3, 4), float(channel.LogLinear().alpha(0.4))
    law = oracles.markov_law(oracles.CHAIN_START, oracles.CHAIN, 4)
    denoiser = CHAIN.population_denoiser()
    found = read(denoiser.log_loo(seqs, 0.4), seqs, alpha)
    weight = law @ oracles.channel_matrix(seqs, 3, alpha)
    for i, (name, printed) in enumerate((("loo", 0.98771664), ("full", 0.69283730))):
        p = getattr(oracles, name)(law, seqs, alpha, 3)
        top = np.sort(p)[..., ::-1]
        expected = (oracles.entropy(p), top[..., 0] - top[..., 1], top[..., 0])
        np.testing.assert_allclose(found.means[i], [e.mean(1) for e in expected], atol=1e-12)
        np.testing.assert_allclose(found.token_entropy[i], expected[0], atol=1e-12)
        assert weight @ found.means[i, 0] == pytest.approx(printed, abs=5e-9)


@pytest.mark.parametrize("n_steps", [1, 5])
def test_the_run_is_that_of_the_sampler_step_by_step(n_steps):
    patterns = np.random.default_rng(0).integers(5, size=(6, 7))
    start = np.random.default_rng(1).integers(5, size=(9, 7)).astype(np.uint8)
    for denoiser in (
        EmpiricalDenoiser(patterns, 5),
        IidSource(5, 7, [0.4, 0.2, 0.2, 0.1, 0.1]).population_denoiser(),
    ):
        steps = list(reverse_run(denoiser, np.random.default_rng(2), start, n_steps))
        expected = ancestral(denoiser, np.random.default_rng(2), start, 1.0, n_steps)
        np.testing.assert_array_equal(steps[-1][1], expected)
        np.testing.assert_array_equal(steps[0][1], start)
        levels = [t for t, _, _ in steps]
        np.testing.assert_allclose(levels, [*(1 - np.arange(n_steps) / n_steps), 1e-5])
        for t, x_t, log_loo in steps:
            np.testing.assert_array_equal(log_loo, denoiser.log_loo(x_t, t))


def propagated(denoiser, n_steps):
    """Law of a plain run over all sequences before every step and at the end, exactly."""
    seqs = oracles.all_sequences(3, 4)
    weight = np.full(len(seqs), 1 / len(seqs))
    for k in range(n_steps):
        t, s = 1 - k / n_steps, 1 - (k + 1) / n_steps
        yield t, weight
        alpha_s = float(denoiser.schedule.alpha(s)) if s > 0 else 1.0
        alpha_t = float(denoiser.schedule.alpha(t))
        sites = reverse_law(denoiser.log_loo(seqs, t), seqs, alpha_t, alpha_s)  # (N, L, V)
        moves = np.prod(sites[:, np.arange(4), seqs], axis=-1).T  # by target, from every start
        weight = moves @ weight
    yield 1e-5, weight


def test_entropy_along_a_run_is_that_of_the_exactly_propagated_law():
    denoiser, seqs = CHAIN.population_denoiser(), oracles.all_sequences(3, 4)
    rng = np.random.default_rng(3)
    start = rng.integers(3, size=(4000, 4)).astype(np.uint8)
    steps = reverse_run(denoiser, rng, start, 3)
    for (t, x_t, log_loo), (level, weight) in zip(steps, propagated(denoiser, 3), strict=True):
        assert t == level
        assert weight.sum() == pytest.approx(1)
        alpha = float(denoiser.schedule.alpha(t))
        exact = read(denoiser.log_loo(seqs, t), seqs, alpha).means @ weight
        found = read(log_loo, x_t, alpha).means
        for i, j in np.ndindex(2, 3):
            within_standard_errors(found[i, j], exact[i, j])


def test_a_run_with_joint_steps_has_the_law_of_the_channel():
    """Three steps are exact; the plain kernel is seen to differ at so few."""
    denoiser, seqs = CHAIN.population_denoiser(), oracles.all_sequences(3, 4)
    law = oracles.markov_law(oracles.CHAIN_START, oracles.CHAIN, 4)
    rng = np.random.default_rng(4)
    start = noise(rng, CHAIN.sample(rng, 20_000), float(denoiser.schedule.alpha(1.0)), 3)
    plain = dict(propagated(denoiser, 3))
    for t, x_t, _ in reverse_run(denoiser, rng, start, 3, joint=True):
        alpha = float(denoiser.schedule.alpha(t))
        exact = law @ oracles.channel_matrix(seqs, 3, alpha)
        found = np.bincount(oracles.sequence_index(x_t, 3), minlength=81) / len(x_t)
        chi = (len(x_t) * (found - exact) ** 2 / exact).sum()
        assert chi < 80 + 5 * np.sqrt(160), t
        if t < 0.5:
            assert len(x_t) * ((plain[t] - exact) ** 2 / exact).sum() > 400


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 9))
def test_every_token_is_counted_once_in_its_bin(seed, length, bins):
    values = np.random.default_rng(seed).random((2, 3, length)) * 0.06 * bins
    counts, edge = bin_counts(values, bins), 0.05 * (bins - 1)
    assert counts.shape == (2, 3, bins)
    assert (counts.sum(-1) == length).all()
    np.testing.assert_array_equal(counts[..., : bins - 1].sum(-1), (values < edge).sum(-1))


# --- exact checks


def test_exact_denoisers_pass_and_wrong_ones_are_seen():
    """Told another noise level, a posterior is no longer calibrated."""

    class Misled:
        def __init__(self, denoiser, shift):
            self.denoiser, self.shift = denoiser, shift
            self.vocab_size, self.schedule = denoiser.vocab_size, denoiser.schedule

        def log_loo(self, x_t, t):
            return self.denoiser.log_loo(x_t, t + self.shift)

    source = MarkovSource(oracles.CHAIN, 12)
    x_0 = source.sample(np.random.default_rng(5), 2000)
    store = EmpiricalDenoiser(x_0[:20], 3)
    stored = store.patterns[np.random.default_rng(6).integers(20, size=2000)]
    for denoiser, clean in ((source.population_denoiser(), x_0), (store, stored)):
        for shift, passes in ((0.0, True), (0.15, False), (-0.15, False)):
            checks = identities("x", Misled(denoiser, shift), clean, np.random.default_rng(7))
            assert len(checks) == len(LAWS) * len(STATISTICS)
            assert all(check.agrees for check in checks) == passes, shift


@pytest.mark.parametrize("source", ["markov", "iid"])
def test_the_checks_of_a_tiny_run_hold(source):
    found = checks_cell(tiny_config("--source", source))
    z = (found["simulated"] - found["exact"]) / found["standard_error"].clip(1e-12)
    assert float(np.abs(z).max()) < 5
    assert set(found["bias_steps"].values.tolist()) == {8, 32}
    if source == "iid":  # nothing to learn: the same entropy at every level
        names = found["check"].values.astype(str)
        entropies = found["simulated"][np.char.find(names, "population: loo entropy at") == 0]
        np.testing.assert_allclose(entropies, np.log(8), rtol=1e-6)


# --- separation


def moments(values):
    return np.stack([values.mean(0), (values**2).mean(0)])


def test_d_prime_of_normal_samples_and_its_limits():
    rng = np.random.default_rng(8)
    low, high = rng.normal(1, 0.5, (200_000, 1)), rng.normal(2, 1.5, (200_000, 1))
    found = discriminability(moments(low), moments(high), 0)
    assert found[0] == pytest.approx(1 / np.sqrt((0.25 + 2.25) / 2), abs=0.01)
    assert discriminability(moments(high), moments(low), 0)[0] == -found[0]
    shifted = discriminability(moments(3 * low + 1), moments(3 * high + 1), 0)
    assert shifted[0] == pytest.approx(found[0])
    constant = np.full((5, 1), 2.77)
    assert discriminability(moments(constant), moments(constant + 0.1), 0)[0] == np.inf
    assert discriminability(moments(constant), moments(constant), 0)[0] == 0


@given(st.lists(st.integers(0, 5), min_size=1), st.lists(st.integers(0, 5), min_size=1))
def test_placements_count_every_pair_and_ties_half(low, high):
    low, high = np.array(low, float), np.array(high, float)
    above, below = placements(low[:, None], high[:, None])
    pairs = (low[:, None] < high) + 0.5 * (low[:, None] == high)
    np.testing.assert_allclose(above[:, 0], pairs.mean(1))
    np.testing.assert_allclose(below[:, 0], pairs.mean(0))


def test_auc_of_normal_samples_follows_d_prime():
    rng = np.random.default_rng(9)
    low, high = rng.normal(0, 1, (50_000, 1)), rng.normal(1.3, 1, (50_000, 1))
    assert placements(low, high)[0].mean() == pytest.approx(norm.cdf(1.3 / np.sqrt(2)), abs=0.005)


LEVELS = np.array([1e-5, 0.1, 0.2, 0.4, 0.7, 0.9])


@given(st.floats(0.12, 0.68), st.floats(0.5, 9), st.floats(1, 30))
def test_the_top_of_a_parabola_is_found_between_the_levels(at, height, bend):
    curve = height - bend * (LEVELS - at) ** 2
    level, top = highest(LEVELS, curve[None], 0.8)
    assert level[0] == pytest.approx(at, abs=1e-6)
    assert top[0] == pytest.approx(height, abs=1e-6)


def test_a_top_at_an_end_or_beyond_the_search_or_infinite_is_a_level():
    cases = (
        (-LEVELS, 1.0, 1e-5, -1e-5),
        (LEVELS, 1.0, 0.9, 0.9),
        (np.array([3.0, 2, 4, 1, 2, 9]), 0.8, None, None),
        (np.array([3.0, 2, 1, 0, 4, 9]), 0.8, 0.7, 4.0),
        (np.array([3.0, 2, 1, 0, 4, 5]), 0.8, 0.7, 4.0),
        (np.array([3.0, np.inf, np.inf, 1, 2, 1]), 0.8, 0.1, np.inf),
    )
    for curve, below, at, top in cases:
        level, height = (float(part) for part in highest(LEVELS, curve, below))
        if at is None:
            assert 0.1 < level < 0.4 and height >= 4
        else:
            assert (level, height) == (at, top)


def test_the_plateau_of_a_triangle_and_of_what_has_none():
    levels = np.linspace(0, 1, 11)
    curve = 10 - 10 * np.abs(levels - 0.5)
    assert plateau(levels, curve, 0.5, 10.0) == pytest.approx((0.4, 0.6))
    assert plateau(levels, curve + 100, 0.5, 110.0) == (0, 1)
    two = np.where(np.arange(11) == 9, 10.0, curve)  # a second top, not joined to the first
    assert plateau(levels, two, 0.5, 10.0) == pytest.approx((0.4, 0.6))
    assert np.isnan(plateau(levels, -curve, 0.5, -1.0)).all()
    assert np.isnan(plateau(levels, curve, 0.5, np.inf)).all()


def test_so_many_sequences_give_the_power_that_is_promised():
    d_prime, rng = 0.7, np.random.default_rng(10)
    n = int(sequences_needed(d_prime))
    means = rng.standard_normal((2, 20_000, n)).mean(-1)
    statistic = (means[1] + d_prime - means[0]) / np.sqrt(2 / n)
    assert (statistic > norm.ppf(0.95)).mean() == pytest.approx(0.99, abs=0.004)
    assert sequences_needed(d_prime) == 65  # 2 (3.971 / 0.7)^2 = 64.4
    assert sequences_needed(50.0) == sequences_needed(np.inf) == 1
    assert sequences_needed(0.0) == sequences_needed(-1.0) == np.inf


def test_the_half_way_level_and_the_collapse_are_interpolated():
    config = preset("smoke")
    t, limit = np.array(config.step_levels), np.log(config.vocab_size)
    curve = np.zeros((2, 3, len(t)))
    curve[0, 0] = limit * t**2
    band = Band(curve, curve, curve, curve[None], curve[None])
    assert float(_half_way(config, band).estimate) == pytest.approx(np.sqrt(0.5), abs=2e-3)
    curve[0, 0] = limit
    assert np.isnan(_half_way(config, band).estimate)  # never below
    line = [(12.0 * (1 - level), 0.06) for level in config.levels]
    level, error = _collapse(config, 8, line)
    assert level == pytest.approx(1 - np.log(8) / 12)
    assert error == pytest.approx(0.005)
    assert np.isnan(_collapse(config, 1, line)).all()  # one sequence is never lost
    assert np.isnan(_collapse(config, 10**6, line)).all()  # more than the source can tell apart


# --- the whole


@pytest.fixture(scope="module", params=["markov", "iid"])
def tiny(request, tiny_run, tmp_path_factory):
    if request.param == "markov":
        return request.param, tiny_run("entropy")
    out = tmp_path_factory.mktemp("entropy") / request.param
    words = [*WORDS, "--source", request.param, "--check", "--out", str(out)]
    assert STUDY.execute(words, Console(quiet=True)) == 0
    return request.param, out


@pytest.mark.slow
def test_the_report_and_the_data_hold_what_was_asked_for(tiny):
    source, out = tiny
    report = (out / "report.md").read_text()
    for heading in ("In short", "Which level separates best", "On the way", "Caveats"):
        assert heading in report
    assert not re.search(r"\b(nan|inf)\b", report)
    assert f"source {source}" in report
    summary = json.loads((out / "summary.json").read_text())
    assert summary["exact_failures"] == []
    assert len(summary["separations"]) == 2 * 3 * 2 * 2
    with xr.open_dataset(out / "entropy.nc", engine="h5netcdf") as data:
        assert data.sizes["train_size"] == 3 and data.sizes["step"] == 9
        assert json.loads(data.attrs["configuration"])["train_sizes"] == [4, 16, 64]


@pytest.mark.slow
def test_the_figure_of_the_appendix_is_drawn(tiny):
    source, out = tiny
    assert_drawn("trajectory", "entropy", out, tiny_config("--source", source))


@pytest.mark.slow
def test_reported_numbers_are_those_of_the_saved_ones(tiny):
    source, out = tiny
    config = tiny_config("--source", source)
    data = STUDY.merge(out, config)
    analysis = analyse(config, data)
    part = data["trajectory"].sel(denoiser="trained", train_size=16, law="full")
    expected = part.isel(statistic=2, step=3).mean()
    assert analysis.runs["trained", 16].estimate[1, 2, 3] == pytest.approx(float(expected))
    # d' of each seed by its definition, then the mean over seeds
    channel_ = data["channel"].sel(statistic="entropy", law="loo", t=0.5)
    low = channel_.sel(denoiser="trained", train_size=4, split="train").values
    high = channel_.sel(denoiser="trained", train_size=64, split="heldout").values
    each = [
        (b.mean() - a.mean()) / np.sqrt((a.var() + b.var()) / 2)
        for a, b in zip(low.astype(float), high.astype(float), strict=True)
    ]
    found = analysis.separations["measured", "train", 4]
    at = config.all_levels.index(0.5)
    assert found.d_prime.estimate[0, at] == pytest.approx(np.mean(each))
    pairs = [
        (a[:, None] < b).mean() + (a[:, None] == b).mean() / 2
        for a, b in zip(low, high, strict=True)
    ]
    assert found.auc.estimate[0, at] == pytest.approx(np.mean(pairs))
    # its replicates spread as those of whole sequences do
    low, high = low.astype(float), high.astype(float)
    rng = np.random.default_rng(0)

    def again(part, clusters):
        chosen = rng.integers(clusters, size=clusters)
        return part.reshape(-1, clusters)[:, chosen].ravel()

    direct = [
        np.mean(
            [
                placements(again(a, 4), again(b, 24))[0].mean()
                for a, b in zip(low, high, strict=True)
            ]
        )
        for _ in range(1000)
    ]
    ours = found.auc.replicates[:, 0, at]
    if np.std(direct) > 1e-3:
        assert ours.std() == pytest.approx(np.std(direct), rel=0.3)
    run_, through = run_and_channel(analysis, ("empirical", 4), "generated", 0.25)
    step = data["step_level"].values.tolist().index(0.25)
    pick = {"denoiser": "empirical", "train_size": 4, "law": "loo", "statistic": "entropy"}
    assert float(run_.estimate) == pytest.approx(
        float(data["trajectory"].sel(pick).isel(step=step).mean())
    )
    assert float(through.estimate) == pytest.approx(
        float(data["channel"].sel(pick).sel(split="generated", t=0.25).mean())
    )
    counts = data["token_counts"]
    assert (counts.sum("bin") == config.seq_len).all()
    shares = counts.sel(denoiser="trained", train_size=4, split="train", t_histogram=1e-5)
    expected = float(shares.sel(law="loo").isel(bin=0).mean() / config.seq_len)
    assert analysis.below[("trained", 4), "train"].estimate[0] == pytest.approx(expected)
    rows = [row for part in findings(analysis) for row in part]
    assert len({row.what for row in rows}) == len(rows)


@pytest.mark.slow
def test_generated_sequences_of_exact_denoisers_are_what_theory_says(tiny):
    """A long run of the empirical denoiser ends at stored sequences; their loo law is sure."""
    source, out = tiny
    data = STUDY.merge(out, tiny_config("--source", source))
    exact = data.sel(denoiser="empirical")
    assert float((exact["copy_distance"] == 0).mean()) > 0.7
    if source == "iid":
        population = data["population_channel"].sel(statistic="entropy", law="loo")
        kept = population.sel(split=["heldout", "generated"])
        np.testing.assert_allclose(kept, np.log(8), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("--seq-len", "1"), ("--vocab-size", "2"), ("--train-sizes", "1", "3")]
)
def test_edge_shapes_run(tmp_path, words):
    assert STUDY.execute([*WORDS, *words, "--out", str(tmp_path)], Console(quiet=True)) == 0


def test_a_population_cell_repeats_and_shares_its_noise_with_the_other_denoisers():
    config = tiny_config()
    first, second = (population_cell(config, 1) for _ in range(2))
    xr.testing.assert_equal(first, second)
    assert np.isnan(first["channel"].sel(split="train")).all()
    assert np.isfinite(first["channel"].sel(split=["heldout", "generated"])).all()
    assert (population_cell(config, 0)["trajectory"] != first["trajectory"]).any()


def test_pairs_and_levels_of_a_configuration():
    config = preset("small")
    assert pair_of(config, "predicted", "train", 64) == [
        (("empirical", 64), "train"),
        (POPULATION, "heldout"),
    ]
    assert pair_of(config, "measured", "generated", 1024)[1] == (("trained", 16384), "generated")
    assert config.all_levels[0] == config.step_levels[-1] == 1e-5
    assert set(config.levels) <= set(config.step_levels)
    assert config == EntropyConfig()
    assert all(preset(name).levels[-1] > 0.9 for name in STUDY.presets)


@pytest.mark.parametrize("model", ["mlp", "dit"])
@pytest.mark.parametrize("name", ["smoke", "small", "paper"])
def test_networks_are_those_of_the_main_job(name, model):
    ours = preset(name, "markov", model)
    theirs = main_job.preset(name, "markov", model)
    for key in ("vocab_size", "seq_len", "root_seed", "model", "width", "n_blocks", "n_heads"):
        assert getattr(ours, key) == getattr(theirs, key), key
    if (name, model) != ("small", "mlp"):  # said in the docstring of `preset`
        assert ours.training == theirs.training
    assert ours.train_sizes[-1] == theirs.train_sizes[-1]  # so many sequences are drawn


@pytest.mark.parametrize(
    ("settings", "fragment"),
    [
        ({"source": "text"}, "`source` must be markov or iid; got 'text'"),
        ({"train_sizes": (8,)}, "`train_sizes` must hold at least two sizes"),
        ({"levels": (0.25, 0.3, 0.5)}, "multiples of 1 / `n_steps` = 0.0625"),
        ({"levels": (0.25, 0.5)}, "at least three increasing noise levels"),
        ({"levels": (0.25, 0.5, 1.0)}, "must lie in (1e-5, 1)"),
        ({"n_steps": 6}, "multiples of 1 / `n_steps`"),
        ({"n_steps": 6, "levels": (1 / 6, 0.5, 5 / 6)}, "`n_steps` must be a multiple of 4"),
        ({"histogram_levels": (0.3,)}, "`histogram_levels` must be among `levels`; 0.3 is not"),
        ({"sequences": 3}, "`sequences` must be at least 16"),
        ({"check_sequences": 3}, "`check_sequences` must be at least 100"),
    ],
)
def test_bad_settings_get_one_sentence(settings, fragment):
    with pytest.raises(ValueError, match=re.escape(fragment)):
        dataclasses.replace(preset("smoke"), **settings)


def test_a_text_is_refused_with_the_way_out():
    with pytest.raises(UserError, match=r"no exact population law.*choose --source markov or iid"):
        STUDY.parse(["--source", "text"])
