"""The main job under masks and hybrid noise: what is asked at t -> 0, and what is compared."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from am_theory.channel import Absorbing, Hybrid, LogLinear, Uniform
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from simulations.data.problem import make_source
from simulations.measure.checks import MAX_Z
from simulations.measure.counts import law_statistics, nelbo_rates
from simulations.measure.names import LOG_LOSS_CAP, SMALL_LEVEL
from simulations.phase.actors import Plain, clean_laws, filled
from simulations.phase.config import Config, preset
from simulations.phase.exact_checks import memory_checks
from simulations.phase.study import STUDY, folder
from tests.helpers import assert_close

SMOKE = preset("smoke")
MASKED = dataclasses.replace(SMOKE, channel="absorbing")
HYBRID = dataclasses.replace(SMOKE, channel="hybrid", p_uniform=0.2)


def test_the_channel_of_a_configuration():
    assert SMOKE.noise == Uniform(8) and MASKED.noise == Absorbing(8)
    assert HYBRID.noise == Hybrid(8, 0.2) == HYBRID.network.noise
    assert [folder(c, "smoke") for c in (SMOKE, MASKED, HYBRID)] == [
        "markov-smoke",
        "markov-absorbing-smoke",
        "markov-hybrid0.2-smoke",
    ]


def test_a_uniform_run_is_the_run_it_was():
    """Its settings say nothing of channels, so that folders made before are read as they are."""
    assert not {"channel", "p_uniform"} & set(SMOKE.as_dict())
    assert MASKED.as_dict()["channel"] == "absorbing" and "p_uniform" not in MASKED.as_dict()
    assert HYBRID.as_dict()["p_uniform"] == 0.2
    keys = {STUDY.configuration_hash(c) for c in (SMOKE, MASKED, HYBRID)}
    assert len(keys) == 3


@pytest.mark.parametrize("config", [SMOKE, MASKED, HYBRID], ids=lambda c: c.channel)
def test_laws_at_small_noise_are_those_of_the_source(config):
    source = make_source("markov", 8, 8)
    exact = Plain(source.population_denoiser(channel=config.noise), 4)
    x_0 = source.sample(np.random.default_rng(0), 300)
    found = law_statistics(clean_laws(exact, config, x_0), x_0)
    known = source.population_denoiser().log_loo(x_0, 1e-9)
    assert_close(found.entropy, law_statistics(known, x_0).entropy, atol=2e-3)


def test_a_memorizer_is_sure_of_what_it_stored():
    patterns = np.random.default_rng(1).integers(8, size=(50, 8)).astype(np.uint8)
    store = Plain(EmpiricalDenoiser(patterns, 8, channel=MASKED.noise), 4)
    found = law_statistics(clean_laws(store, MASKED, patterns), patterns)
    assert found.entropy.max() < 1e-9 and found.own.min() > 1 - 1e-9


def test_visible_tokens_are_left_where_they_are_facts():
    x_t, output = np.array([[0, 8, 2]], np.uint8), np.array([[1, 1, 1]], np.uint8)
    assert filled(Absorbing(8), x_t, output).tolist() == [[0, 1, 2]]
    assert filled(Hybrid(8, 0.1), x_t, output).tolist() == [[1, 1, 1]]


def test_a_token_that_is_ruled_out_has_a_price():
    """The NELBO of a memorizer on unseen sequences under erasures is infinite but for the cap."""
    with np.errstate(divide="ignore"):
        law = np.log(np.array([[[1.0, 0.0], [0.5, 0.5]]]))
    x_t, x_0 = np.array([[2, 0]]), np.array([[1, 0]])
    rate = nelbo_rates(law, x_t, x_0, np.array([0.5]), LogLinear(), Absorbing(2))
    assert_close(rate, [LOG_LOSS_CAP / 0.5 / 2])


@pytest.mark.parametrize("config", [MASKED, HYBRID], ids=lambda c: c.channel)
def test_exact_checks_hold(config):
    for case in ((8, 8, 2, 0.5), (50, 12, 3, 0.6)):
        checks = memory_checks(config, case, np.random.default_rng(2))
        assert len(checks) == 12
        assert max(abs(check.z) for check in checks) < MAX_Z


@pytest.mark.slow
@pytest.mark.parametrize("channel", ["absorbing", "hybrid"])
def test_a_whole_run(tmp_path, channel):
    """The six panels, ten lines and the page, and the numbers between their exact ends."""
    result = STUDY.run(
        "smoke",
        out=tmp_path,
        channel=channel,
        train_sizes=(8, 2048),
        levels=(0.1, 0.5),
        queries=128,
        nelbo_sizes=(),
        starts=16,
    )
    assert not result.report.broken
    page = (tmp_path / "explorer.html").read_text()
    assert ("masked" in page) and (tmp_path / "phase_diagram.png").exists()
    data = result.data
    noisy = data["example_noisy"].values
    assert noisy.max() == 8 and data["example_restored"].values.max() < 8
    entropy = data["entropy"].sel(split="train", law="loo", t_entropy=SMALL_LEVEL).mean("sample")
    ends = entropy.isel(train_size=1, seed=0).sel(denoiser=["empirical", "population"]).values
    assert ends[0] < ends[1]
    kept = data["kept"].sel({"map": "full", "denoiser": "trained"})
    if channel == "absorbing":
        assert (kept == 8).all()  # no visible token ever changes: `full` keeps everything
        best = data["broken"].sel(decoder=["ancestral", "argmax"])
        assert int(best.max()) == 0
    assert isinstance(result.config, Config)
    x_0 = make_source("markov", 8, 8).sample(np.random.default_rng(0), 4)
    assert noise(np.random.default_rng(1), x_0, 0.2, result.config.noise).max() == 8
