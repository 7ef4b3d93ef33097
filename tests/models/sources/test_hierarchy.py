"""The random hierarchy model and its belief propagation: enumeration, tables, twins, limits."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory.channel import Linear, LogLinear
from models.sources import HierarchySource
from models.sources import _hierarchy_kernels as kernels
from tests import oracles
from tests.helpers import assert_close, assert_digits
from tests.recovery import recovery_measures
from tests.registry import R2, SOURCES, source_law

pytestmark = pytest.mark.slow  # compiling the kernels takes most of a minute

LINEAR = Linear()  # t = 1 - alpha
SIZES = [(2, 1, 2, 3), (2, 2, 2, 2), (3, 2, 2, 2), (4, 3, 2, 1), (3, 4, 3, 1), (2, 3, 3, 1)]


@st.composite
def hierarchies(draw) -> HierarchySource:
    """A model of at most 4,096 sequences."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return HierarchySource.random(rng, *draw(st.sampled_from(SIZES)))


def plain_messages(rules: np.ndarray, evidence: np.ndarray):
    """Belief propagation of one sequence by loops over rules: loo (L, v), class law, p(x_t)."""
    _, size, n_rules, branching = rules.shape
    levels = [evidence]
    for rule in rules[::-1]:
        below = levels[0].reshape(-1, branching, size)
        up = np.zeros((len(below), size))
        for a, r in np.ndindex(size, n_rules):
            up[:, a] += below[:, np.arange(branching), rule[a, r]].prod(1) / n_rules
        levels.insert(0, up)
    down = np.full((1, size), 1 / size)
    for rule, below in zip(rules, levels[1:], strict=True):
        below = below.reshape(-1, branching, size)
        out = np.zeros_like(below)
        for a, r in np.ndindex(size, n_rules):
            factors = below[:, np.arange(branching), rule[a, r]]
            for j in range(branching):
                rest = np.delete(factors, j, axis=1).prod(1)
                out[:, j, rule[a, r, j]] += down[:, a] * rest / n_rules
        down = out.reshape(-1, size)
    root = levels[0][0] / size
    return down / down.sum(1, keepdims=True), root / root.sum(), root.sum()


@given(hierarchies(), st.floats(0.0, 0.999), st.integers(0, 2**32 - 1))
def test_belief_propagation_equals_enumeration(source, alpha, seed):
    law, size = oracles.hierarchy_law(source.rules), source.vocab_size
    x_t = np.random.default_rng(seed).integers(size, size=(5, source.seq_len))
    alpha = LINEAR.alpha(1 - alpha)
    denoiser, t = source.population_denoiser(LINEAR), 1 - alpha
    assert_close(np.exp(denoiser.log_loo(x_t, t)), oracles.loo(law, x_t, alpha, size), atol=1e-11)
    noisy = oracles.log_prob_noisy(law, alpha, size, source.seq_len)
    assert_close(denoiser.log_prob_noisy(x_t, t), noisy[oracles.sequence_index(x_t, size)])
    with np.errstate(divide="ignore"):
        assert_close(source.log_prob(x_t), np.log(law)[oracles.sequence_index(x_t, size)])
    assert_close(np.float64(source.entropy()), oracles.entropy(law))
    assert source.n_strings == np.count_nonzero(law) == len(source.all_strings())


@given(hierarchies(), st.floats(0.0, 0.999), st.integers(0, 2**32 - 1))
def test_class_posterior_equals_enumeration(source, alpha, seed):
    size = source.vocab_size
    x_t = np.random.default_rng(seed).integers(size, size=(1, source.seq_len))
    kernel = oracles.token_kernel(size, LINEAR.alpha(1 - alpha))
    weight = np.zeros(size)
    for root in range(size):
        strings = np.array(oracles.hierarchy_strings(source.rules, root))
        assert (source.classes(strings) == root).all()
        weight[root] = kernel[strings, x_t].prod(1).mean()
    found = source.population_denoiser(LINEAR).log_class_posterior(x_t, 1 - alpha)
    assert_close(np.exp(found[0]), weight / weight.sum(), atol=1e-11)


def random_case(sizes, alpha, n, seed=5):
    """A model, noisy strings of it and strings of nobody, with a level for each row."""
    rng = np.random.default_rng(seed)
    source = HierarchySource.random(rng, *sizes)
    x_t = source.sample(rng, n)
    x_t[::2] = rng.integers(source.vocab_size, size=x_t[::2].shape)
    return source, x_t, np.resize(np.asarray(alpha, float), n)


