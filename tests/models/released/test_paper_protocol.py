"""The paper's reverse process and measures: what they do, and where they differ from ours.

Agreement with the authors' own numbers is in tests/golden.
"""

from itertools import pairwise

import equinox as eqx
import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory import channel
from models.networks.dit import DiT, Shape
from models.released.paper_protocol import (
    conditional_entropy,
    corrupt,
    draw,
    law_of,
    lead_to_move,
    posterior,
    reverse_run,
    start_index,
    time_grid,
    token_entropy,
    track,
)
from models.sampler import reverse_law
from simulations.measure.counts import corrupted_count, count_tokens, law_statistics
from simulations.measure.paper_measures import (
    Comparison,
    Curvature,
    compare_sequences,
    curvature,
    curvature_means,
    macro_means,
    masks,
    trajectory,
)
from tests.helpers import assert_close

SCHEDULE = channel.LogLinear()
TOKENS = np.array([[0, 1, 2, 3], [3, 3, 0, 1]])


def constant_law(law):
    """A network that says the same of every token."""
    log = np.log(np.asarray(law, dtype=np.float64))
    return lambda x, sigma: np.broadcast_to(log, (*np.shape(x), len(log)))


def next_token_law(vocab_size, floor=0.0):
    """A network that wants every token to be the next one, with probability `floor` of others."""

    def law(x, sigma):
        p = np.full((*np.shape(x), vocab_size), floor)
        np.put_along_axis(p, (x[..., None] + 1) % vocab_size, 1 - floor * (vocab_size - 1), -1)
        with np.errstate(divide="ignore"):
            return np.log(p)

    return law


# --- levels


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_grid_falls_evenly_from_one_to_its_end(dtype):
    for n in (1, 2, 7, 1000):
        grid = time_grid(n, dtype=dtype)
        assert grid.dtype == dtype and len(grid) == n + 1
        assert grid[0] == 1 and grid[-1] == dtype(1e-5)
        exact = np.linspace(1, 1e-5, n + 1)
        np.testing.assert_allclose(grid, exact, atol=2 * np.finfo(dtype).eps)


@given(st.integers(1, 300), st.floats(0, 1))
def test_a_start_level_is_rounded_up_to_a_step(n, start_t):
    grid = time_grid(n).astype(np.float64)
    level = grid[start_index(n, start_t)]
    lowest = grid[-2]  # at least one update is made
    rounding = np.finfo(np.float32).eps
    assert max(start_t, lowest) <= level + rounding
    assert level < max(start_t, lowest) + 1 / n + rounding


def test_the_start_rule_with_numbers():
    # Of ten steps: 0.25 starts at 0.300007, told a sixth more noise than there is.
    assert start_index(10, 0.25) == 7
    assert time_grid(10)[7] == pytest.approx(0.300007, abs=1e-6)
    assert (start_index(1, 0.05), start_index(1000, 1.0)) == (0, 0)
    # At or below the last level: one update, or none where it is tracked.
    for start_t in (0.0, 1e-5):
        assert (start_index(10, start_t), start_index(10, start_t, clamp=False)) == (9, 10)
    assert start_index(10, 1.01, clamp=False) == -1


# --- the deterministic update


@given(st.integers(2, 6), st.floats(0.001, 1), st.floats(0, 0.999), st.integers(0, 2**32 - 1))
def test_the_lead_decides_whether_the_posterior_moves(vocab_size, t, share, seed):
    rng = np.random.default_rng(seed)
    law = rng.dirichlet(np.full(vocab_size, 0.3), size=50)
    x_t = rng.integers(vocab_size, size=50)
    alpha_t, alpha_s = float(SCHEDULE.alpha(t)), float(SCHEDULE.alpha(share * t))
    a, b = lead_to_move(alpha_t, alpha_s, vocab_size)
    own = law[np.arange(50), x_t]
    others = law.copy()
    others[np.arange(50), x_t] = -1
    excess = others.max(1) - own - (a + b * own)
    with np.errstate(divide="ignore"):
        moved = posterior(np.log(law), x_t, alpha_t, alpha_s).argmax(-1) != x_t
    clear = np.abs(excess) > 1e-9
    assert (moved == (excess > 0))[clear].all()


