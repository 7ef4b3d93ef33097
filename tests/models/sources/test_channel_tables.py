"""Population denoisers under masks and hybrid noise: printed recoveries, entropies, information."""

from __future__ import annotations

import numpy as np
import pytest

from am_theory.channel import Absorbing, Hybrid, LogLinear, Uniform, mutual_information
from am_theory.compare import equal_information_alpha
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from models.sources import HiddenMarkovSource, HierarchySource, MarkovSource
from tests import oracles
from tests.helpers import assert_digits
from tests.registry import H2, R2

CHAIN = MarkovSource(oracles.CHAIN, 4)
NAMED = {
    "M3": (
        MarkovSource(oracles.CHAIN, 4),
        oracles.markov_law(oracles.CHAIN_START, oracles.CHAIN, 4),
    ),
    "H2": (HiddenMarkovSource(*H2, 4), None),
    "R2": (HierarchySource(R2), oracles.hierarchy_law(R2)),
}

ERASED = """
M3 .2 .59688264 .48079765 .87437074 .91945715 .89626337 .68199843 .72927729 3.12374153
M3 .4 .56260898 .45142978 .92041914 .82521855 .78079134 1.39886013 .51663732 2.40687983
M3 .5 .54028902 .43525733 .94541164 .77037437 .71791103 1.77160736 .42882692 2.03413260
M3 .6 .51387342 .41800766 .97181568 .70861573 .65115379 2.15462113 .35162001 1.65111883
M3 .8 .44683466 .38002208 1.02915645 .55791026 .50451364 2.95379386 .22383356 .85194611
H2 .2 .50035413 .38484362 1.02338386 .90017075 .87709175 .81398977 .66381008 3.35308592
H2 .5 .48238140 .37352055 1.04015755 .74144951 .68707351 2.05056324 .33167880 2.11651245
H2 .8 .45670322 .35972748 1.06033780 .56579721 .48829420 3.30923278 .14319476 .85784291
R2 .2 .58471016 .56689138 .62215959 .91702509 .91346490 .45598624 .71713122 2.72206759
R2 .5 .51055726 .47996289 .78686472 .75552335 .74024146 1.29910299 .37028141 1.87895084
R2 .8 .41396056 .39256800 .96743434 .53163728 .51454034 2.34891254 .13433962 .82914129
"""


def law_of(name):
    source, law = NAMED[name]
    if law is None:
        law = oracles.hidden_markov_law(
            source.initial, source.transition, source.emission, source.seq_len
        )
    return source, law


def slow_but_for_the_chain(lines):
    """Rows of a table; those whose kernels compile for long with the slow tests."""
    rows = [line.split() for line in lines.strip().split("\n")]
    marks = [() if row[0] == "M3" else pytest.mark.slow for row in rows]
    return [pytest.param(*row[:2], row[2:], marks=m) for row, m in zip(rows, marks, strict=True)]


@pytest.mark.parametrize("name, t, printed", slow_but_for_the_chain(ERASED))
def test_erased_tokens_of_known_sources(name, t, printed):
    source, law = law_of(name)
    kind, alpha = Absorbing(3), LogLinear().alpha(float(t))
    denoiser = source.population_denoiser(LogLinear(), kind)
    rates = (alpha, 0.0, 1 - alpha)
    noisy = oracles.noisy_sequences(3, 4, rates)
    joint = law[:, None] * oracles.channel_matrix(oracles.all_sequences(3, 4), 3, rates)
    chance = joint.sum(0)
    weight = chance[:, None] * (noisy == 3)
    log_loo = denoiser.log_loo(noisy, float(t))
    probs = np.exp(log_loo)
    entropy = -(probs * np.where(probs > 0, log_loo, 0.0)).sum(-1)

    def mean(values):
        return (weight * values).sum() / weight.sum()

    right, draw = mean(probs.max(-1)), mean((probs**2).sum(-1))
    told = mutual_information(law, 4, kind, alpha)
    found = [right, draw, mean(entropy), alpha + (1 - alpha) * right, alpha + (1 - alpha) * draw]
    found += [oracles.entropy(law) - told, joint.max(0).sum(), told]
    for value, digits in zip(found, printed, strict=True):
        assert_digits(value, digits)


HYBRID = """
M3 .5 .74438412 .65329891 .61879893 .97088951 1.50426051
R2 .5 .73676995 .67719656 .55707488 .87620931 1.44380924
"""


