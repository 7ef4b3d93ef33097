"""Target and reference on the same noisy inputs: against exact theory, dense laws, refusals."""

import equinox as eqx
import jax
import numpy as np
import pytest

from am_theory import membership as exact
from am_theory.channel import Absorbing, Hybrid, LogLinear
from models.denoiser import certain_where_visible
from models.exact.empirical import EmpiricalDenoiser
from models.networks.mlp import MLPDenoiser
from simulations.measure.names import SMALL_LEVEL
from simulations.probe.audit import reference as audit_reference
from simulations.probe.audit.audit import audit, variance_ratio
from simulations.probe.audit.reference import (
    UnfitReferenceError,
    compare,
    reference_iv,
    subset_votes,
    with_reference,
)
from simulations.probe.config import ProbeConfig
from simulations.probe.judge.membership import membership
from simulations.probe.measure import cells
from simulations.probe.measure.cells import Work
from simulations.probe.measure.dataset import Split
from simulations.probe.measure.law import Reader
from simulations.probe.measure.measures import measure
from simulations.probe.measure.parts import Parts
from simulations.results.files import ResultsError
from tests.helpers import assert_close


class Mixture:
    """K sequences with weight w, any sequence of V values at all otherwise; w = 0: the population.
    The exact law under erasures: with n visible tokens, N stored sequences agree with them and c_v
    with v too, p(v) = [w c_v / K + (1 - w) V^-(n + 1)] / [w N / K + (1 - w) V^-n]."""

    def __init__(self, patterns, vocab_size, weight):
        self.patterns, self.weight = patterns, weight
        self.vocab_size, self.seq_len = vocab_size, patterns.shape[1]
        self.channel, self.schedule = Absorbing(vocab_size), LogLinear()

    def log_loo(self, x_t, t):
        x_t = np.asarray(x_t)
        fits = ((x_t[:, None] == self.patterns) | (x_t == self.vocab_size)[:, None]).all(-1)
        onehot = np.eye(self.vocab_size)[self.patterns]
        stored = np.einsum("bk,klv->blv", fits, onehot) * self.weight / len(self.patterns)
        n = (x_t < self.vocab_size).sum(1)[:, None, None]
        law = stored + (1 - self.weight) * float(self.vocab_size) ** -(n + 1.0)
        return certain_where_visible(np.log(law / law.sum(-1, keepdims=True)), x_t, self.channel)


def pair(seed, size, length, vocab_size, weight, config):
    """Works of a mixture and of its population, and splits of stored and of other sequences."""
    rng = np.random.default_rng(seed)
    stored, others = rng.integers(vocab_size, size=(2, size, length)).astype(np.uint8)
    works = [
        Work(Reader(Mixture(stored, vocab_size, w), length, lambda: None), config)
        for w in (weight, 0.0)
    ]
    index = np.arange(size) + seed * size  # noise of its own for every store
    return works, [Split("train", stored, index), Split("heldout", others, index)]


def agrees(found, expected):
    """Within four standard errors, as the interval has them."""
    error = max((found.high - found.low) / 3.92, 1e-3)
    return abs(found.value - expected) < 4 * error


def test_scores_of_the_solvable_case_are_as_exact_theory_says():
    """theory: K stored sequences of independent tokens, masks; AUC and TPR by visible tokens n."""
    size, length, vocab_size, weight, t = 100, 10, 4, 0.3, 0.8
    config, rng = ProbeConfig((t,)), np.random.default_rng(0)
    scores, visible = ([], []), ([], [])
    for seed in range(40):
        works, splits = pair(seed, size, length, vocab_size, weight, config)
        for side, split in enumerate(splits):
            found = compare(*works, t, split)
            scores[side].append(found["gap"].values[:, 0])
            x_t = works[0].noisy(split, t, "channel")
            visible[side].append((x_t < vocab_size).sum(1))
            assert np.isnan(found["gap"].values[:, 1]).all()  # visible sites have no law
    ins, outs = (np.concatenate(side) for side in scores)
    kept = [np.concatenate(side) for side in visible]
    for n in (1, 2):
        # a tie is drawn at random, as theory has it
        sides = [s[k == n] for s, k in zip((ins, outs), kept, strict=True)]
        sides = [side + 1e-6 * rng.random(len(side)) for side in sides]
        found = membership("s", *sides, rng, 300)
        case = size, n, length - n, vocab_size, weight
        assert found.tpr.known and agrees(found.auc, exact.auc(*case)), n
        assert agrees(found.tpr, exact.tpr_at_fpr(*case)), n
        assert 0.6 < exact.auc(*case) < 0.99  # neither end, where anything would agree


