"""The probe under masked and hybrid noise: its readings, its refusals, and what it says of them."""

import dataclasses

import equinox as eqx
import jax
import numpy as np
import pytest

from am_theory.channel import Absorbing, Cosine, Hybrid, Linear
from models.denoiser import log_full
from models.exact.empirical import EmpiricalDenoiser
from models.networks.mlp import MLPDenoiser
from models.noise import noise
from models.released.checkpoint import save_model
from models.sampler import decode_argmax, decode_best_change
from models.sources import MarkovSource
from models.streams import stream
from models.unmasking import single_mask_laws
from simulations.measure.counts import count_tokens, law_statistics, nelbo_rates
from simulations.measure.names import EPSILONS, SMALL_LEVEL
from simulations.probe.api import probe
from simulations.probe.config import ProbeConfig
from simulations.probe.judge.chances import calibration
from simulations.probe.judge.evidence import evidence_of
from simulations.probe.judge.membership import scores
from simulations.probe.judge.statistics import statistics
from simulations.probe.judge.verdict import verdict_without
from simulations.probe.measure.kind import NoiseError
from simulations.probe.measure.measures import measure
from simulations.probe.model import open_model
from tests import oracles
from tests.helpers import assert_close

V, L, LEVELS = 5, 6, (0.1, 0.7)
FIXED = {"sequences": 12, "recover": 6, "generate": 8, "n_steps": 5, "levels": LEVELS}
KINDS = {"absorbing": Absorbing(V), "hybrid": Hybrid(V, 0.3)}


def tokens(n, seed=0, seq_len=L):
    return np.random.default_rng(seed).integers(V, size=(n, seq_len)).astype(np.uint8)


LAW = eqx.filter_jit(lambda model, x_t, t: model.log_loo(x_t, t))


class Plain:
    """The same model for NumPy alone."""

    def __init__(self, model):
        self.model, self.schedule, self.channel = model, model.schedule, model.channel
        self.vocab_size, self.seq_len = model.vocab_size, model.seq_len

    def log_loo(self, x_t, t):
        level = np.broadcast_to(np.float32(t), (len(x_t),))
        return np.asarray(LAW(self.model, np.asarray(x_t, np.int32), level))


@pytest.fixture(scope="module", params=list(KINDS))
def learned(request):
    """A network, and what a probe measures of it, in JAX and in NumPy."""
    model = MLPDenoiser(jax.random.key(0), V, L, 16, channel=KINDS[request.param])
    readout = np.random.default_rng(0).normal(size=(16, L * V)).astype(np.float32)
    model = Plain(eqx.tree_at(lambda m: m.readout, model, jax.numpy.asarray(readout)))
    config = ProbeConfig(**{**FIXED, "generate": 0})
    data = [measure(m, config, tokens(40), tokens(20, 3)) for m in (model.model, model)]
    return request.param, model, config, data


def of_split(data, name):
    return data.isel(sequence=np.flatnonzero(data["split"].values == name))


def entropies(log_law):
    return -(np.exp(log_law) * np.maximum(log_law, -1e4)).sum(-1)


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_readings_against_dense_laws(learned, split):
    kind, model, config, (data, _) = learned
    mine, noise_kind = of_split(data, split), KINDS[kind]
    x_0 = mine["tokens"].values.astype(np.uint8)
    for t in LEVELS:
        alpha = float(model.schedule.alpha(t))
        names = (config.root_seed, "channel", split, f"{t:g}")
        rows = zip(x_0, mine["index"].values, strict=True)
        x_t = np.concatenate(
            [noise(stream(*names, i), x[None], alpha, noise_kind) for x, i in rows]
        )
        at, masked = mine.sel(t=t, t_entropy=t), x_t == V
        assert masked.any() or t < 0.5
        assert (at["corrupted"].values == (x_t != x_0).sum(1)).all()
        full = np.asarray(log_full(model, x_t, t))
        for law, logs in (("loo", model.log_loo(x_t, t)), ("full", full)):
            logs = np.asarray(logs, np.float64)
            if kind == "hybrid":
                expected = law_statistics(logs, x_0)
                entropy, loss = expected.entropy, expected.log_loss
            else:  # at masked sites alone
                sites = masked.sum(1)
                assert (at["sites"].values == sites).all()
                own = np.take_along_axis(logs, x_0[..., None].astype(int), -1)[..., 0]
                with np.errstate(invalid="ignore"):
                    entropy = np.where(masked, entropies(logs), 0).sum(1) / sites
                    loss = -np.where(masked, own, 0).sum(1) / sites
            assert_close(at["entropy"].sel(law=law).values, np.float32(entropy), atol=1e-5)
            assert_close(at["log_loss"].sel(law=law).values, np.float32(loss), atol=1e-5)
        change = decode_best_change(full, x_t)
        if kind == "absorbing":
            change = np.where(masked, change, x_t)
        for name, output in (("argmax", decode_argmax(full)), ("best_change", change)):
            counts = count_tokens(x_0, x_t, output)
            assert (at["recovered"].sel(decoder=name).values == counts.recovered).all()
            assert (at["broken"].sel(decoder=name).values == counts.broken).all()


