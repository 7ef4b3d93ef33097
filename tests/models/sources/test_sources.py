"""Sources and their exact denoisers against enumeration and against printed tables."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import Linear, LogLinear, capacity, corruption_rate, nelbo_rate
from models.denoiser import log_full
from models.sampler import reverse_law
from models.sources import IidSource, MarkovSource
from models.sources.law import EntropyLaw, draw_rows
from models.sources.markov import stationary_law
from tests import oracles, strategies
from tests.helpers import assert_close, assert_digits
from tests.recovery import recovery_measures
from tests.registry import SOURCES, cases, source_law

LINEAR = Linear()  # t = 1 - alpha


def log(p):
    with np.errstate(divide="ignore"):
        return np.log(p)


@st.composite
def chains(draw) -> MarkovSource:
    """A chain with V <= 4, L <= 5, zeros anywhere."""
    vocab_size, seq_len = draw(st.integers(2, 4)), draw(st.integers(1, 5))
    transition = draw(strategies.probability_rows(vocab_size, vocab_size))
    start = draw(strategies.probability_rows(1, vocab_size))[0]
    return MarkovSource(transition, seq_len, start)


def law_of(source: MarkovSource) -> np.ndarray:
    return oracles.markov_law(source.initial, source.transition, source.seq_len)


# --- enumeration


@given(chains(), st.floats(0.0, 0.999), st.integers(0, 2**32 - 1))
def test_chain_denoiser_equals_enumeration(source, alpha, seed):
    law, vocab_size = law_of(source), source.vocab_size
    denoiser = source.population_denoiser(LINEAR)
    alpha = LINEAR.alpha(1 - alpha)
    x_t = np.random.default_rng(seed).integers(vocab_size, size=(8, source.seq_len))
    index = oracles.sequence_index(x_t, vocab_size)
    t = 1 - alpha
    assert_close(
        np.exp(denoiser.log_loo(x_t, t)), oracles.loo(law, x_t, alpha, vocab_size), atol=1e-11
    )
    assert_close(
        np.exp(log_full(denoiser, x_t, t)), oracles.full(law, x_t, alpha, vocab_size), atol=1e-11
    )
    noisy = oracles.log_prob_noisy(law, alpha, vocab_size, source.seq_len)
    assert_close(denoiser.log_prob_noisy(x_t, t), noisy[index])


@given(chains())
def test_chain_entropies_equal_enumeration(source):
    law, vocab_size, seq_len = law_of(source), source.vocab_size, source.seq_len
    seqs = oracles.all_sequences(vocab_size, seq_len)
    assert_close(source.log_prob(seqs), log(law))
    assert_close(np.float64(source.entropy()), oracles.entropy(law))
    assert_close(source.marginals(), oracles.marginals(law, vocab_size, seq_len))
    values, weights = [], []
    table = law.reshape((vocab_size,) * seq_len)
    for site in range(seq_len):
        context = table.sum(axis=site).ravel()
        rows = np.moveaxis(table, site, -1).reshape(-1, vocab_size)[context > 0]
        values.append(oracles.entropy(rows / rows.sum(axis=1, keepdims=True)))
        weights.append(context[context > 0] / seq_len)
    values, weights = np.concatenate(values), np.concatenate(weights)
    entropies = source.loo_entropy_law()
    assert_close(entropies.weights.sum(), np.float64(1))
    assert_close(np.float64(source.loo_entropy()), weights @ values)
    for power in (2, 3):  # the whole law, not only its mean
        assert_close(entropies.weights @ entropies.values**power, weights @ values**power)
    for threshold in (0.05, 0.4, 0.7):
        if np.abs(values - threshold).min() > 1e-9:
            expected = weights[values < threshold].sum()
            assert_close(np.float64(entropies.fraction_below(threshold)), expected)


@given(chains())
def test_loo_entropy_moments_of_a_chain_equal_enumeration(source):
    law, seqs = law_of(source), oracles.all_sequences(source.vocab_size, source.seq_len)
    possible = law > 0  # the others may have contexts of no law
    seen = oracles.loo(law, seqs[possible], 1.0, source.vocab_size)  # tokens without noise
    means, law = oracles.entropy(seen).mean(1), law[possible]
    mean, variance = source.loo_entropy_moments()
    assert_close(np.float64(mean), law @ means)
    assert_close(np.float64(variance), law @ (means - law @ means) ** 2)


@pytest.mark.parametrize("name", cases(SOURCES))
def test_log_prob_of_every_sequence(name):
    source = SOURCES[name]
    seqs = oracles.all_sequences(source.vocab_size, source.seq_len)
    assert_close(source.log_prob(seqs), log(source_law(name)))


@pytest.mark.parametrize("name", cases(SOURCES))
def test_entropy_and_sample_follow_the_law(name):
    source, law = SOURCES[name], source_law(name)
    assert_close(np.float64(source.entropy()), oracles.entropy(law))
    drawn = source.sample(np.random.default_rng(2), 20_000)
    assert drawn.dtype == np.uint8
    counts = np.bincount(oracles.sequence_index(drawn, source.vocab_size), minlength=law.size)
    assert counts[law == 0].sum() == 0
    error = np.sqrt(law * (1 - law) * 20_000)
    assert np.all(np.abs(counts - 20_000 * law) <= 5 * error + 5)  # Poisson tail of rare cells


@pytest.mark.parametrize("name", cases(SOURCES))
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.8, 1.0])
def test_posterior_draw_follows_the_enumerated_posterior(name, alpha):
    source, law = SOURCES[name], source_law(name)
    denoiser, vocab_size = source.population_denoiser(LINEAR), source.vocab_size
    rng = np.random.default_rng(3)
    x_t = source.sample(rng, 1)
    if alpha < 1:
        x_t = (x_t + 1) % vocab_size
    n = 20_000
    drawn = denoiser.posterior_draw(rng, np.repeat(x_t, n, axis=0), 1 - alpha)
    expected = oracles.posterior_over_sequences(law, x_t[0], alpha, vocab_size)
    counts = np.bincount(oracles.sequence_index(drawn, vocab_size), minlength=law.size)
    assert counts[expected == 0].sum() == 0
    error = np.sqrt(expected * (1 - expected) * n)
    assert np.all(np.abs(counts - n * expected) <= 5 * error + 5)


@pytest.mark.parametrize("name", cases(SOURCES))
@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.7, 1.0])
def test_mutual_information_equals_enumeration(name, alpha):
    source = SOURCES[name]
    exact = oracles.mutual_information(source_law(name), alpha, source.vocab_size, source.seq_len)
    found = source.mutual_information(alpha, np.random.default_rng(4), 20_000)
    if isinstance(source, IidSource):
        assert found.standard_error == 0
        assert_close(np.float64(found.value), np.float64(exact), atol=1e-12)
    elif alpha == 0:  # every density is 0
        assert_close(np.float64(found.value), np.float64(0), atol=1e-12)
    else:
        assert abs(found.value - exact) < 5 * found.standard_error + 1e-12  # rounding
        assert found.standard_error < 0.02


def test_uniform_tokens_carry_the_capacity():
    for vocab_size, alpha in ((2, 0.5), (4, 0.25), (8, 0.9)):
        information = IidSource(vocab_size, 7).mutual_information(alpha)
        assert_close(np.float64(information.value), np.float64(7 * capacity(alpha, vocab_size)))


@pytest.mark.parametrize("name", cases(SOURCES))
def test_loo_entropy_is_the_small_noise_limit(name):
    source, law = SOURCES[name], source_law(name)
    seqs = oracles.all_sequences(source.vocab_size, source.seq_len)[law > 0]
    rows = np.exp(source.population_denoiser().log_loo(seqs, 0.0))
    mean = law[law > 0] @ oracles.entropy(rows).mean(axis=1)
    assert_close(np.float64(source.loo_entropy()), mean, atol=1e-10)


# --- printed numbers of the three-letter chain


def test_smoother_reference():
    denoiser = MarkovSource(oracles.CHAIN, 6).population_denoiser(LINEAR)
    x_t = np.array([[0, 2, 1, 1, 0, 2]])
    full = np.exp(log_full(denoiser, x_t, 0.5))[0, 2]
    loo = np.exp(denoiser.log_loo(x_t, 0.5))[0, 2]
    for row, printed in (
        (full, (".16404603", ".69923952", ".13671445")),
        (loo, (".34494586", ".36757943", ".28747471")),
    ):
        for value, digits in zip(row, printed, strict=True):
            assert_digits(value, digits)
    assert_digits(denoiser.log_prob_noisy(x_t, 0.5)[0], "-7.087606116")


def test_stationary_law():
    assert_close(stationary_law(oracles.CHAIN), oracles.CHAIN_START)
    assert_close(stationary_law(np.array([[0.0, 1.0], [1.0, 0.0]])), np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match="several stationary laws"):
        MarkovSource(np.eye(2), 3)
    assert MarkovSource(np.eye(2), 3, [0.5, 0.5]).entropy() == pytest.approx(np.log(2))


RECOVERY = """
.2 .86727732 .78398567 .03223315 .14763648 .70654002 .41738523 .91858632 1.59896414 .58055438 2.20677582
.4 .73697354 .61053044 .05312332 .19920495 .66145095 .69283730 .98771664 2.55487924 .33887729 1.25086072
.5 .67120579 .53538625 .06137862 .21826318 .63823385 .80604818 1.01726206 2.92429251 .26179890 0.88144745
.6 .60495897 .46927017 .05928178 .23676708 .61443991 .90314617 1.04293629 3.23065800 .20570763 0.57508197
.8 .47122507 .37218844 .05972007 .27909369 .56715552 1.04243003 1.07997679 3.65444795 .14349213 0.15129202
"""  # noqa: E501


@pytest.mark.parametrize("row", RECOVERY.split("\n")[1:-1], ids=lambda row: row[:2])
def test_recovery_table_of_the_chain(row):
    t, *printed = row.split()
    for (name, value), digits in zip(
        recovery_measures(SOURCES["chain"], float(t)).items(), printed, strict=True
    ):
        gap = abs(value - float(digits))
        assert gap < 0.51e-8, f"{name} at t = {t}: {value}, printed {digits}"


def test_entropies_of_the_chain():
    assert_digits(SOURCES["chain"].entropy(), "3.805739961")
    assert_digits(MarkovSource(oracles.CHAIN, 3).entropy(), "2.9016182133")
    pair, single = (MarkovSource(oracles.CHAIN, n).entropy() for n in (2, 1))
    assert_digits(pair - single, "0.9041217479")


def test_small_noise_entropies_of_the_chain():
    source = SOURCES["chain"]
    assert_digits(source.loo_entropy(), "0.83307438")
    assert_digits(source.loo_entropy_moments()[0], "0.83307438")
    assert IidSource(5, 3).loo_entropy_moments() == (pytest.approx(np.log(5)), 0.0)
    law = source.loo_entropy_law()
    sites = [3, 9, 9, 3]  # contexts: one neighbour at the ends, two inside
    starts = np.cumsum([0, *sites])
    for site, printed in enumerate(("0.90412175", "0.76202701", "0.76202701", "0.90412175")):
        part = slice(starts[site], starts[site + 1])
        assert law.weights[part].sum() == pytest.approx(0.25)
        assert_digits(4 * law.weights[part] @ law.values[part], printed)
    alone = MarkovSource(oracles.CHAIN, 1)  # no neighbours: the entropy of the token itself
    assert_close(np.float64(alone.loo_entropy()), np.float64(alone.entropy()))


@pytest.mark.parametrize(
    "alpha, printed", [(0.2, 0.1127184307), (0.5, 0.6638804058), (0.8, 1.6750604633)]
)
def test_mutual_information_of_the_chain(alpha, printed):
    source = MarkovSource(oracles.CHAIN, 3)
    found = source.mutual_information(alpha, np.random.default_rng(5), 40_000)
    assert abs(found.value - printed) < 5 * found.standard_error
    assert 0 < found.standard_error < 0.01


@pytest.mark.parametrize(
    "high, low, information, plugged_full",
    [(0.9, 0.1, "2.1341437836", "2.9782134389"), (0.7, 0.3, "1.0304399041", "1.3458888184")],
)
def test_nelbo_of_the_exact_denoiser_is_information(high, low, information, plugged_full):
    denoiser = MarkovSource(oracles.CHAIN, 3).population_denoiser(LINEAR)

    def rate(law):
        def of(x_t, x_0, alpha):
            table = law(denoiser, x_t[0], 1 - alpha)
            return nelbo_rate(np.broadcast_to(table, (*x_t.shape, 3)), x_t, x_0, alpha, -1.0)

        return of

    law = oracles.markov_law(oracles.CHAIN_START, oracles.CHAIN, 3)
    loo = oracles.nelbo(rate(lambda d, x, t: d.log_loo(x, t)), law, 3, 3, high, low)
    assert_digits(loo, information)
    full = oracles.nelbo(rate(log_full), law, 3, 3, high, low)
    assert_digits(full, plugged_full)


# --- ancestral sampling, propagated exactly over the 81 states

ANCESTRAL = """
1  .53538625 .21826318 .10459098 1.580e-1
2  .53588361 .21932541 .11728821 4.900e-2
4  .53570119 .21932197 .12395068 1.273e-2
8  .53554366 .21897885 .12712945 3.108e-3
16 .53546233 .21867574 .12863954 7.547e-4
64 .53540450 .21837737 .12972706 4.570e-5
"""


def ancestral_kernel(denoiser, t: float, n_steps: int) -> np.ndarray:
    """p(output | x_t), (N, N), of `n_steps` plug-in steps from t to 0."""
    x_t = oracles.all_sequences(denoiser.vocab_size, denoiser.seq_len)
    total = np.eye(len(x_t))
    for k in range(n_steps):
        level, below = t * (1 - k / n_steps), t * (1 - (k + 1) / n_steps)
        alphas = denoiser.schedule.alpha(level), denoiser.schedule.alpha(below)
        sites = reverse_law(denoiser.log_loo(x_t, level), x_t, *alphas)
        step = np.ones((len(x_t), len(x_t)))
        for i in range(denoiser.seq_len):
            step *= sites[:, i, :][:, x_t[:, i]]
        total = total @ step
    return total


def recovery(kernel: np.ndarray, t: float) -> tuple[float, float, float, float]:
    """Token, corrupted-token and exact recovery and KL(p, output law) of the chain, L = 4."""
    x = oracles.all_sequences(3, 4)
    alpha = LogLinear().alpha(t)
    law = oracles.markov_law(oracles.CHAIN_START, oracles.CHAIN, 4)
    joint = law[:, None] * oracles.channel_matrix(x, 3, alpha)  # (x_0, x_t)
    token = corrupted = 0.0
    for i in range(4):
        same = (x[:, None, i] == x[None, :, i]).astype(float)
        agree = kernel @ same  # (x_t, x_0): probability that the output has token x_0^i
        token += np.sum(joint.T * agree) / 4
        corrupted += np.sum(joint.T * agree * (1 - same)) / 4
    made = joint.sum(axis=0) @ kernel
    divergence = float(np.sum(law * np.log(law / made)))
    exact = float(np.sum(joint.T * kernel))
    return token, corrupted / corruption_rate(alpha, 3), exact, divergence


@pytest.mark.parametrize("row", ANCESTRAL.split("\n")[1:-1], ids=lambda row: f"N={row[:2]}")
def test_ancestral_table_of_the_chain(row):
    n_steps, *printed = row.split()
    kernel = ancestral_kernel(SOURCES["chain"].population_denoiser(), 0.5, int(n_steps))
    for value, digits in zip(recovery(kernel, 0.5), printed, strict=True):
        assert_digits(value, digits)


def test_posterior_sample_row_of_the_chain():
    law = source_law("chain")
    x = oracles.all_sequences(3, 4)
    kernel = oracles.posterior_over_sequences(law, x, LogLinear().alpha(0.5), 3)
    token, corrupted, exact, divergence = recovery(kernel, 0.5)
    for value, digits in ((token, ".53538625"), (corrupted, ".21826318"), (exact, ".13007999")):
        assert_digits(value, digits)
    assert divergence == pytest.approx(0, abs=1e-12)


# --- ends, bad input, small parts


def test_impossible_contexts_raise_in_words():
    source = MarkovSource([[0.0, 1.0], [0.5, 0.5]], 3)
    denoiser = source.population_denoiser(LINEAR)
    with pytest.raises(ValueError, match="context of probability zero under this source"):
        denoiser.log_loo([[0, 0, 0]], 0.0)
    assert denoiser.log_prob_noisy([[0, 0, 0]], 0.0)[0] == -np.inf
    assert_close(np.exp(denoiser.log_loo([[0, 0, 0]], 1e-9)).sum(-1), np.ones((1, 3)))
    with pytest.raises(ValueError, match="`x_t` has probability zero under this source"):
        denoiser.posterior_draw(np.random.default_rng(0), [[0, 0, 0]], 0.0)


def test_a_context_possible_without_the_site_has_a_law():
    denoiser = MarkovSource([[0.0, 1.0], [0.5, 0.5]], 2).population_denoiser(LINEAR)
    loo = np.exp(denoiser.log_loo([[0, 0]], 0.0))[0]  # (0, 0) itself is forbidden
    assert_close(loo, np.array([[0.0, 1.0], [0.0, 1.0]]))


def test_an_impossible_token_of_an_iid_source_raises_in_words():
    denoiser = SOURCES["iid, forbidden token"].population_denoiser(LINEAR)
    with pytest.raises(ValueError, match="`x_t` has probability zero under this source"):
        denoiser.posterior_draw(np.random.default_rng(0), [[0, 1, 2, 0]], 0.0)
    assert denoiser.log_prob_noisy([[0, 1, 2, 0]], 0.0)[0] == -np.inf


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: MarkovSource(np.ones((2, 3)) / 3, 4), "must be a square matrix (V, V), V >= 2"),
        (lambda: MarkovSource([[1.0]], 4), "V >= 2; got (1, 1)"),
        (lambda: MarkovSource([[0.5, 0.6], [0.5, 0.5]], 4), "got row sums from 1 to 1.1"),
        (lambda: MarkovSource([[1.5, -0.5], [0.5, 0.5]], 4), "non-negative rows that sum to 1"),
        (lambda: MarkovSource([[np.nan, 1], [0.5, 0.5]], 4), "non-negative rows that sum to 1"),
        (lambda: MarkovSource(oracles.CHAIN, 0), "`seq_len` must be at least 1; got 0"),
        (lambda: MarkovSource(oracles.CHAIN, 4, [0.5, 0.5]), "`initial` must be 3 probabilities"),
        (lambda: MarkovSource(oracles.CHAIN, 4, [1.5, -0.5, 0]), "`initial` must be 3"),
        (lambda: IidSource(1, 4), "`vocab_size` must be an integer of at least 2; got 1"),
        (lambda: IidSource(3, 0), "`seq_len` must be at least 1; got 0"),
        (lambda: IidSource(3, 4, [0.5, 0.5]), "`probs` must be 3 probabilities that sum to 1"),
        (lambda: IidSource(2, 4, [0.5, 0.6]), "`probs` must be 2 probabilities"),
    ],
)
def test_bad_sources_are_refused_in_words(build, message):
    with pytest.raises(ValueError) as caught:
        build()
    assert message in str(caught.value)


def test_sampling_repeats_with_its_generator():
    source = SOURCES["chain"]
    first, again, other = (source.sample(np.random.default_rng(s), 50) for s in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_entropy_law_summaries():
    law = EntropyLaw(np.array([0.3, 0.1, 0.2]), np.array([0.5, 0.2, 0.3]))
    assert law.mean() == pytest.approx(0.23)
    assert law.fraction_below(0.2) == pytest.approx(0.2)
    assert law.fraction_below(0.05) == 0
    assert law.quantiles(np.array([0.1, 0.2, 0.3, 0.5, 0.51, 0.99])).tolist() == [
        0.1,
        0.1,
        0.2,
        0.2,
        0.3,
        0.3,
    ]


def test_draws_at_the_ends_avoid_tokens_of_probability_zero():
    rows = np.array([[0.0, 0.5, 0.5, 0.0]] * 2)
    assert draw_rows(rows, np.array([0.0, np.nextafter(1.0, 0.0)])).tolist() == [1, 2]


def test_loo_entropy_falls_on_no_noise_and_rises_with_it():
    """Less evidence never lowers the mean entropy of an exact law."""
    rng = np.random.default_rng(6)
    source = MarkovSource(oracles.CHAIN, 12)
    x_0 = source.sample(rng, 4000)
    uniforms, fresh = rng.random(x_0.shape), rng.integers(3, size=x_0.shape)
    means = []
    for t in (0.05, 0.4, 0.9):
        x_t = np.where(uniforms < 1 - t, x_0, fresh)
        rows = np.exp(source.population_denoiser(LINEAR).log_loo(x_t, t))
        means.append(oracles.entropy(rows).mean(axis=1))
    for low, high in itertools.pairwise(means):
        gain = high - low
        assert gain.mean() > 5 * gain.std(ddof=1) / np.sqrt(gain.size)