def test_a_site_masked_alone_is_as_exact_theory_says(monkeypatch):
    monkeypatch.setattr(cells, "MOST_ALONE", 1)
    size, length, vocab_size, weight = 40, 6, 2, 0.5
    config, rng = ProbeConfig((0.5,)), np.random.default_rng(1)
    sides = [], []
    for seed in range(60):
        works, splits = pair(seed, size, length, vocab_size, weight, config)
        for side, split in enumerate(splits):
            sides[side].append(compare(*works, SMALL_LEVEL, split)["gap"].values[:, 0])
    drawn = [np.concatenate(s) for s in sides]
    found = membership("s", *(s + 1e-6 * rng.random(len(s)) for s in drawn), rng, 300)
    expected = exact.auc(size, length - 1, 1, vocab_size, weight)
    assert 0.6 < expected < 0.95 and agrees(found.auc, expected)


def test_common_noise_takes_the_noise_of_the_mask_count_away():
    """Sums over masked sites: B alone is -log V a masked site, which A has too."""
    size, length, vocab_size, t = 200, 12, 4, 0.5
    works, splits = pair(0, size, length, vocab_size, 0.5, ProbeConfig((t,)))
    rng = np.random.default_rng(0)
    for split in splits:
        x_t = works[0].noisy(split, t, "channel")
        masked = (x_t == vocab_size).sum(1)
        found = compare(*works, t, split)
        gap, own = (np.nan_to_num(found[name].values[:, 0]) * masked for name in ("gap", "own"))
        theirs = own - gap
        assert_close(theirs, -masked * np.log(vocab_size), rtol=1e-5)
        ratio = variance_ratio([gap], [own, theirs], rng, 200)
        assert ratio.high < 0.6 and ratio.low < gap.var() / (own.var() + theirs.var()) < ratio.high


V, L = 5, 6


def tokens(n, seed=0):
    return np.random.default_rng(seed).integers(V, size=(n, L)).astype(np.uint8)


def network(seed, vocab_size=V, seq_len=L, channel=None):
    model = MLPDenoiser(jax.random.key(seed), vocab_size, seq_len, 16, channel=channel)
    shape = (16, seq_len * vocab_size)
    readout = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return eqx.tree_at(lambda m: m.readout, model, jax.numpy.asarray(readout))


FIXED = {"sequences": 12, "recover": 0, "generate": 0, "n_steps": 5, "levels": (0.1, 0.4)}


@pytest.mark.parametrize(
    ("channel", "t"), [(None, SMALL_LEVEL), (None, 0.4), (Hybrid(V, 0.3), 0.4), (Absorbing(V), 0.4)]
)
def test_columns_are_those_of_dense_laws(channel, t):
    config, split = ProbeConfig((0.4,)), Split("train", tokens(40), np.arange(40))
    models = [network(seed, channel=channel) for seed in (1, 2)]
    works = [Work(Reader(model, L, lambda: None), config) for model in models]
    found = compare(*works, t, split)
    x_t = works[0].noisy(split, t, "channel")
    laws = [np.asarray(m.log_loo(x_t.astype(np.int32), np.float32(t))) for m in models]
    log_true = [np.take_along_axis(law, split.tokens[..., None], -1)[..., 0] for law in laws]
    gap = log_true[0] - log_true[1]
    everywhere = np.full(x_t.shape, not isinstance(channel, Absorbing))
    for k, kept in enumerate([x_t != split.tokens, everywhere]):
        for i in range(len(gap)):
            expected = {"gap": gap[i][kept[i]], "own": log_true[0][i][kept[i]]}
            expected["votes"] = gap[i][kept[i]] > 0
            for name, values in expected.items():
                mean = values.mean() if len(values) else np.nan
                assert found[name].values[i, k] == pytest.approx(mean, abs=1e-5, nan_ok=True)
    apart = np.isfinite(found["apart"].values[:, 1 if everywhere.all() else 0])
    assert apart.mean() > 0.8 if t > SMALL_LEVEL else not apart.any()
    assert not np.isfinite(found["gap"].values[:, 0]).all()  # nothing was corrupted in some


