"""The empirical denoiser against a NumPy twin, enumeration, its JAX twin and exact identities."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import models.exact.empirical
from am_theory import empirical as theory
from am_theory.channel import Linear, LogLinear, inverse_temperature, nelbo_rate
from models.denoiser import log_full
from models.errors import NumbaInsideJitError, TokenRangeError
from models.exact import _hamming_kernels
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from models.sources import MarkovSource
from tests import oracles, strategies
from tests.helpers import assert_close, within_standard_errors

LINEAR = Linear()  # t = 1 - alpha
seeds = st.integers(0, 2**32 - 1)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def twin(patterns: np.ndarray, x_t: np.ndarray, alpha: float, vocab_size: int) -> dict:
    """The same numbers in the plainest NumPy, with a (K, L, V) array."""
    beta = inverse_temperature(alpha, vocab_size)
    hits = x_t[:, None, :] == patterns[None]
    matches = hits.sum(-1)

    def softmax(energy):
        weights = np.exp(energy - energy.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    weights = softmax(beta * matches)
    onehot = np.eye(vocab_size)[patterns]
    loo = [
        softmax(beta * (matches - hits[:, :, i])) @ onehot[:, i] for i in range(patterns.shape[1])
    ]
    return {
        "weights": weights,
        "full": np.einsum("bk,kiv->biv", weights, onehot),
        "loo": np.stack(loo, axis=1),
        "entropy": oracles.entropy(weights),
        "nearest": matches == matches.max(axis=1, keepdims=True),
        "max_matches": matches.max(axis=1),
    }


def random_case(seed: int, n_patterns: int, seq_len: int, vocab_size: int, n_queries: int = 12):
    """Patterns, and queries of which half are noised patterns."""
    rng = generator(seed)
    patterns = rng.integers(vocab_size, size=(n_patterns, seq_len))
    x_t = rng.integers(vocab_size, size=(n_queries, seq_len))
    asked = rng.integers(n_patterns, size=n_queries)
    x_t[::2] = np.where(rng.random((n_queries, seq_len)) < 0.7, patterns[asked], x_t)[::2]
    return patterns, x_t, asked


CASES = [
    (1, 5, 3, 0.5),
    (2, 1, 2, 0.9),
    (7, 6, 5, 0.0),
    (300, 12, 4, 0.4),
    (300, 12, 4, 0.99999),
    (60, 20, 3, 1.0),
    pytest.param(50, 9, 300, 0.2, marks=pytest.mark.slow),  # compiles for wider tokens
    (40, 255, 2, 0.1),
    pytest.param(40, 256, 2, 0.1, marks=pytest.mark.slow),  # compiles for wider distances
    pytest.param(40, 300, 3, 0.05, marks=pytest.mark.slow),
    (_hamming_kernels.BLOCK + 37, 6, 3, 0.6),
]


@pytest.mark.parametrize("n_patterns, seq_len, vocab_size, alpha", CASES)
def test_kernel_equals_its_numpy_twin(n_patterns, seq_len, vocab_size, alpha):
    patterns, x_t, asked = random_case(1, n_patterns, seq_len, vocab_size)
    denoiser = EmpiricalDenoiser(patterns, vocab_size, LINEAR)
    t = 1 - alpha
    found = denoiser.posterior(x_t, t, generator(), asked)
    expected = twin(patterns, x_t, LINEAR.alpha(t), vocab_size)
    assert_close(np.exp(found.log_full), expected["full"])
    # A law is computed from matches to 1e-16; taking the own token out costs its rounding.
    assert_close(np.exp(found.log_loo), expected["loo"], rtol=1e-10, atol=1e-12)
    assert_close(np.exp(denoiser.log_loo(x_t, t)), np.exp(found.log_loo))
    assert_close(found.entropy, expected["entropy"], atol=1e-11)
    rows = np.arange(len(x_t))
    assert_close(found.true_weight, expected["weights"][rows, asked])
    np.testing.assert_array_equal(found.max_matches, expected["max_matches"])
    assert expected["nearest"][rows, found.map_index].all()
    assert np.all(expected["weights"][rows, found.draw_index] > 0)


@given(strategies.stored_patterns(), seeds)
def test_laws_equal_enumeration(case, seed):
    patterns, vocab_size = case["patterns"], case["vocab_size"]
    denoiser = EmpiricalDenoiser(patterns, vocab_size, LINEAR)
    x_t, t = case["x_t"][None], 1 - case["alpha"]
    alpha = LINEAR.alpha(t)
    law = oracles.empirical_law(patterns, vocab_size)
    found = denoiser.posterior(x_t, t, generator(seed))
    posterior = oracles.posterior_over_sequences(law, x_t, alpha, vocab_size)
    assert_close(np.exp(found.log_loo), oracles.loo(law, x_t, alpha, vocab_size), atol=1e-11)
    assert_close(np.exp(found.log_full), oracles.full(law, x_t, alpha, vocab_size), atol=1e-11)
    full = np.exp(log_full(denoiser, x_t, t))
    assert_close(full, oracles.full(law, x_t, alpha, vocab_size), atol=1e-11)
    noisy = oracles.log_prob_noisy(law, alpha, vocab_size, patterns.shape[1])
    assert_close(
        denoiser.log_prob_noisy(x_t, t), noisy[oracles.sequence_index(x_t, vocab_size)], atol=1e-11
    )
    drawn = patterns[found.draw_index]
    assert np.all(posterior[0, oracles.sequence_index(drawn, vocab_size)] > 0)
    assert np.isnan(found.true_weight).all()


@given(strategies.stored_patterns(), seeds)
def test_symmetries(case, seed):
    """Renaming tokens, moving sites and reordering the store commute with the denoiser."""
    patterns, vocab_size, x_t, t = (
        case["patterns"],
        case["vocab_size"],
        case["x_t"][None],
        1 - case["alpha"],
    )
    rng = generator(seed)
    base = EmpiricalDenoiser(patterns, vocab_size, LINEAR).log_loo(x_t, t)
    names = rng.permutation(vocab_size)
    renamed = EmpiricalDenoiser(names[patterns], vocab_size, LINEAR).log_loo(names[x_t], t)
    assert_close(np.exp(renamed[..., names]), np.exp(base), atol=1e-11)
    sites = rng.permutation(patterns.shape[1])
    moved = EmpiricalDenoiser(patterns[:, sites], vocab_size, LINEAR).log_loo(x_t[:, sites], t)
    assert_close(np.exp(moved), np.exp(base[:, sites]), atol=1e-11)
    order = rng.permutation(len(patterns))
    shuffled = EmpiricalDenoiser(patterns[order], vocab_size, LINEAR).log_loo(x_t, t)
    assert_close(np.exp(shuffled), np.exp(base), atol=1e-11)


def test_a_duplicate_is_weight_two():
    patterns, x_t, _ = random_case(2, 4, 5, 3)
    doubled = EmpiricalDenoiser(np.concatenate([patterns, patterns[:1]]), 3)
    weights = twin(patterns, x_t, doubled.schedule.alpha(0.4), 3)["weights"]
    weights = weights * np.array([2.0, 1, 1, 1])
    weights /= weights.sum(axis=1, keepdims=True)
    expected = np.einsum("bk,kiv->biv", weights, np.eye(3)[patterns])
    assert_close(np.exp(doubled.posterior(x_t, 0.4, generator()).log_full), expected)
    assert_close(
        np.exp(doubled.log_loo(x_t, 0.4)),
        np.exp(EmpiricalDenoiser(patterns[[0, 0, 1, 2, 3]], 3).log_loo(x_t, 0.4)),
    )


@pytest.mark.parametrize("vocab_size, seq_len", [(3, 5), (20, 6), (40, 3)])
@pytest.mark.parametrize("t", [0.05, 0.6, 1.0])
def test_merged_duplicates_are_the_same_denoiser(t, vocab_size, seq_len):
    patterns, x_t, _ = random_case(3, 60, seq_len, vocab_size)
    patterns = patterns[np.random.default_rng(4).integers(60, size=900)]
    plain = EmpiricalDenoiser(patterns, vocab_size)
    merged = EmpiricalDenoiser.merged(patterns, vocab_size)
    assert len(merged.patterns) <= 60
    assert merged.train_size == plain.train_size == 900
    ours, theirs = (d.posterior(x_t, t, generator()) for d in (merged, plain))
    assert_close(np.exp(ours.log_loo), np.exp(theirs.log_loo), rtol=1e-10, atol=1e-12)
    assert_close(np.exp(ours.log_full), np.exp(theirs.log_full), rtol=1e-10, atol=1e-12)
    assert_close(merged.log_prob_noisy(x_t, t), plain.log_prob_noisy(x_t, t))
    np.testing.assert_array_equal(ours.max_matches, theirs.max_matches)
    np.testing.assert_array_equal(
        merged.nearest(x_t, patterns[:12]), plain.nearest(x_t, patterns[:12])
    )
    np.testing.assert_array_equal(merged.multiplicity(patterns), plain.multiplicity(patterns))
    place = [(merged.patterns == p).all(1).argmax() for p in patterns[:12]]
    weight = merged.posterior(x_t, t, generator(), place).true_weight
    copies = (patterns[None] == patterns[:12, None]).all(-1)
    assert_close(weight, (plain.weights(x_t, t) * copies).sum(1), atol=1e-12)
    assert_close(merged.weights(x_t, t).sum(1), np.ones(len(x_t)))
    assert_close(np.exp(merged.jax().log_loo(x_t, t)), np.exp(ours.log_loo), rtol=1e-4, atol=2e-5)


def test_draws_of_a_merged_store_follow_their_weights():
    merged = EmpiricalDenoiser([[0, 0], [1, 1], [1, 0]], 2, LINEAR, [3, 1, 4])
    x_t = np.tile([[1, 0]], (20_000, 1))
    found = merged.posterior(x_t, 0.6, generator(5))
    expected = merged.weights(x_t[:1], 0.6)[0]
    for index in range(3):
        within_standard_errors(found.draw_index == index, expected[index])
    assert (found.map_index == 2).all()


@pytest.mark.parametrize("t", [0.02, 0.3, 0.6, 0.9])
def test_patterns_left_out_move_no_law_beyond_the_bound(t):
    """Against weights of every pattern in extended precision: total variation below 1e-6, and
    below the rounding of a double."""
    patterns, x_t, _ = random_case(8, 3000, 24, 6)
    denoiser = EmpiricalDenoiser(patterns, 6)
    beta = np.longdouble(inverse_temperature(denoiser.schedule.alpha(t), 6))
    matches = (x_t[:, None] == patterns[None]).sum(-1)
    onehot = np.eye(6)[patterns]
    for i in range(24):
        others = matches - (x_t[:, i, None] == patterns[None, :, i])
        weights = np.exp(beta * (others - others.max(1, keepdims=True)))
        law = (weights / weights.sum(1, keepdims=True)).astype(float) @ onehot[:, i]
        gap = np.abs(np.exp(denoiser.log_loo(x_t, t)[:, i]) - law).sum(-1) / 2
        assert gap.max() < 1e-12


@pytest.mark.parametrize("counts", [[1, 0], [1], [1.5, 2.0], [[1, 1]]])
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(ValueError, match="`counts` must hold one positive integer per pattern"):
        EmpiricalDenoiser([[0, 1], [1, 1]], 2, counts=counts)


@pytest.mark.parametrize("t", [0.0, 1e-5, 0.5, 1.0])
def test_one_pattern_is_restored_from_anything(t):
    patterns, x_t, _ = random_case(3, 1, 6, 4)
    denoiser = EmpiricalDenoiser(patterns, 4)
    found = denoiser.posterior(x_t, t, generator(), np.zeros(len(x_t), int))
    onehot = np.broadcast_to(np.eye(4)[patterns], (len(x_t), 6, 4))
    np.testing.assert_array_equal(np.exp(found.log_loo), onehot)
    np.testing.assert_array_equal(found.true_weight, 1)
    np.testing.assert_array_equal(found.entropy, 0)
    restored = denoiser.posterior_draw(generator(), x_t, t)
    np.testing.assert_array_equal(restored, np.repeat(patterns, len(x_t), axis=0))


def test_no_noise_is_nearest_neighbour_and_all_noise_is_token_frequency():
    patterns, x_t, _ = random_case(4, 200, 12, 4, n_queries=40)
    denoiser = EmpiricalDenoiser(patterns, 4, LINEAR)
    nearest = twin(patterns, x_t, 0.5, 4)["nearest"]
    clean = denoiser.posterior(x_t, 0.0, generator())
    rows = np.arange(len(x_t))
    assert nearest[rows, clean.map_index].all()
    assert nearest[rows, clean.draw_index].all()
    assert_close(clean.entropy, np.log(nearest.sum(axis=1)), atol=1e-9)
    lost = denoiser.posterior(x_t, 1.0, generator())
    frequency = np.eye(4)[patterns].mean(axis=0)
    assert_close(np.exp(lost.log_full), np.broadcast_to(frequency, (40, 12, 4)))
    assert_close(np.exp(lost.log_loo), np.broadcast_to(frequency, (40, 12, 4)))
    assert_close(lost.entropy, np.full(40, np.log(200)))


def test_draw_and_tie_break_follow_their_laws():
    patterns = np.array([[0, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]])
    x_t, n = np.array([[1, 1, 1]]), 20_000
    denoiser = EmpiricalDenoiser(patterns, 2)
    expected = twin(patterns, x_t, denoiser.schedule.alpha(0.6), 2)
    found = denoiser.posterior(np.repeat(x_t, n, axis=0), 0.6, generator(1))
    ties = expected["nearest"][0] / expected["nearest"][0].sum()
    assert (ties > 0).sum() == 3
    for index, law in ((found.draw_index, expected["weights"][0]), (found.map_index, ties)):
        share = np.bincount(index, minlength=6) / n
        assert np.all(np.abs(share - law) <= 5 * np.sqrt(law * (1 - law) / n))
    drawn = denoiser.posterior_draw(generator(2), np.repeat(x_t, n, axis=0), 0.6)
    law = np.bincount(
        oracles.sequence_index(patterns, 2), weights=expected["weights"][0], minlength=8
    )
    share = np.bincount(oracles.sequence_index(drawn, 2), minlength=8) / n
    assert np.all(np.abs(share - law) <= 5 * np.sqrt(law * (1 - law) / n))


def test_chunked_equals_unchunked(monkeypatch):
    patterns, x_t, _ = random_case(6, 30, 5, 3, n_queries=10)
    denoiser, levels = EmpiricalDenoiser(patterns, 3), np.linspace(0, 1, 10)
    whole = denoiser.log_loo(x_t, levels)
    monkeypatch.setattr(models.exact.empirical, "CHUNK", 3)
    np.testing.assert_array_equal(denoiser.log_loo(x_t, levels), whole)


def test_levels_are_read_per_sequence():
    patterns, x_t, _ = random_case(7, 30, 5, 3, n_queries=4)
    denoiser, levels = EmpiricalDenoiser(patterns, 3), [0.0, 0.2, 0.7, 1.0]
    together = denoiser.log_loo(x_t, levels)
    for b, t in enumerate(levels):
        np.testing.assert_array_equal(denoiser.log_loo(x_t[b : b + 1], t)[0], together[b])


def test_nishimori_identities():
    """Averages over a stored sequence and channel noise of a posterior that is exact."""
    rng = generator(8)
    n_patterns, seq_len, vocab_size, t = 50, 10, 3, 0.5
    patterns = rng.integers(vocab_size, size=(n_patterns, seq_len))
    denoiser = EmpiricalDenoiser(patterns, vocab_size)
    alpha = denoiser.schedule.alpha(t)
    asked = rng.integers(n_patterns, size=20_000)
    x_0 = patterns[asked]
    x_t = noise(rng, x_0, alpha, vocab_size)
    found = denoiser.posterior(x_t, t, rng, asked)
    full = np.exp(found.log_full)
    truth = np.take_along_axis(full, x_0[..., None], axis=-1)[..., 0]
    within_standard_errors((truth - (full**2).sum(-1)).mean(axis=1), 0.0)
    expected = twin(patterns, x_t, alpha, vocab_size)
    mean_matches = (expected["weights"] * (x_t[:, None] == patterns).sum(-1)).sum(axis=1)
    within_standard_errors(mean_matches, seq_len * (alpha + (1 - alpha) / vocab_size))
    within_standard_errors(found.true_weight - (expected["weights"] ** 2).sum(axis=1), 0.0)
    drawn = patterns[found.draw_index]
    within_standard_errors(((drawn == x_0) - truth).mean(axis=1), 0.0)
    entropy = oracles.entropy(full).sum(axis=1)
    assert np.all(entropy >= found.entropy - 1e-9)  # tokens apart hold no less than together


@given(strategies.stored_patterns(), seeds)
def test_nearest_equals_brute_force(case, seed):
    patterns, vocab_size = case["patterns"], case["vocab_size"]
    rng = generator(seed)
    queries = patterns[rng.integers(len(patterns), size=6)]
    queries[::3] = rng.integers(vocab_size, size=queries[::3].shape)
    outputs = np.where(rng.random(queries.shape) < 0.5, queries, case["x_t"])
    success, distance = EmpiricalDenoiser(patterns, vocab_size).nearest(outputs, queries)
    for b, (output, query) in enumerate(zip(outputs, queries, strict=True)):
        own = (output != query).sum()
        others = [(output != p).sum() for p in patterns if (p != query).any()]
        best = min(others, default=patterns.shape[1] + 1)
        expected = 1.0 if own < best else (0.0 if own > best else 1 / (1 + others.count(best)))
        assert success[b] == expected
        assert distance[b] == min((output != p).sum() for p in patterns)


# --- the JAX twin


@pytest.mark.parametrize("t", [0.0, 1e-5, 0.35, 1.0])
def test_jax_twin_in_single_precision(t):
    patterns, x_t, _ = random_case(9, 40, 6, 4)
    denoiser = EmpiricalDenoiser(patterns, 4)
    found = denoiser.jax().log_loo(x_t.astype(np.uint8), t)
    assert found.dtype == np.float32
    # beta m reaches 100 in float32: 1e-5 in the exponent, hence in the law
    assert_close(np.exp(found), np.exp(denoiser.log_loo(x_t, t)), rtol=1e-4, atol=2e-5)


def test_jax_twin_in_double_precision_inside_jit():
    patterns, x_t, _ = random_case(10, 40, 6, 4)
    denoiser, levels = EmpiricalDenoiser(patterns, 4), np.linspace(0.05, 1, len(x_t))
    with jax.enable_x64(True):
        jax_twin = denoiser.jax()
        found = np.asarray(jax.jit(lambda x, t: jax_twin.log_loo(x, t))(x_t, levels))
    assert found.dtype == np.float64
    assert_close(np.exp(found), np.exp(denoiser.log_loo(x_t, levels)), atol=1e-11)


def test_numba_inside_jit_is_refused_in_words():
    denoiser = EmpiricalDenoiser(np.array([[0, 1, 2]]), 3)
    with pytest.raises(NumbaInsideJitError, match="Use the denoiser's JAX twin there"):
        jax.jit(lambda x: denoiser.log_loo(x, 0.5))(np.array([[0, 1, 2]]))
    with pytest.raises(NumbaInsideJitError, match="`t` is a JAX tracer"):
        jax.jit(lambda t: denoiser.log_loo(np.array([[0, 1, 2]]), t))(0.5)


# --- bad input


def test_bad_stores_and_queries_are_refused_in_words():
    with pytest.raises(ValueError, match="`patterns` is empty; store at least one sequence"):
        EmpiricalDenoiser(np.zeros((0, 4), int), 3)
    with pytest.raises(TokenRangeError, match="`patterns` holds the token 3; allowed are 0 to 2"):
        EmpiricalDenoiser(np.array([[0, 3]]), 3)
    denoiser = EmpiricalDenoiser(np.array([[0, 1, 2], [1, 1, 1]]), 3)
    with pytest.raises(TokenRangeError, match="of length 2; this model takes length 3"):
        denoiser.log_loo(np.array([[0, 1]]), 0.5)
    with pytest.raises(ValueError, match=r"`t` must lie in \[0, 1\]; got 3"):
        denoiser.log_loo(np.array([[0, 1, 2]]), 3)
    x_t = np.array([[0, 1, 2]])
    with pytest.raises(ValueError, match=r"`true_index` must lie between -1 \(none\) and 1"):
        denoiser.posterior(x_t, 0.5, generator(), [2])
    with pytest.raises(ValueError, match="`true_index` must hold one integer per query"):
        denoiser.posterior(x_t, 0.5, generator(), [0, 1])
    with pytest.raises(ValueError, match="must have one batch size; got 2 and 1"):
        denoiser.nearest(np.array([[0, 1, 2], [1, 1, 1]]), x_t)


# --- random patterns: simulation against exact finite-size theory and printed tables


def random_sets(n_sets: int, n_patterns: int, seq_len: int, vocab_size: int, t: float, queries=1):
    """(denoiser, true index, x_0, x_t, rng) for each of `n_sets` independent pattern sets."""
    rng = generator(11)
    for _ in range(n_sets):
        patterns = rng.integers(vocab_size, size=(n_patterns, seq_len))
        denoiser = EmpiricalDenoiser(patterns, vocab_size)
        asked = rng.integers(n_patterns, size=queries)
        x_t = noise(rng, patterns[asked], denoiser.schedule.alpha(t), vocab_size)
        yield denoiser, asked, patterns[asked], x_t, rng


def test_retrieval_equals_finite_size_theory():
    sizes, t = (20, 10, 3), 0.5
    alpha = LogLinear().alpha(t)
    rows = []
    for denoiser, asked, x_0, x_t, rng in random_sets(500, *sizes, t, queries=8):
        found = denoiser.posterior(x_t, t, rng, asked)
        drawn, nearest = denoiser.patterns[found.draw_index], denoiser.patterns[found.map_index]
        rows.append(
            [
                (found.map_index == asked).mean(),
                found.true_weight.mean(),
                found.entropy.mean(),
                (drawn == x_0).mean(),
                (nearest == x_0).mean(),
            ]
        )
    expected = [
        theory.retrieval_probability(*sizes, alpha),
        theory.true_weight(*sizes, alpha),
        theory.posterior_entropy(*sizes, alpha),
        theory.token_recovery(*sizes, alpha, decoder="sample", tokens="all", split="train"),
        theory.token_recovery(*sizes, alpha, decoder="map", tokens="all", split="train"),
    ]
    for column, value in zip(np.transpose(rows), expected, strict=True):
        within_standard_errors(column, value)


TOKEN_ENTROPY = [  # argmax recovery, full and loo entropy with their printed errors, fractions
    (0.3, (0.979, 0.003), (0.055, 0.004), (0.087, 0.005), 0.83, 0.74),
    (0.5, (0.829, 0.007), (0.446, 0.009), (0.564, 0.010), 0.21, 0.13),
    (0.7, (0.559, 0.007), (1.064, 0.006), (1.165, 0.005), 0.00, 0.00),
]


@pytest.mark.slow
@pytest.mark.parametrize("row", TOKEN_ENTROPY, ids=lambda row: f"t={row[0]}")
def test_token_entropy_table(row):
    t, *printed = row
    rows = []
    for denoiser, _, x_0, x_t, rng in random_sets(800, 100, 16, 4, t, queries=4):
        found = denoiser.posterior(x_t, t, rng)
        full, loo = (oracles.entropy(np.exp(law)) for law in (found.log_full, found.log_loo))
        argmax = found.log_full.argmax(-1) == x_0
        rows.append(
            [argmax.mean(), full.mean(), loo.mean(), (full < 0.05).mean(), (loo < 0.05).mean()]
        )
    rows = np.array(rows)
    error = rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
    for k, entry in enumerate(printed):
        value, theirs = entry if isinstance(entry, tuple) else (entry, 0.02)  # two digits, MC
        assert abs(rows[:, k].mean() - value) < 5 * np.hypot(error[k], theirs)


COLLAPSE = [(10, 0.975, 0.483), (50, 0.934, 0.561), (200, 0.849, 0.585), (1000, 0.761, 0.620)]
COLLAPSE += [(5000, 0.714, 0.635)]


@pytest.mark.slow
def test_collapse_table_of_the_chain():
    """Recovery by one posterior draw of a store of K samples of the chain, L = 16, t = 0.35."""
    source, t, rng = MarkovSource(oracles.CHAIN, 16), 0.35, generator(12)
    alpha = LogLinear().alpha(t)

    def recovery(denoiser, x_0):
        x_t = noise(rng, x_0, alpha, 3)
        full = np.exp(log_full(denoiser, x_t, t))
        return np.take_along_axis(full, x_0[..., None].astype(int), axis=-1).mean()

    trains, tests = [], []
    for n_patterns, train, test in COLLAPSE:
        found = []
        for _ in range(40):
            denoiser = EmpiricalDenoiser(source.sample(rng, n_patterns), 3)
            asked = rng.integers(n_patterns, size=100)
            found.append(
                [
                    recovery(denoiser, denoiser.patterns[asked]),
                    recovery(denoiser, source.sample(rng, 100)),
                ]
            )
        means = np.mean(found, axis=0)
        error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
        assert np.all(np.abs(means - [train, test]) < 5 * np.hypot(error, 0.01))
        trains.append(means[0])
        tests.append(means[1])
    assert np.all(np.diff(trains) < 0)
    assert np.all(np.diff(tests) > 0)
    information = source.mutual_information(alpha, rng, 40_000)
    error = np.hypot(information.standard_error, 0.019)
    assert abs(information.value - 5.747) < 5 * error
    population = [
        recovery(source.population_denoiser(), source.sample(rng, 1000)) for _ in range(40)
    ]
    error = np.std(population, ddof=1) / np.sqrt(len(population))
    assert abs(np.mean(population) - 0.6542) < 5 * error + 0.01  # printed from a simulation


NELBO = [(4, 1.365414, 12.160985), (64, 3.918485, 9.358658), (1024, 5.847619, 8.094399)]


@pytest.mark.slow
@pytest.mark.parametrize("n_patterns, train, test", NELBO)
def test_nelbo_is_a_divergence_from_the_store(n_patterns, train, test):
    """KL(q(x_t | x_0) || p_t) at t = 0.3, over random stored and unstored sequences."""
    t = 0.3
    alpha = LogLinear().alpha(t)
    keep, change = np.log(alpha + (1 - alpha) / 4), np.log((1 - alpha) / 4)
    stored, unstored = [], []
    for denoiser, _, x_0, x_t, rng in random_sets(2000, n_patterns, 12, 4, t, queries=4):
        fresh = rng.integers(4, size=x_0.shape)
        for out, x, z in ((stored, x_0, x_t), (unstored, fresh, noise(rng, fresh, alpha, 4))):
            log_kernel = np.where(x == z, keep, change).sum(axis=1)
            out.append((log_kernel - denoiser.log_prob_noisy(z, t)).mean())
    within_standard_errors(stored, train)
    within_standard_errors(unstored, test)


@pytest.mark.slow
def test_nelbo_integral_of_the_empirical_denoiser():
    """The integral of the loss over t in [0.3, 1] is that divergence; K = 4."""
    low, values = 0.3, []
    rng = generator(13)
    for _ in range(2000):
        patterns = rng.integers(4, size=(4, 12))
        denoiser = EmpiricalDenoiser(patterns, 4)
        levels = low + (1 - low) * (np.arange(16) + rng.random(16)) / 16
        alpha = denoiser.schedule.alpha(levels)
        x_0 = patterns[rng.integers(4, size=16)]
        x_t = noise(rng, x_0, alpha[:, None], 4)
        rate = nelbo_rate(
            denoiser.log_loo(x_t, levels), x_t, x_0, alpha, LogLinear().alpha_rate(levels)
        )
        values.append((1 - low) * rate.sum(axis=1).mean())
    within_standard_errors(values, 1.365414)  # what is left at t = 1 is below 2e-5


def test_weights_are_the_posterior_over_patterns():
    rng = np.random.default_rng(11)
    patterns, x_t = rng.integers(3, size=(40, 6)), rng.integers(3, size=(9, 6))
    levels = rng.random(9) * 0.9 + 0.05
    store = EmpiricalDenoiser(patterns, 3)
    alpha = np.asarray(store.schedule.alpha(levels))[:, None, None]
    same = patterns[None] == x_t[:, None]
    likelihood = np.where(same, alpha + (1 - alpha) / 3, (1 - alpha) / 3).prod(-1)
    expected = likelihood / likelihood.sum(1, keepdims=True)
    np.testing.assert_allclose(store.weights(x_t, levels), expected, rtol=1e-10)
    asked = rng.integers(40, size=9)
    found = store.posterior(x_t, levels, rng, asked).true_weight
    np.testing.assert_allclose(found, expected[np.arange(9), asked], rtol=1e-10)