@pytest.mark.parametrize("sizes", [(5, 3, 2, 3), (4, 5, 3, 2), (3, 2, 4, 1)])
def test_every_kernel_equals_the_plain_twin(sizes):
    source, x_t, alpha = random_case(sizes, [0.9, 0.5, 0.1], 19)  # the last tile is not full
    loo, classes, log_prob, low = kernels.scaled_pass(x_t, alpha, source.rules)
    assert not low.any()
    log_loo, log_root, log_prob_too = kernels.log_pass(x_t, alpha, source.rules)
    for b in range(len(x_t)):
        evidence = oracles.token_kernel(source.vocab_size, alpha[b])[x_t[b]]
        expected, root, prob = plain_messages(source.rules, evidence)
        assert_close(loo[b], expected)
        assert_close(np.exp(log_loo[b]) / np.exp(log_loo[b]).sum(1, keepdims=True), expected)
        assert_close(classes[b], root)
        assert_close(np.exp(log_root[b] - log_prob_too[b]), root)
        assert_close(log_prob[[b, b]], np.log([prob, prob]))
        assert_close(log_prob_too[b], np.log(prob))


def test_rows_do_not_depend_on_their_neighbours():
    source, x_t, alpha = random_case((8, 2, 2, 4), [0.7, 0.2], 130)
    denoiser = source.population_denoiser(LINEAR)
    together = denoiser.log_loo(x_t, 1 - alpha)
    np.testing.assert_array_equal(denoiser.log_loo(x_t[77:78], 1 - alpha[77:78]), together[77:78])


def test_tiny_noise_on_strings_of_nobody_does_not_underflow():
    """Here relative weights fall below the smallest number; the logarithms take over."""
    source, x_t, alpha = random_case((8, 2, 2, 7), 1 - 1e-13, 6)
    assert kernels.scaled_pass(x_t, alpha, source.rules)[3].any()
    denoiser = source.population_denoiser(LINEAR)
    log_loo = denoiser.log_loo(x_t, 1e-13)
    assert np.isfinite(log_loo.max(-1)).all()
    assert_close(np.exp(log_loo).sum(-1), np.ones(x_t.shape))
    log_prob = denoiser.log_prob_noisy(x_t, 1e-13)
    assert_close(log_prob[1::2], np.full(3, -source.entropy()), rtol=1e-9)
    assert (log_prob[::2] < -1000).all()
    assert np.isfinite(denoiser.log_class_posterior(x_t, 1e-13).max(-1)).all()
    drawn = denoiser.posterior_draw(np.random.default_rng(0), x_t, 1e-13)
    assert (source.classes(drawn) >= 0).all()
    np.testing.assert_array_equal(drawn[1::2], x_t[1::2])


def test_a_long_string_has_no_nan():
    source, x_t, alpha = random_case((4, 2, 2, 12), [0.999, 0.3], 2)
    assert source.seq_len == 4096
    log_loo = source.population_denoiser(LINEAR).log_loo(x_t, 1 - alpha)
    assert not np.isnan(log_loo).any()
    assert_close(np.exp(log_loo).sum(-1), np.ones(x_t.shape))


@pytest.mark.parametrize("t, double", [(0.0, True), (1e-5, False), (0.3, True), (1.0, False)])
def test_jax_twin_equals_numba(t, double):
    source, x_t, _ = random_case((5, 3, 3, 2), 1.0, 8)
    denoiser = source.population_denoiser(LogLinear())
    x_t = source.sample(np.random.default_rng(1), 8) if t == 0 else x_t
    with jax.enable_x64(double):
        twin = denoiser.jax()
        loo, classes = jax.jit(lambda x: (twin.log_loo(x, t), twin.log_class_posterior(x, t)))(x_t)
        loo, classes = np.asarray(loo), np.asarray(classes)
    assert loo.dtype == (np.float64 if double else np.float32)
    atol = 1e-11 if double else 1e-5
    assert_close(np.exp(loo), np.exp(denoiser.log_loo(x_t, t)), atol=atol)
    assert_close(np.exp(classes), np.exp(denoiser.log_class_posterior(x_t, t)), atol=atol)


# --- printed numbers of the tiny reference

COLUMNS = ["R_arg", "R_PS", "corrupted PS", "corrupted best", "H full", "H loo", "H(x0|xt)", "I"]
RECOVERY = """
.2 .87287026 .81456362 .23010774 .75750225 .34867272 .77154341 1.11586664 2.06218719 .87828957
.4 .74137829 .63301667 .22878803 .69745771 .64626551 .92282763 1.95854624 1.21950759 .74791237
.6 .60640899 .47769122 .24446203 .63369574 .88549212 1.02293228 2.60585823 .57219560 .61161519
.8 .46984945 .37151287 .27814365 .56754566 1.04256304 1.08015210 3.02626153 .15179230 .47249891
"""


