"""The binary memory against a NumPy twin, its symmetries, enumeration and the theory's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import models.memories.hopfield
from models.errors import NumbaInsideJitError
from models.memories.hopfield import HopfieldMemory, spins_from_tokens, store, tokens_from_spins
from models.memories.retrieval import to_fixed_point
from tests.helpers import assert_close, within_standard_errors

RULES = ("hebb", "pseudo-inverse")
UPDATES = ("sequential", "synchronous")
seeds = st.integers(0, 2**32 - 1)


def random_spins(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.choice(np.array([-1, 1], np.int8), shape)


@st.composite
def problems(draw, rules=RULES) -> dict:
    """A rule, patterns (repeats included), queries and an order of the sites."""
    rng = np.random.default_rng(draw(seeds))
    seq_len, train_size = draw(st.integers(1, 16)), draw(st.integers(1, 8))
    patterns = random_spins(rng, train_size, seq_len)
    if draw(st.booleans()):
        patterns[-1] = patterns[0]
    return {
        "rule": draw(st.sampled_from(rules)),
        "patterns": patterns,
        "query": random_spins(rng, draw(st.integers(0, 6)), seq_len),
        "order": rng.permutation(seq_len),
        "rng": rng,
    }


def twin_couplings(patterns: np.ndarray, rule: str) -> np.ndarray:
    """J written out, with the pseudo-inverse from the matrix of pattern overlaps."""
    x = patterns.astype(float)
    if rule == "hebb":
        couplings = x.T @ x / x.shape[1]
    else:
        couplings = x.T @ np.linalg.pinv(x @ x.T, rcond=1e-10) @ x
    return couplings - np.diag(np.diag(couplings))


def twin_sweep(state, couplings, order, sequential, levels=None):
    """One sweep of one state in plain loops."""
    levels = np.zeros(len(state)) if levels is None else levels
    source, new = (state, state.copy()) if not sequential else (None, state.copy())
    for i in order:
        field = couplings[i] @ (new if sequential else source) - levels[i]
        if abs(field) > 1e-9:
            new[i] = np.sign(field)
    return new


# --- the dynamics


@given(problems(), st.sampled_from(("dense", "patterns")), st.sampled_from(UPDATES))
def test_a_sweep_is_its_twins(problem, form, update):
    memory = store(problem["patterns"], rule=problem["rule"], form=form)
    couplings = twin_couplings(problem["patterns"], problem["rule"])
    query = problem["query"]
    result = memory.retrieve(query, update=update, max_iter=1, order=problem["order"])
    for start, end in zip(query, result.states, strict=True):
        expected = twin_sweep(start, couplings, problem["order"], update == "sequential")
        np.testing.assert_array_equal(end, expected)
    moved = (result.states != query).any(axis=1)
    np.testing.assert_array_equal(result.converged, ~moved)
    np.testing.assert_array_equal(result.iterations, moved)


@given(problems())
def test_fields_and_energy_are_those_of_the_couplings(problem):
    couplings = twin_couplings(problem["patterns"], problem["rule"])
    states = problem["query"].astype(float)
    for form in ("dense", "patterns"):
        memory = store(problem["patterns"], rule=problem["rule"], form=form)
        assert memory.form == form
        assert_close(memory.fields(problem["query"]), states @ couplings, atol=1e-10)
        energy = -0.5 * np.einsum("bi,ij,bj->b", states, couplings, states)
        assert_close(memory.energy(problem["query"]), energy, atol=1e-10)


@given(problems(), st.sampled_from(UPDATES))
def test_both_forms_give_the_same_retrieval(problem, update):
    results = [
        store(problem["patterns"], rule=problem["rule"], form=form).retrieve(
            problem["query"], update=update
        )
        for form in ("dense", "patterns")
    ]
    np.testing.assert_array_equal(results[0].states, results[1].states)
    np.testing.assert_array_equal(results[0].iterations, results[1].iterations)
    np.testing.assert_array_equal(results[0].converged, results[1].converged)


@given(problems())
def test_sequential_sweeps_lower_the_energy_and_end_at_a_fixed_point(problem):
    memory = store(problem["patterns"], rule=problem["rule"])
    states = problem["query"]
    energy = memory.energy(states)
    for _ in range(4):
        step = memory.retrieve(states, max_iter=1, order=problem["order"])
        gain = energy - step.energy
        assert (gain >= -1e-10).all()
        assert (gain[~step.converged] > 1e-10).all()
        states, energy = step.states, step.energy
    end = memory.retrieve(problem["query"], max_iter=1000)
    assert end.converged.all()
    assert (memory.fields(end.states) * end.states >= -1e-9).all()


@given(problems(), st.sampled_from(UPDATES))
def test_flipping_every_spin_of_the_query_flips_the_answer(problem, update):
    memory = store(problem["patterns"], rule=problem["rule"])
    plain = memory.retrieve(problem["query"], update=update)
    flipped = memory.retrieve(-problem["query"], update=update)
    np.testing.assert_array_equal(flipped.states, -plain.states)
    assert_close(flipped.energy, plain.energy, atol=1e-10)


@given(problems(), st.sampled_from(UPDATES))
def test_flipping_stored_patterns_changes_nothing(problem, update):
    signs = random_spins(problem["rng"], len(problem["patterns"]), 1)
    results = [
        store(p, rule=problem["rule"]).retrieve(problem["query"], update=update)
        for p in (problem["patterns"], signs * problem["patterns"])
    ]
    np.testing.assert_array_equal(results[0].states, results[1].states)


@given(problems(), st.sampled_from(UPDATES))
def test_the_names_of_sites_and_patterns_do_not_matter(problem, update):
    patterns, query, sites = problem["patterns"], problem["query"], problem["order"]
    renamed = patterns[problem["rng"].permutation(len(patterns))][:, sites]
    plain = store(patterns, rule=problem["rule"]).retrieve(query, update=update, order=sites)
    moved = store(renamed, rule=problem["rule"]).retrieve(query[:, sites], update=update)
    np.testing.assert_array_equal(moved.states, plain.states[:, sites])


@given(problems(), st.sampled_from(UPDATES))
def test_a_single_pattern_is_recovered_up_to_its_sign(problem, update):
    pattern, query = problem["patterns"][:1], problem["query"]
    memory = store(pattern, rule=problem["rule"])
    towards = query.astype(int) @ pattern[0].astype(int)
    clear = np.abs(towards) > 1  # a spin aligned with the field of the others stays
    result = memory.retrieve(query[clear], update=update)
    np.testing.assert_array_equal(result.states, np.sign(towards[clear])[:, None] * pattern)


@given(problems(rules=["pseudo-inverse"]))
def test_independent_patterns_are_fixed_points_of_the_pseudo_inverse(problem):
    patterns = problem["patterns"]
    result = store(patterns, rule="pseudo-inverse").retrieve(patterns, update="synchronous")
    np.testing.assert_array_equal(result.states, patterns)
    assert result.converged.all()


def test_duplicates_weigh_double_under_hebb_and_not_under_the_pseudo_inverse():
    rng = np.random.default_rng(2)
    patterns = random_spins(rng, 3, 12)
    twice = np.concatenate([patterns, patterns[:1]])
    assert store(twice).duplicates == 1
    query = random_spins(rng, 5, 12)
    extra = store(patterns).fields(query) + store(patterns[:1]).fields(query)
    assert_close(store(twice).fields(query), extra)
    once, again = (store(p, rule="pseudo-inverse").fields(query) for p in (patterns, twice))
    assert_close(once, again, atol=1e-12)


def test_two_opposed_spins_cycle_synchronously_and_settle_sequentially():
    memory = store([[1, 1]])
    cycle = memory.retrieve([[1, -1]], update="synchronous", max_iter=50)
    assert not cycle.converged[0]
    assert cycle.iterations[0] == 2  # told apart from a slow run: it stops at once
    settled = memory.retrieve([[1, -1]])
    assert settled.converged[0]
    assert settled.states.tolist() == [[-1, -1]]
    assert settled.energy[0] == -1 / 2


def test_the_cap_is_reported():
    def shift(rows):
        return rows + 1

    states, iterations, converged = to_fixed_point(shift, np.zeros((2, 3), np.int64), 7)
    assert states.tolist() == [[7] * 3] * 2
    assert iterations.tolist() == [7, 7]
    assert not converged.any()


# --- the heat bath


@given(problems(), st.sampled_from(("dense", "patterns")))
def test_a_heat_bath_sweep_is_its_twins(problem, form):
    memory = store(problem["patterns"], rule=problem["rule"], form=form)
    couplings, query = twin_couplings(problem["patterns"], problem["rule"]), problem["query"]
    seed, temperature = int(problem["rng"].integers(2**31)), 0.7
    result = memory.heat_bath(np.random.default_rng(seed), query, temperature, 1)
    uniforms = np.random.default_rng(seed).random(query.shape)
    for start, end, row in zip(query, result, uniforms, strict=True):
        state = start.astype(float)
        for i in range(len(state)):
            up = 1 / (1 + np.exp(-2 * couplings[i] @ state / temperature))
            state[i] = 1 if row[i] < up else -1
        np.testing.assert_array_equal(end, state)


def test_the_heat_bath_samples_the_boltzmann_law():
    rng = np.random.default_rng(3)
    memory = store(random_spins(rng, 2, 5))
    every = 2 * ((np.arange(32)[:, None] >> np.arange(5)) & 1).astype(np.int8) - 1
    law = np.exp(-memory.energy(every) / 0.8)
    law /= law.sum()
    start = every[rng.choice(32, size=40_000, p=law)]
    after = memory.heat_bath(rng, start, 0.8, 2)
    counts = np.bincount((after > 0) @ (1 << np.arange(5)), minlength=32)
    score = (counts - 40_000 * law) / np.sqrt(40_000 * law * (1 - law))
    assert np.abs(score).max() < 4.5


def test_a_cold_heat_bath_is_retrieval():
    rng = np.random.default_rng(4)
    patterns = random_spins(rng, 2, 101)
    memory = store(patterns)
    query = np.where(rng.random(patterns.shape) < 0.2, -patterns, patterns)
    cold = memory.heat_bath(rng, query, 1e-6, 20)
    np.testing.assert_array_equal(cold, memory.retrieve(query).states)


# --- the theory's numbers


@pytest.mark.parametrize(
    "load, printed, gap",
    [(0.10, 0.9983, 0.0012), (0.12, 0.99305, 0.003)],
)
def test_retrieval_overlap_of_clean_patterns(load, printed, gap):
    """Simulated column of the theory sheet, N = 5000; here N = 2000 and its larger spread."""
    rng = np.random.default_rng(5)
    patterns = random_spins(rng, int(load * 2000), 2000)
    memory = store(patterns)
    result = memory.retrieve(patterns[:60], update="synchronous")
    overlap = np.diag(memory.overlap(result.states)[:, :60])
    assert abs(np.median(overlap) - printed) < gap


@pytest.mark.slow
@pytest.mark.parametrize("load, printed", [(0.10, 0.9983), (0.12, 0.99305), (0.13, 0.98670)])
def test_retrieval_overlap_at_the_sheets_size(load, printed):
    rng = np.random.default_rng(6)
    patterns = random_spins(rng, int(load * 5000), 5000)
    memory = store(patterns)
    result = memory.retrieve(patterns[:200], update="synchronous")
    overlap = np.diag(memory.overlap(result.states)[:, :200])
    assert abs(overlap.mean() - printed) < 0.004


def corrupted(rng, patterns, overlap):
    """Each spin of each pattern flipped independently, to a mean overlap."""
    return np.where(rng.random(patterns.shape) < (1 - overlap) / 2, -patterns, patterns)


def test_one_synchronous_step():
    """m_1 = erf(m_0 / sqrt(2 load)): .7941 for load .1 and m_0 = .4, simulation .7987."""
    rng = np.random.default_rng(7)
    patterns = random_spins(rng, 200, 2000)
    memory = store(patterns)
    query = corrupted(rng, patterns, 0.4)
    step = memory.retrieve(query, update="synchronous", max_iter=1).states
    overlap = np.diag(memory.overlap(step))
    within_standard_errors(overlap, 0.7941)


@pytest.mark.slow
@pytest.mark.parametrize("load, critical", [(0.05, 0.16), (0.08, 0.265), (0.10, 0.35)])
def test_critical_overlap_of_the_basins(load, critical):
    rng = np.random.default_rng(8)
    patterns = random_spins(rng, int(load * 4000), 4000)
    memory = store(patterns)
    rates = []
    for overlap in (critical - 0.03, critical + 0.03):
        query = corrupted(rng, patterns[:150], overlap)
        result = memory.retrieve(query, update="synchronous")
        rates.append((np.diag(memory.overlap(result.states)[:, :150]) > 0.9).mean())
    assert rates[0] < 0.5 < rates[1]


@pytest.mark.parametrize(
    "temperature, printed, spread", [(0.2, 0.99887776, 0.00015), (0.5, 0.90410608, 0.0027)]
)
def test_overlap_at_a_temperature(temperature, printed, spread):
    """Replica-symmetric overlaps at load .05, within four of `spread`.

    `spread`: standard deviation between sets of patterns after 12 sweeps at N = 2000. At
    temperature .5 retrieval is near its end (.542), and at N = 1000 patterns already decay.
    """
    rng = np.random.default_rng(9)
    patterns = random_spins(rng, 100, 2000)
    memory = store(patterns)
    states = memory.heat_bath(rng, patterns[:40], temperature, 12)
    overlap = np.diag(memory.overlap(states)[:, :40])
    assert abs(overlap.mean() - printed) < 4 * spread


def test_pseudo_inverse_memory_keeps_twice_the_load_of_hebb():
    rng = np.random.default_rng(10)
    patterns = random_spins(rng, 60, 200)  # load .3
    query = corrupted(rng, patterns, 0.9)
    good = []
    for rule in RULES:
        memory = store(patterns, rule=rule)
        result = memory.retrieve(query)
        good.append((np.diag(memory.overlap(result.states)) == 1).mean())
    assert good[0] == 0
    assert good[1] > 0.95


# --- sizes and bad input


def test_the_cheaper_form_is_chosen(monkeypatch):
    rng = np.random.default_rng(11)
    assert store(random_spins(rng, 4, 9)).form == "patterns"
    assert store(random_spins(rng, 5, 9)).form == "dense"
    monkeypatch.setattr(models.memories.hopfield, "DENSE_BYTES", 9 * 9 * 4 - 1)
    assert store(random_spins(rng, 5, 9)).form == "patterns"
    with pytest.raises(ValueError, match="would hold 9 x 9 couplings"):
        store(random_spins(rng, 5, 9), form="dense")


def test_large_memories_keep_their_fields_in_double_precision(monkeypatch):
    rng = np.random.default_rng(12)
    patterns, query = random_spins(rng, 6, 12), random_spins(rng, 3, 12)
    small = store(patterns)
    monkeypatch.setattr(models.memories.hopfield, "EXACT_IN_FLOAT32", 6 * 12)
    large = store(patterns)
    assert (small.factor.dtype, large.factor.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(small.fields(query), large.fields(query))
    np.testing.assert_array_equal(small.retrieve(query).states, large.retrieve(query).states)


def test_tokens_and_spins():
    tokens = np.array([[0, 1, 1, 0]], np.uint8)
    assert spins_from_tokens(tokens).tolist() == [[-1, 1, 1, -1]]
    np.testing.assert_array_equal(tokens_from_spins(spins_from_tokens(tokens)), tokens)


def test_an_empty_batch_stays_empty():
    memory = store([[1, -1, 1]])
    result = memory.retrieve(np.empty((0, 3), np.int8))
    assert result.states.shape == (0, 3)
    assert memory.overlap(np.empty((0, 3), np.int8)).shape == (0, 1)


MEMORY: HopfieldMemory = store([[1, -1, 1], [1, 1, 1]])
GOOD = [[1, -1, 1]]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: store(np.ones((0, 4), int)), "store at least one sequence (K >= 1)"),
        (lambda: store([[0, 1, 1]]), "`patterns` holds the value 0; allowed are -1 and +1"),
        (lambda: store([[1.0, -1.0]]), "must hold integers -1 and +1; got dtype float64"),
        (lambda: store([[True, False]]), "got dtype bool"),
        (lambda: store([1, -1]), "must have shape (batch, N); got (2,)"),
        (lambda: store(np.ones((3, 0), int)), "must have shape (batch, N); got (3, 0)"),
        (lambda: store(GOOD, rule="storkey"), "`rule` must be 'hebb' or 'pseudo-inverse'"),
        (lambda: store(GOOD, form="sparse"), "`form` must be 'auto', 'dense' or 'patterns'"),
        (lambda: MEMORY.retrieve([[1, -1]]), "states of 2 spins; this memory holds patterns of 3"),
        (lambda: MEMORY.retrieve([[1, 3, 1]]), "`query` holds the value 3"),
        (lambda: MEMORY.retrieve(GOOD, update="random"), "`update` must be 'sequential'"),
        (lambda: MEMORY.retrieve(GOOD, max_iter=0), "`max_iter` must be an integer of at least 1"),
        (lambda: MEMORY.retrieve(GOOD, order=[0, 1, 1]), "`order` must hold each site 0 to 2 once"),
        (lambda: MEMORY.overlap([[1, 1, 1, 1]]), "`states` has states of 4 spins"),
        (
            lambda: MEMORY.heat_bath(np.random.default_rng(0), GOOD, 0.0, 3),
            "At temperature zero use `retrieve`",
        ),
        (
            lambda: MEMORY.heat_bath(np.random.default_rng(0), GOOD, 1.0, -1),
            "`sweeps` must be a non-negative integer",
        ),
        (lambda: spins_from_tokens([[0, 2]]), "`tokens` holds the token 2"),
    ],
)
def test_bad_input_is_refused_in_words(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert message in str(caught.value)


def test_a_tracer_is_refused_in_words():
    import jax

    with pytest.raises(NumbaInsideJitError, match="`query` is a JAX tracer"):
        jax.jit(MEMORY.retrieve)(np.array(GOOD))