def test_networks_in_numpy_and_in_jax_are_read_alike(learned):
    _, _, _, (in_jax, in_numpy) = learned
    assert in_jax.attrs["noise"] == in_numpy.attrs["noise"] == learned[0]
    for name in ("entropy", "log_loss", "nelbo"):
        assert_close(in_jax[name].values, in_numpy[name].values, rtol=1e-4, atol=1e-5)


def test_nelbo_is_that_of_the_channel(learned):
    kind, model, config, (data, _) = learned
    mine = of_split(data, "heldout")
    x_0, draws = mine["tokens"].values.astype(np.uint8), config.nelbo_draws
    start, found = config.nelbo_start, []
    for x, i in zip(x_0, mine["index"].values, strict=True):
        rng = stream(config.root_seed, "nelbo", "heldout", i)
        t = start + (1 - start) * (np.arange(draws) + rng.random((1, draws))[0]) / draws
        noisy = [noise(rng, x[None], float(model.schedule.alpha(s)), KINDS[kind]) for s in t]
        x_t, clean = np.concatenate(noisy), np.repeat(x[None], draws, axis=0)
        law = model.log_loo(x_t, t)
        rates = nelbo_rates(law, x_t, clean, t[:, None], model.schedule, KINDS[kind])
        found.append((1 - start) * rates.mean())
    assert_close(mine["nelbo"].values, np.float32(found), rtol=1e-4)


def test_single_masked_sites_are_what_uniform_noise_tends_to():
    """Of exact laws: the chain's, at every site of sequences of four."""
    chain = MarkovSource(oracles.CHAIN, 4)
    test = chain.sample(np.random.default_rng(0), 30)
    config = ProbeConfig(**{**FIXED, "recover": 0, "generate": 0})
    masked, uniform = (
        of_split(measure(chain.population_denoiser(Linear(), kind), config, test), "heldout")
        for kind in (Absorbing(3), None)
    )
    assert (masked["sites"].sel(t_entropy=SMALL_LEVEL) == 4).all()
    for name in ("entropy", "log_loss"):
        small = [
            data[name].sel(law="loo", t_entropy=SMALL_LEVEL).values for data in (masked, uniform)
        ]
        assert_close(*small, atol=2e-3)
    assert np.isfinite(masked["log_loss"].sel(t_entropy=SMALL_LEVEL)).all()