def test_votes_of_disjoint_subsets():
    gap = np.array([[1.0, -3.0, 1.0, 1.0], [0.0, 0.0, -1.0, 1.0]])
    kept = np.array([[True] * 4, [True, True, True, False]])
    order = np.arange(4)
    assert subset_votes(gap, kept, order).tolist() == [0.75, pytest.approx(1 / 3)]
    many = np.tile(gap, (1, 4))  # 16 sites in 8 subsets of two: i and i + 8
    assert subset_votes(many, np.tile(kept, (1, 4)), np.arange(16))[0] == 0.75


def test_what_a_reference_adds_is_kept_and_more_sequences_leave_it(tmp_path, monkeypatch):
    monkeypatch.setattr(audit_reference, "APART", 4)
    train, test = tokens(30), tokens(20, 1)
    target, reference = network(1), network(2)
    found, bare = [], []
    for n in (12, 20):
        config = ProbeConfig(**FIXED | {"sequences": n})
        bare.append(measure(target, config, test, train))
        found.append(with_reference(bare[-1], target, reference, config))
    few, many = (
        data.isel(sequence=np.flatnonzero(data["split"].values == "train")) for data in found
    )
    for name in ("gap", "own", "apart", "votes", "subsets", "nelbo", "nelbo_apart"):
        values = many[f"reference_{name}"].values[:12]
        np.testing.assert_allclose(few[f"reference_{name}"].values, values, rtol=1e-4, atol=1e-5)
    assert np.isfinite(few["reference_nelbo_apart"].values).sum() == 4
    others = ~np.isin(found[0]["split"].values, ["train", "heldout"])
    assert others.any() and np.isnan(found[0]["reference_gap"].values[others]).all()
    # the same draws: a network is no better than itself, and its NELBO is the probe's
    config, data = ProbeConfig(**FIXED), bare[0]
    itself = with_reference(data, target, target, config)
    known = np.isfinite(itself["reference_gap"].values)
    assert (itself["reference_gap"].values[known] == 0).all()
    assert (itself["reference_votes"].values[known] == 0.5).all()
    audited = np.isfinite(itself["reference_nelbo"].values)
    assert_close(itself["reference_nelbo"].values[audited], itself["nelbo"].values[audited])
    # parts are kept, and those of another reference are refused
    with Parts.open(tmp_path, "key") as parts:
        with_reference(data, target, reference, config, parts)
    calls = []
    monkeypatch.setattr(audit_reference, "compare", lambda *a: calls.append(a))
    with Parts.open(tmp_path, "key") as parts:
        again = with_reference(data, target, reference, config, parts)
    assert not calls
    np.testing.assert_array_equal(again["reference_gap"].values, found[0]["reference_gap"].values)
    with Parts.open(tmp_path, "key") as parts, pytest.raises(ResultsError, match="reference"):
        with_reference(data, target, network(3), config, parts)


def exact_denoiser(channel=None, vocab_size=V, schedule=LogLinear()):
    return EmpiricalDenoiser(tokens(4), vocab_size, schedule, channel=channel)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (exact_denoiser(vocab_size=7), "vocabulary.*of 5 values, the reference's of 7"),
        (exact_denoiser(Absorbing(V)), "noise.*uniform, the reference's absorbing"),
        (network(0, seq_len=9), "length.*of 6 tokens, the reference's of 9"),
        (exact_denoiser(schedule=LogLinear(0.1)), "schedule.*tokens kept at t"),
    ],
)
def test_a_network_of_other_sequences_or_noise_is_refused(other, words):
    with pytest.raises(UnfitReferenceError, match=words):
        reference_iv(network(0), other, L)
    reference_iv(network(0), network(1), L)


def test_hybrid_noise_of_another_share_is_refused():
    mine, theirs = (exact_denoiser(Hybrid(V, p)) for p in (0.1, 0.2))
    with pytest.raises(UnfitReferenceError, match=r"0\.1.*0\.2"):
        reference_iv(mine, theirs, L)


def test_a_memorizer_is_told_with_or_without_a_reference():
    train, test = tokens(24, 2), tokens(24, 3)
    target, reference = EmpiricalDenoiser(train, V), EmpiricalDenoiser(tokens(24, 4), V)
    config = ProbeConfig(**FIXED | {"sequences": 24})
    data = with_reference(measure(target, config, test, train), target, reference, config)
    found = audit(data, np.random.default_rng(0), 100)
    first = found.graded[0]
    assert first.name == "log loo, all sites, t = 1e-5"
    assert first.gap.auc.value > 0.95 and first.own.auc.value > 0.95
    assert not first.gap.tpr.known and found.graded[-1].votes is None
    assert found.answers[0].p_value < 0.001 and found.answers[0].share.value > 0.8
    assert found.chosen.n_train == 12  # one half