@pytest.mark.parametrize("row", RECOVERY.split("\n")[1:-1], ids=lambda row: row[:2])
def test_recovery_table(row):
    t, *printed = row.split()
    source = SOURCES["hierarchy"]
    measures = recovery_measures(source, float(t))
    for name, digits in zip(COLUMNS, printed, strict=False):
        assert_digits(measures[name], digits)
    x_t = oracles.all_sequences(3, 4)
    denoiser = source.population_denoiser()
    best = np.exp(denoiser.log_class_posterior(x_t, float(t))).max(1)
    assert_digits(np.exp(denoiser.log_prob_noisy(x_t, float(t))) @ best, printed[-1])


def test_entropies():
    source = SOURCES["hierarchy"]
    assert_digits(source.entropy(), "3.17805383")
    assert source.n_strings == 24
    assert_digits(source.loo_entropy(), "0.51986039")
    assert source.loo_entropy_estimate().standard_error == 0
    assert HierarchySource.random(np.random.default_rng(0), 32, 8, 2, 8).n_strings == 32 * 8**255


def test_sampled_loo_entropy_agrees_with_the_full_sum(monkeypatch):
    source = SOURCES["hierarchy"]
    monkeypatch.setattr("models.sources.hierarchy.ENUMERATED", 10)
    found = source.loo_entropy_estimate(np.random.default_rng(0), 4000)
    assert abs(found.value - 0.51986039) < 5 * found.standard_error < 0.05
    values = source.loo_entropy_law(np.random.default_rng(0), 4000)
    assert_close(values.mean(), found.value)


def test_relabelled_rules_relabel_the_law():
    source, x_t, _ = random_case((4, 3, 2, 3), 0.5, 6)
    swap = np.array([2, 0, 3, 1])
    moved = source.rules.copy()
    moved[-1] = swap[moved[-1]]
    first = source.population_denoiser().log_loo(x_t, 0.4)
    second = HierarchySource(moved).population_denoiser().log_loo(swap[x_t], 0.4)
    assert_close(second[..., swap], first)


# --- bad input


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: HierarchySource(R2[0]), "in an array (depth, v, m, branching); got shape (3, 2"),
        (lambda: HierarchySource(R2 / 1.0), "must hold integers"),
        (lambda: HierarchySource(R2 + 1), "must hold symbols 0 to 2; got 1 to 3"),
        (lambda: HierarchySource(R2 * 0), "repeats a tuple at level 0; all 6 tuples"),
        (lambda: HierarchySource(R2[..., :1]), "got 1, 2 and 2"),
        (
            lambda: HierarchySource.random(np.random.default_rng(0), 3, 4, 2, 1),
            "`n_rules` must be at most v**(branching - 1) = 3, or tuples run out; got 4",
        ),
        (
            lambda: HierarchySource.random(np.random.default_rng(0), 1, 1, 2, 1),
            "`vocab_size` must be an integer of at least 2",
        ),
        (
            lambda: HierarchySource.random(np.random.default_rng(0), 256, 1, 8, 1),
            "v**branching must stay below 2**62; got 256**8",
        ),
        (
            lambda: HierarchySource.random(np.random.default_rng(0), 4, 4, 2, 5).all_strings(),
            "only up to 1,000,000 are listed. Use `sample`",
        ),
    ],
)
def test_bad_models_are_refused_in_words(build, message):
    with pytest.raises(ValueError) as caught:
        build()
    assert message in str(caught.value)


def test_impossible_contexts_raise_in_words():
    denoiser = SOURCES["hierarchy"].population_denoiser(LINEAR)
    bad = [[0, 2, 0, 2]]
    assert source_law("hierarchy")[oracles.sequence_index(bad[0], 3)] == 0
    with pytest.raises(ValueError, match="context of probability zero under this source"):
        denoiser.log_loo(bad, 0.0)
    with pytest.raises(ValueError, match="it has no class"):
        denoiser.log_class_posterior(bad, 0.0)
    with pytest.raises(ValueError, match="nothing to draw"):
        denoiser.posterior_draw(np.random.default_rng(0), bad, 0.0)
    assert denoiser.log_prob_noisy(bad, 0.0)[0] == -np.inf