def test_at_1000_steps_no_update_but_the_last_can_move_a_token():
    """Whatever the network says: the posterior of staying is the largest where a >= 1.

    So the greedy decision at 1000 steps is made in the last update alone.
    """
    alphas = [float(SCHEDULE.alpha(t)) for t in time_grid(1000, dtype=np.float64)]
    leads = [lead_to_move(t, s, 50257) for t, s in pairwise(alphas)]
    assert all(a >= 1 for a, _ in leads[:-1])
    assert min(a for a, _ in leads[:-1]) == pytest.approx(1.00899, abs=1e-5)  # the last but one
    a, b = leads[-1]
    assert a == pytest.approx(0.01, abs=1e-4) and b == pytest.approx(1000 * 50257, rel=0.001)
    # The noise removal after it, from t = 1e-5 to alpha = 1.
    a, b = lead_to_move(alphas[-1], 1.0, 50257)
    assert a == 0 and b == pytest.approx(1e5 * 50257, rel=0.002)


def test_a_certain_network_moves_tokens_in_the_last_update_only():
    run = reverse_run(next_token_law(4), TOKENS, 1.0, 1000, "none", deterministic=True)
    assert len(run.states) == 1001
    assert (run.states[:-1] == TOKENS).all()
    assert (run.final == (TOKENS + 1) % 4).all()


def test_a_network_less_certain_than_1_in_1000_v_moves_nothing_at_1000_steps():
    # 1e-6 for the present token, nearly 1 for the next: odds of a million, and 1000 V is more.
    law = next_token_law(2000, 1e-6)
    run = reverse_run(law, TOKENS, 0.02, 1000, deterministic=True)
    assert (run.states == TOKENS).all()
    # The same network moves every token at 2 steps, and by a greedy noise removal.
    assert (reverse_run(law, TOKENS, 1.0, 2, "none", deterministic=True).final != TOKENS).all()
    greedy = reverse_run(law, TOKENS, 0.02, 1000, "greedy", deterministic=True)
    assert (greedy.final == TOKENS + 1).all()
    assert (greedy.states[:-1] == TOKENS).all()


# --- runs


def test_entropies_are_read_at_the_final_tokens_and_the_last_level():
    seen = []

    def law(x, sigma):
        seen.append((np.array(x), np.array(sigma)))
        return next_token_law(4, 0.05)(x, sigma)

    run = reverse_run(law, TOKENS, 0.9, 5, uniforms=np.random.default_rng(0))
    x, sigma = seen[-1]
    assert (x == run.final).all()
    np.testing.assert_allclose(sigma, -np.log(SCHEDULE.alpha(1e-5)), rtol=1e-2)
    assert (run.entropy == token_entropy(law(x, sigma))).all()
    assert run.entropy.shape == TOKENS.shape
    # updates, one law each, and the final one
    assert len(run.states) - 1 == 5 - start_index(5, 0.9) + 1


def test_a_certain_law_is_reached_by_random_runs():
    # x_theta = a point mass: after the noise removal all tokens are that one.
    run = reverse_run(
        constant_law([1e-300, 1, 1e-300, 1e-300]), TOKENS, 1.0, 20,
        uniforms=np.random.default_rng(1),
    )  # fmt: skip
    assert (run.final == 1).all()


def test_posterior_is_the_samplers_dense_law_in_double_precision():
    log_law = np.log(np.random.default_rng(2).dirichlet(np.ones(4), size=TOKENS.shape))
    ours = posterior(log_law.astype(np.float32), TOKENS, 0.4, 0.6)
    assert ours.dtype == np.float64
    assert_close(posterior(log_law, TOKENS, 0.4, 0.6), reverse_law(log_law, TOKENS, 0.4, 0.6))


def test_draws_follow_the_law():
    law, n = np.array([0.1, 0.0, 0.6, 0.3]), 20000
    found = draw(np.broadcast_to(law, (n, 4)), np.random.default_rng(3))
    counts = np.bincount(found, minlength=4)
    error = np.sqrt(n * law * (1 - law))
    assert (np.abs(counts - n * law) <= 5 * error).all()
    assert (draw(law, None), draw(7 * law, None)) == (2, 2)