def test_sites_of_long_sequences_are_a_sample_that_stays():
    stored = tokens(12, 1, 40)
    model = EmpiricalDenoiser(stored, V, channel=Absorbing(V))
    config = ProbeConfig(**{**FIXED, "sequences": 8, "recover": 0, "generate": 0})
    few = measure(model, config, stored)
    many = measure(model, dataclasses.replace(config, sequences=12), stored)
    a, b = of_split(few, "heldout"), of_split(many, "heldout").isel(sequence=slice(8))
    assert few.attrs["alone"] == 16 and (a["sites"].sel(t_entropy=SMALL_LEVEL) == 16).all()
    for name in ("entropy", "log_loss", "sites", "vanishing"):
        assert np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f"), name
    row = a["tokens"].values.astype(np.uint8)[:1]
    rng = stream(config.root_seed, "alone", "heldout", int(a["index"][0]))
    sites = np.sort(rng.permutation(40)[:16])[None]
    dense = entropies(single_mask_laws(model, row, sites))
    found = a["entropy"].sel(law="loo", t_entropy=SMALL_LEVEL).values[0]
    assert found == pytest.approx(dense.mean(), abs=1e-6)
    shares = a["vanishing"].sel(law="loo", t_entropy=SMALL_LEVEL).values[0]
    assert (shares == [(dense < eps).sum() for eps in EPSILONS]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_memorizer_is_called_so_under_every_noise(kind, tmp_path):
    stored = tokens(8, 1, 12)
    model = EmpiricalDenoiser(stored, V, channel=KINDS[kind])
    model.limits = ("Its logits are capped.",)
    found = probe(model, tokens(40, 2, 12), stored, **{**FIXED, "recover": 8, "n_steps": 20})
    data = found.data
    train = of_split(data, "train")
    restored = train.sel(decoder="ancestral", t=0.1)
    assert (restored["recovered"] == restored["corrupted_ancestral"]).all()
    if kind == "absorbing":
        assert (data["broken"].values <= 0).all()
    assert (of_split(data, "generated")["nearest_distance"] == 0).mean() > 0.5
    assert of_split(data, "generated")["tokens"].max() < V
    by_data, alone = found.verdicts
    assert by_data.label == alone.label == "memorizing"
    assert any("Its logits are capped." in caveat for caveat in alone.caveats)
    found.write(tmp_path, figures=False)
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert lines[4].startswith(f"Noise: {kind}") and "Law read: loo" in lines[4]
    page = (tmp_path / "report.html").read_text()
    assert f"<p>Noise: {kind}" in page
    assert "(▒)" in "".join(lines) and "Its logits are capped." in page
    if kind == "absorbing":
        assert "t → 0" in page and "t = 1e-5" not in page and "Damage" not in lines


def test_under_a_noise_that_nothing_was_fitted_to_there_is_a_label_and_no_probability():
    stored = tokens(8, 1, 12)
    model = EmpiricalDenoiser(stored, V, channel=Absorbing(V))
    config = ProbeConfig(**{**FIXED, "sequences": 40, "generate": 40, "n_steps": 20})
    found = evidence_of(measure(model, config, tokens(40, 2, 12), stored), stream(0))
    table = calibration() | {"noises": ["uniform"]}
    guess = verdict_without(found, stream(0), table)
    assert guess.label == "memorizing" and guess.chances is None
    assert "first guess" in guess.answer and "noise" in guess.failed


def test_means_are_over_the_tokens_that_were_read():
    stored = tokens(30, 1, 12)
    model = EmpiricalDenoiser(stored, V, channel=Absorbing(V))
    data = measure(
        model, ProbeConfig(**{**FIXED, "recover": 0, "generate": 0}), tokens(40, 2, 12), stored
    )
    rows = of_split(data, "heldout")
    sites = rows["sites"].sel(t_entropy=0.1).values
    assert (sites == 0).any() and (
        np.isnan(rows["entropy"].sel(t_entropy=0.1)[:, 0]) == (sites == 0)
    ).all()
    found = statistics(data, np.random.default_rng(0), 100).law("heldout", "loo")[1]
    entropy = rows["entropy"].sel(law="loo", t_entropy=0.1).values
    pooled = np.nansum(entropy * sites) / sites.sum()
    assert found.entropy.value == pytest.approx(pooled, rel=1e-6)
    assert found.entropy.n == (sites > 0).sum()
    few = rows["vanishing"].sel(law="loo", t_entropy=0.1).values.sum(0) / sites.sum()
    assert [share.value for share in found.vanishing] == pytest.approx(few.tolist())
    assert "-log loss, loo, t → 0" in scores(data)


def test_refusals(tmp_path):
    model = MLPDenoiser(jax.random.key(0), V, L, width=4, channel=Absorbing(V))
    with pytest.raises(NoiseError, match=r"paper's protocol is one of uniform noise.*absorbing"):
        probe(model, tokens(20), **FIXED, protocol="paper")
    kept = MLPDenoiser(jax.random.key(0), V, L, 4, schedule=Cosine(0.5), channel=Absorbing(V))
    with pytest.raises(NoiseError, match=r"keeps 0\.293 of the tokens .* give `generate` 0"):
        probe(kept, tokens(20), **FIXED)
    save_model(model, tmp_path / "masked")
    opened = open_model(str(tmp_path / "masked"), "ema")
    assert opened.denoiser.channel == Absorbing(V)
