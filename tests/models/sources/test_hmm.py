"""Hidden Markov sources and the shared forward-backward: enumeration, tables, twins, limits."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import Linear
from models.denoiser import log_full
from models.sources import HiddenMarkovSource, MarkovSource
from models.sources import _chain_kernels as kernels
from tests import oracles, strategies
from tests.helpers import assert_close, assert_digits
from tests.recovery import recovery_measures
from tests.registry import H2, SOURCES

pytestmark = pytest.mark.slow  # compiling the kernels takes most of a minute

LINEAR = Linear()  # t = 1 - alpha


@st.composite
def hidden_chains(draw) -> HiddenMarkovSource:
    """A source with at most 3 states, V <= 4, L <= 4, zeros anywhere."""
    states, vocab_size = draw(st.integers(1, 3)) + 1, draw(st.integers(2, 4))
    return HiddenMarkovSource(
        draw(strategies.probability_rows(states, states)),
        draw(strategies.probability_rows(states, vocab_size)),
        draw(st.integers(1, 4)),
        draw(strategies.probability_rows(1, states))[0],
    )


def law_of(source) -> np.ndarray:
    return oracles.hidden_markov_law(
        source.initial, source.transition, source.emission, source.seq_len
    )


def plain_smoother(source, emission, x, alpha):
    """Forward-backward of one sequence by matrix products: loo (L, V) and p(x)."""
    kernel = oracles.token_kernel(emission.shape[1], alpha)
    evidence = (emission @ kernel)[:, x].T  # (L, H)
    before, after = [source.initial], [np.ones(len(source.initial))]
    for e in evidence:
        before.append((before[-1] * e) @ source.transition)
    for e in evidence[::-1]:
        after.insert(0, source.transition @ (after[0] * e))
    # `after` at site i is made of the evidence behind i
    loo = np.array(before[:-1]) * np.array(after[1:]) @ emission
    return loo / loo.sum(1, keepdims=True), (before[-2] * evidence[-1]).sum()


@given(hidden_chains(), st.floats(0.0, 0.999), st.integers(0, 2**32 - 1))
def test_denoiser_equals_enumeration(source, alpha, seed):
    law, size = law_of(source), source.vocab_size
    denoiser = source.population_denoiser(LINEAR)
    alpha = LINEAR.alpha(1 - alpha)
    x_t = np.random.default_rng(seed).integers(size, size=(6, source.seq_len))
    index, t = oracles.sequence_index(x_t, size), 1 - alpha
    assert_close(np.exp(denoiser.log_loo(x_t, t)), oracles.loo(law, x_t, alpha, size), atol=1e-11)
    noisy = oracles.log_prob_noisy(law, alpha, size, source.seq_len)
    assert_close(denoiser.log_prob_noisy(x_t, t), noisy[index])
    seqs = oracles.all_sequences(size, source.seq_len)
    assert_close(np.exp(source.log_prob(seqs)), law)
    assert_close(np.float64(source.entropy()), oracles.entropy(law))


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("hidden", [False, True])
def test_kernel_equals_the_plain_twin(careful, hidden):
    rng = np.random.default_rng(3)
    transition = rng.dirichlet(np.ones(5), 5) * (rng.random((5, 5)) < 0.7)
    transition += np.eye(5) * 0.1
    transition /= transition.sum(1, keepdims=True)
    table = rng.dirichlet(np.ones(4), 5)
    source = MarkovSource(transition, 9)
    emission, size = (table, 4) if hidden else (np.empty((0, 5)), 5)
    x_t = rng.integers(size, size=(6, 9)).astype(np.uint8)
    alpha = np.array([0.0, 0.1, 0.5, 0.9, 0.99, 0.7])
    log_loo, log_prob, low = kernels.smoother(
        x_t, alpha, source.initial, transition, emission, careful
    )
    assert not low.any()
    for b in range(6):
        loo, prob = plain_smoother(source, table if hidden else np.eye(5), x_t[b], alpha[b])
        assert_close(np.exp(log_loo[b]), loo)
        assert_close(log_prob[b], np.log(prob))


def test_a_chain_is_a_hidden_source_with_identity_emission():
    chain = MarkovSource(oracles.CHAIN, 6)
    hidden = HiddenMarkovSource(oracles.CHAIN, np.eye(3), 6)
    x_t = np.random.default_rng(0).integers(3, size=(20, 6))
    first, second = (s.population_denoiser(LINEAR) for s in (chain, hidden))
    np.testing.assert_array_equal(first.log_loo(x_t, 0.4), second.log_loo(x_t, 0.4))
    np.testing.assert_array_equal(first.log_prob_noisy(x_t, 0.4), second.log_prob_noisy(x_t, 0.4))
    assert_close(hidden.log_prob(x_t), chain.log_prob(x_t))
    assert_close(np.float64(hidden.entropy()), np.float64(chain.entropy()))
    assert_close(np.float64(hidden.loo_entropy()), np.float64(chain.loo_entropy()))


# --- contradicting evidence: relative weights far below the smallest number


@pytest.mark.parametrize("emission", [None, np.eye(2), [[0.9, 0.1], [0.1, 0.9]]])
def test_late_evidence_overrules_early_evidence(emission):
    """Two states that never mix: 100 tokens for one, then 300 for the other, at tiny noise."""
    build = HiddenMarkovSource if emission is not None else MarkovSource
    table = () if emission is None else (emission,)
    source = build(np.eye(2), *table, 400, [0.5, 0.5])
    x_t = np.repeat([[0, 1]], [100, 300], axis=1)
    denoiser = source.population_denoiser(LINEAR)
    loo = np.exp(denoiser.log_loo(x_t, 1e-8))[0]
    right = [0.0, 1.0] if emission is None else np.array(emission)[1]
    assert_close(loo, np.tile(right, (400, 1)), atol=1e-12)
    drawn = denoiser.posterior_draw(np.random.default_rng(0), x_t, 1e-8)
    if emission is None:
        assert (drawn == 1).all()
        wrong = (1 - LINEAR.alpha(1e-8)) / 2  # as rounded
        expected = 100 * np.log(wrong) + 300 * np.log1p(-wrong) - np.log(2)
        assert_close(denoiser.log_prob_noisy(x_t, 1e-8), np.array([expected]))


@pytest.mark.parametrize("name", ["chain, forbidden transitions", "hidden, forbidden transitions"])
@pytest.mark.parametrize("t", [1e-12, 1e-5, 0.5, 1.0])
def test_a_long_sequence_has_no_nan(name, t):
    short = SOURCES[name]
    emission = () if isinstance(short, MarkovSource) else (short.emission,)
    source = type(short)(short.transition, *emission, 4096)
    x_t = np.random.default_rng(4).integers(source.vocab_size, size=(2, 4096))
    x_t[1] = source.sample(np.random.default_rng(5), 1)
    denoiser = source.population_denoiser(LINEAR)
    log_loo = denoiser.log_loo(x_t, t)
    assert not np.isnan(log_loo).any()
    assert_close(np.exp(log_loo).sum(-1), np.ones(x_t.shape))
    assert np.isfinite(denoiser.log_prob_noisy(x_t, t)).all()


@pytest.mark.parametrize("name", ["chain, forbidden transitions", "hidden, forbidden transitions"])
@pytest.mark.parametrize("t, double", [(0.0, True), (1e-5, False), (0.4, True), (1.0, False)])
def test_jax_twin_equals_numba(name, t, double):
    source = SOURCES[name]
    denoiser = source.population_denoiser(LINEAR)
    rng = np.random.default_rng(6)
    x_t = source.sample(rng, 20) if t == 0 else rng.integers(source.vocab_size, size=(20, 4))
    with jax.enable_x64(double):
        twin = denoiser.jax()
        loo = np.asarray(jax.jit(lambda x: twin.log_loo(x, t))(x_t))
    assert loo.dtype == (np.float64 if double else np.float32)
    expected = np.exp(denoiser.log_loo(x_t, t))
    assert_close(np.exp(loo), expected, atol=1e-11 if double else 1e-5)


# --- printed numbers


def test_reference_of_the_chain():
    denoiser = MarkovSource(oracles.CHAIN, 6).population_denoiser(LINEAR)
    x_t = np.array([[0, 2, 1, 1, 0, 2]])
    for law, printed in (
        (log_full(denoiser, x_t, 0.5), (".16404603", ".69923952", ".13671445")),
        (denoiser.log_loo(x_t, 0.5), (".34494586", ".36757943", ".28747471")),
    ):
        for value, digits in zip(np.exp(law[0, 2]), printed, strict=True):
            assert_digits(value, digits)
    assert_digits(denoiser.log_prob_noisy(x_t, 0.5)[0], "-7.087606116")


def test_reference_of_the_hidden_source():
    denoiser = SOURCES["hidden"].population_denoiser(LINEAR)
    x_t = np.array([[0, 2, 1, 1]])
    for law, printed in (
        (log_full(denoiser, x_t, 0.5), (".30235307", ".16911940", ".52852754")),
        (denoiser.log_loo(x_t, 0.5), (".50091267", ".28018253", ".21890479")),
    ):
        for value, digits in zip(np.exp(law[0, 1]), printed, strict=True):
            assert_digits(value, digits)
    assert_digits(denoiser.log_prob_noisy(x_t, 0.5)[0], "-4.630020629")


COLUMNS = ["R_arg", "R_PS", "H full", "H loo", "I"]
RECOVERY = """
.3 .80020000 .67228989 .60933066 1.04106602 1.75925414
.5 .66700000 .51802681 .83580611 1.05672316 .89310028
.7 .53397079 .41140470 .98678303 1.06862590 .32871486
"""


@pytest.mark.parametrize("row", RECOVERY.split("\n")[1:-1], ids=lambda row: row[:2])
def test_recovery_table(row):
    t, *printed = row.split()
    measures = recovery_measures(SOURCES["hidden"], float(t))
    for name, digits in zip(COLUMNS, printed, strict=True):
        assert_digits(measures[name], digits)


def test_entropies():
    source = SOURCES["hidden"]
    assert_digits(source.entropy(), "4.1670756885")
    assert_digits(source.loo_entropy(), "1.01382641")
    assert source.entropy_estimate().standard_error == 0


def test_sampled_entropies_agree_with_the_full_sums(monkeypatch):
    monkeypatch.setattr("models.sources.hmm.ENUMERATED", 10)
    source, rng = HiddenMarkovSource(*H2, 4), np.random.default_rng(7)
    for found, exact in (
        (source.entropy_estimate(rng, 20_000), 4.1670756885),
        (source.loo_entropy_estimate(rng, 20_000), 1.01382641),
    ):
        assert abs(found.value - exact) < 5 * found.standard_error < 0.1


@pytest.mark.parametrize(
    "emission, message",
    [
        ([[0.5, 0.5]], "`emission` must have shape (H, V), one row for each of the 2 states; got"),
        ([[1.0], [1.0]], "`vocab_size` must be an integer of at least 2; got 1"),
        ([[0.5, 0.6], [1, 0]], "`emission` must have non-negative rows that sum to 1; got row"),
        ([[np.nan, 1], [1, 0]], "`emission` must have non-negative rows"),
    ],
)
def test_bad_emissions_are_refused_in_words(emission, message):
    with pytest.raises(ValueError) as caught:
        HiddenMarkovSource(H2[0], emission, 4)
    assert message in str(caught.value)
