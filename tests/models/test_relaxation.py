"""The deterministic map: against a walk state by state over random maps, and on exact denoisers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.exact.empirical import EmpiricalDenoiser
from models.relaxation import likeliest, relax
from models.sources import MarkovSource
from tests.oracles import all_sequences


def law_of(table, vocab_size):
    """The law, over sequences of length L, that sends each state to its entry of `table`."""
    states = {tuple(row): np.array(after) for row, after in table.items()}

    def law(tokens):
        after = np.array([states[tuple(row)] for row in tokens])
        return np.log(np.where(np.arange(vocab_size) == after[..., None], 0.9, 0.01))

    return law


@given(st.integers(2, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_any_map_ends_where_a_walk_does(vocab_size, seq_len, seed):
    rng = np.random.default_rng(seed)
    states = all_sequences(vocab_size, seq_len)
    after = states[rng.integers(len(states), size=len(states))]
    table = {tuple(a): tuple(b) for a, b in zip(states.tolist(), after.tolist(), strict=True)}
    found = relax(law_of(table, vocab_size), states)
    for k, start in enumerate(states.tolist()):
        walk = [tuple(start)]
        while table[walk[-1]] not in walk:
            walk.append(table[walk[-1]])
        entry = walk.index(table[walk[-1]])
        cycle = walk[entry:]
        assert tuple(found.states[k]) == min(cycle)
        assert found.period[k] == len(cycle)
        assert found.sweeps[k] == entry


def test_rows_that_have_not_ended_say_so():
    line = {(k,): (min(k + 1, 5),) for k in range(6)}
    found = relax(law_of(line, 6), np.array([[0], [4], [5]]), max_sweeps=3)
    assert found.period.tolist() == [0, 1, 1]
    assert found.sweeps.tolist() == [3, 1, 0]
    assert found.states.ravel().tolist() == [3, 5, 5]


def test_a_tied_token_stays_and_impossible_ones_are_left():
    with np.errstate(divide="ignore"):
        law = np.log([[[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]])
    assert likeliest(law, np.array([[1, 2, 2]])).tolist() == [[1, 0, 0]]


def test_well_separated_sequences_are_attractors_of_the_memorizer_and_catch_all_starts():
    rng = np.random.default_rng(0)
    stored = np.array([[0] * 8, [1] * 8, [2] * 8])
    memory = EmpiricalDenoiser(stored, 3)

    def law(tokens):
        return memory.log_loo(tokens, 1e-5)

    assert (relax(law, stored).states == stored).all()
    near = stored.copy()
    near[:, 0] = (near[:, 0] + 1) % 3
    assert (relax(law, near).states == stored).all()
    ends = relax(law, rng.integers(3, size=(200, 8)))
    whole = (ends.states == ends.states[:, :1]).all(1)
    assert whole[ends.period == 1].mean() > 0.9  # the rest are ties between two of them


def test_fixed_points_of_the_population_law_are_those_of_enumeration():
    chain = MarkovSource(np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]), 3)
    states = all_sequences(3, 3)
    denoiser = chain.population_denoiser()
    fixed = relax(lambda x: denoiser.log_loo(x, 1e-5), states).period == 1
    law = denoiser.log_loo(states, 1e-5)
    stays = np.take_along_axis(law, states[..., None], -1)[..., 0] >= law.max(-1) - 1e-9
    start_fixed = (likeliest(law, states) == states).all(1)
    assert (stays.all(1) == start_fixed).all()
    assert fixed[start_fixed].all()