@pytest.mark.parametrize("name, t, printed", slow_but_for_the_chain(HYBRID))
def test_hybrid_noise_on_known_sources(name, t, printed):
    source, law = law_of(name)
    kind, alpha = Hybrid(3, 0.1), LogLinear().alpha(float(t))
    rates = tuple(float(x) for x in kind.rates(alpha)[:3])
    noisy = oracles.noisy_sequences(3, 4, rates)
    chance = law @ oracles.channel_matrix(oracles.all_sequences(3, 4), 3, rates)
    loo = np.exp(source.population_denoiser(LogLinear(), kind).log_loo(noisy, float(t)))
    full = oracles.full(law, noisy, rates, 3)
    mean = chance[:, None] / 4
    found = [(mean * full.max(-1)).sum(), (mean * (full**2).sum(-1)).sum()]
    found += [(mean * oracles.entropy(law)).sum() for law in (full, loo)]
    found.append(mutual_information(law, 4, kind, alpha))
    for value, digits in zip(found, printed, strict=True):
        assert_digits(value, digits)


LIMITS = [("M3", ".83307438"), ("H2", "1.01382641"), ("R2", ".51986039")]


@pytest.mark.parametrize("name, limit", LIMITS)
def test_one_entropy_as_noise_vanishes_with_its_bounds(name, limit):
    """And the excess over it: pi_e log V for erasures, h_2(pi_e) more where tokens are redrawn."""
    _, law = law_of(name)
    seqs = oracles.all_sequences(3, 4)

    def entropy(kind, rest):
        rates = tuple(float(x) for x in kind.rates(1 - rest)[:3])
        noisy = oracles.noisy_sequences(3, 4, rates)
        chance = law @ oracles.channel_matrix(seqs, 3, rates)
        total = 0.0
        for i in range(4):  # the context without site i: mask it
            at = noisy[:, i] == 3
            context = noisy[at].copy()
            others = chance[at] / rates[2] if rates[2] > 0 else None
            assert others is not None
            with np.errstate(invalid="ignore"):
                loo = oracles.loo(law, context, rates, 3)[:, i]
            total += np.sum(others * np.nan_to_num(oracles.entropy(loo)))
        return total / 4

    for rest in (1e-3, 1e-5):
        excess = entropy(Absorbing(3), rest) - float(limit)
        altered = 1 - (1 - rest) ** 3
        assert -1e-8 < excess < altered * np.log(3) + 1e-8
        excess = entropy(Hybrid(3, 0.5), rest) - float(limit)
        binary = -altered * np.log(altered) - (1 - altered) * np.log1p(-altered)
        assert -1e-8 < excess < altered * np.log(3) + binary + 1e-8
    assert_digits(entropy(Absorbing(3), 1e-9), limit)


def test_collapse_of_stored_samples_under_erasures():
    """Five sizes at alpha = .35, L = 16: the printed Monte Carlo means, within four errors."""
    source, kind = MarkovSource(oracles.CHAIN, 16), Absorbing(3)
    rng = np.random.default_rng(0)
    told = source.mutual_information(0.35, rng, 20_000, kind)
    assert abs(told.value - 5.712626) < 4 * told.standard_error
    for size, train, test in ((10, ".958 .005", ".391 .005"), (200, ".738 .010", ".416 .005")):
        for split, printed in (("train", train), ("test", test)):
            value, error = map(float, printed.split())
            shares = []
            for _ in range(150):
                patterns = source.sample(rng, size)
                memory = EmpiricalDenoiser(patterns, 3, channel=kind)
                x_0 = patterns[rng.integers(size, size=20)]
                x_0 = x_0 if split == "train" else source.sample(rng, 20)
                x_t = noise(rng, x_0, 0.35, kind)
                drawn = memory.posterior_draw(rng, x_t, memory.schedule.time_at(0.35))
                masked = x_t == 3
                shares.append((drawn == x_0)[masked].mean())
            spread = np.std(shares, ddof=1) / np.sqrt(len(shares))
            assert abs(np.mean(shares) - value) < 4 * np.hypot(spread, error)


def test_equal_information_in_the_printed_example():
    """M3 at I = 2.206776: uniform noise at alpha = .8002, erasures at .546437."""
    law = NAMED["M3"][1]
    assert_digits(mutual_information(law, 4, Uniform(3), 0.8002), "2.206776")
    told = mutual_information(law, 4, Uniform(3), 0.8002)
    same = equal_information_alpha(told, lambda a: mutual_information(law, 4, Absorbing(3), a))
    assert_digits(same, ".546437")
    rates = (same, 0.0, 1 - same)
    joint = law[:, None] * oracles.channel_matrix(oracles.all_sequences(3, 4), 3, rates)
    assert_digits(joint.max(0).sum(), ".467810")
    joint = law[:, None] * oracles.channel_matrix(oracles.all_sequences(3, 4), 3, 0.8002)
    assert_digits(joint.max(0).sum(), ".580554")