def test_given_uniforms_are_used_in_order():
    law = constant_law([0.1, 0.2, 0.3, 0.4])
    n = 4 - start_index(4, 0.6)
    u = np.random.default_rng(4).random((n, *TOKENS.shape, 4))
    run = reverse_run(law, TOKENS, 0.6, 4, "none", u)
    same = reverse_run(law, TOKENS, 0.6, 4, "none", np.random.default_rng(4))
    assert (run.states == same.states).all()


def test_corrupt_takes_the_fresh_token_strictly_below_the_bound():
    fresh = np.full((1, 3), 9)
    noisy = corrupt(np.zeros((1, 3), int), [[0.75]], np.array([[0.25, 0.2499, 0.9]]), fresh)
    assert noisy.tolist() == [[0, 9, 0]]


BAD_RUNS = {
    "level": (dict(start_t=1.5), "`start_t` must lie in"),
    "not a level": (dict(start_t=float("nan")), "`start_t` must lie in"),
    "steps": (dict(n_steps=0), "`n_steps` must be at least 1"),
    "removal": (dict(noise_removal="both"), "`noise_removal` must be one of"),
    "draws without uniforms": (dict(deterministic=False), "give `uniforms`"),
    "both": (dict(uniforms=np.random.default_rng(0)), "or else `deterministic=True`"),
    "too few": (dict(deterministic=False, uniforms=np.zeros((1, 2, 4, 4))), "at least 2 updates"),
    "misshapen": (dict(deterministic=False, uniforms=np.zeros((9, 2, 4))), r"\(updates, 2, 4, 4\)"),
    "tokens": (dict(x_t=TOKENS[0]), r"integers \(batch, L\)"),
    "reals": (dict(x_t=TOKENS * 1.0), r"integers \(batch, L\)"),
}


@pytest.mark.parametrize("what", BAD_RUNS)
def test_bad_runs_are_refused_in_words(what):
    wrong, message = BAD_RUNS[what]
    given_ = dict(x_t=TOKENS, start_t=0.5, n_steps=4, deterministic=True) | wrong
    with pytest.raises(ValueError, match=message):
        reverse_run(next_token_law(4), **given_)


def test_the_law_of_a_network_is_its_log_loo():
    model = DiT(jax.random.key(0), 4, Shape(8, 1, 2, 8))
    model = jax.tree.map(lambda a: a + 0.1, model)
    sigma = -np.log(SCHEDULE.alpha(np.array([0.2, 0.7])))
    ours = law_of(model)(TOKENS, sigma)
    log_loo = eqx.filter_jit(lambda m, x, t: m.log_loo(x, t))
    np.testing.assert_allclose(ours, log_loo(model, TOKENS, np.float32([0.2, 0.7])), atol=1e-5)
    entropy = conditional_entropy(law_of(model), TOKENS, 0.2)
    assert entropy.shape == TOKENS.shape and (entropy > 0).all() and (entropy < np.log(4)).all()


# --- trajectory


def test_a_trajectory_has_a_row_before_each_update_and_one_at_the_end():
    columns = trajectory(next_token_law(4, 0.01), TOKENS, 0.5, 8, deterministic=True)
    assert tuple(columns) == (*Curvature._fields, "t")
    assert_close(columns["t"], time_grid(8)[start_index(8, 0.5) :].astype(np.float64))
    assert columns["t"][-1] == np.float32(1e-5)
    short = track(next_token_law(4), TOKENS, 1e-5, 8, np.shape, deterministic=True)
    assert short == [(float(np.float32(1e-5)), (2, 4, 4))]


# --- measures


def test_sequence_measures_of_a_hand_example():
    x_0 = np.array([[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]])
    x_t = np.array([[0, 0, 0, 3], [0, 1, 2, 3], [1, 2, 3, 0]])
    out = np.array([[1, 1, 0, 3], [0, 1, 2, 3], [0, 1, 2, 3]])
    entropy = np.arange(12.0).reshape(3, 4)
    nan = np.nan
    expected = Comparison(
        is_exact_match=[0, 1, 1],
        perturbation_rate=[0.5, 0, 1],
        recovery_rate=[0.5, nan, 1],
        unstable_rate=[0.5, 0, nan],
        entropy_recovered=[1, nan, 9.5],
        entropy_stable=[3, 5.5, nan],
        entropy_unstable=[0, nan, nan],
        entropy_failed_rec=[2, nan, nan],
    )
    found = compare_sequences(x_0, x_t, out, entropy)
    for name in Comparison._fields:
        assert_close(getattr(found, name), np.array(getattr(expected, name), dtype=float))
    means = macro_means(found)
    assert means["recovery_rate"] == 0.75 and means["entropy_stable"] == 4.25
    assert np.isnan(macro_means(compare_sequences(x_0, x_0, x_0, entropy))["recovery_rate"])
    perturbed, correct, unstable = masks(x_0, x_t, out)
    assert unstable.tolist()[0] == [True, False, False, False]
    assert (perturbed == (x_0 != x_t)).all() and (correct == (x_0 == out)).all()


def test_macro_and_pooled_recovery_differ():
    """One change restored of one, none of nine: theirs says one half, ours one tenth."""
    x_0 = np.zeros((2, 9), np.uint8)
    x_t, out = x_0.copy(), x_0.copy()
    x_t[0, 0], x_t[1] = 1, 1
    out[1] = 1
    macro = macro_means(compare_sequences(x_0, x_t, out, np.zeros(x_0.shape)))["recovery_rate"]
    pooled = count_tokens(x_0, x_t, out).recovered.sum() / corrupted_count(x_0, x_t).sum()
    assert (macro, pooled) == (0.5, 0.1)


def test_curvature_is_that_of_the_softmax():
    rng = np.random.default_rng(5)
    p = rng.dirichlet(np.ones(5), size=(2, 3))
    found = curvature(np.log(p))
    matrix = p[..., None] * np.eye(5) - p[..., None] * p[..., None, :]
    diagonal = np.diagonal(matrix, axis1=-2, axis2=-1)
    off = matrix * (1 - np.eye(5))
    assert_close(found.diag, diagonal.sum(-1))
    assert_close(found.diag_norm, np.linalg.norm(diagonal, axis=-1))
    assert_close(found.interaction, off.sum((-2, -1)) / 20 / 2)
    assert_close(found.interaction_norm, np.sqrt((off**2).sum((-2, -1)) / 2))
    ordered = np.sort(p, -1)
    assert_close(found.max_conf, ordered[..., -1])
    assert_close(found.spectral_gap, ordered[..., -1] - ordered[..., -2])
    assert curvature_means(np.log(p))["diag"] == pytest.approx(found.diag.mean())


def test_entropy_of_a_law_with_zeros_is_a_number_where_theirs_is_nan():
    log_p = np.log([0.5, 0.5, 1.0])
    log_p[2] = -np.inf
    with np.errstate(invalid="ignore"):
        theirs = -np.sum(np.exp(log_p) * log_p)
    assert np.isnan(theirs)
    assert curvature(log_p).entropy == pytest.approx(np.log(2))
    point = curvature(np.array([0.0, -np.inf]))
    assert (point.entropy, point.diag, point.interaction, point.spectral_gap) == (0, 0, 0, 1)
    assert point.interaction_norm == pytest.approx(np.sqrt(0.5) * 1e-6)  # the clamp
    ours = law_statistics(np.log([[[0.5, 0.25, 0.25]]]), np.zeros((1, 1), int)).entropy
    assert_close(token_entropy(np.log([[[0.5, 0.25, 0.25]]]))[0], ours)


def test_bad_measures_are_refused_in_words():
    with pytest.raises(ValueError, match=r"one shape \(batch, L\)"):
        compare_sequences(TOKENS, TOKENS[:1], TOKENS, np.zeros((2, 4)))
    with pytest.raises(ValueError, match="`token_entropy` must have the shape"):
        compare_sequences(TOKENS, TOKENS, TOKENS, np.zeros(4))
    with pytest.raises(ValueError, match="V at least 2"):
        curvature(np.zeros((3, 1)))
