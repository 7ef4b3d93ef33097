"""Attractors of a run: the census against plain counting, and the cells against the dynamics."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from models.exact.empirical import EmpiricalDenoiser
from models.relaxation import likeliest
from simulations.phase.analysis import analyse
from simulations.phase.attraction import census
from simulations.phase.config import preset
from simulations.phase.study import merge


@pytest.fixture(scope="module")
def run(tiny_run):
    """Configuration, merged data and analysis of the tiny run."""
    config = dataclasses.replace(preset("smoke"), train_sizes=(4, 64))
    data = merge(tiny_run("phase_diagram"), config)
    return dataclasses.replace(config, seq_len=data.sizes["position"]), data


def counted(states, kept=8):
    """Data of one denoiser, K and seed, whose random starts end in `states` (n, L)."""
    n = len(states)
    dims = ("train_size", "seed", "denoiser", "split_start", "start")
    return xr.Dataset(
        {
            "attractor": ((*dims, "position"), np.asarray(states)[None, None, None, None]),
            "kept": (dims, np.full((1, 1, 1, 1, n), kept)),
        },
        {"train_size": [4], "seed": [0], "denoiser": ["trained"], "split_start": ["random"]},
    )


def test_the_effective_number_is_that_of_pairs_that_meet():
    rng = np.random.default_rng(0)
    states = rng.integers(2, size=(40, 3))
    pairs = [
        (states[i] == states[j]).all()
        for i in range(len(states))
        for j in range(len(states))
        if i != j
    ]
    found = census(counted(states), "trained", 4)
    assert found.effective == pytest.approx(1 / np.mean(pairs))
    assert found.distinct == len({tuple(s) for s in states.tolist()})
    assert found.low <= found.effective <= found.high


def test_its_interval_holds_the_truth_as_often_as_it_says():
    weights = np.array([0.4, 0.2, 0.2, 0.1, 0.1])
    inside = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        found = census(counted(rng.choice(5, p=weights, size=(200, 1))), "trained", 4)
        inside.append(found.low <= 1 / (weights**2).sum() <= found.high)
    assert 0.9 <= np.mean(inside) <= 0.99


def test_starts_that_never_meet_have_no_finite_number():
    found = census(counted(np.arange(20)[:, None]), "trained", 4)
    assert found.effective == np.inf
    assert found.distinct == 20
    assert census(counted(np.zeros((4, 1)), kept=-1), "trained", 4) is None


def test_cells_hold_what_the_dynamics_of_the_memorizer_gives(run):
    config, data = run
    problem = dataclasses.replace(config, queries=32).problem_of(0)
    for size in (4, 64):
        store = EmpiricalDenoiser(problem.stored[:size], config.vocab_size)
        starts = problem.stored[np.arange(32) % size]
        law = store.log_loo(starts, 1e-5)
        part = data.sel(train_size=size, seed=0, denoiser="empirical", split_start="train")
        kept = (likeliest(law, starts) == starts).sum(1)
        assert (part["kept"].sel({"map": "loo"}).values == kept).all()
        fixed = kept == config.seq_len
        assert (part["settled_sweeps"].values[fixed] == 0).all()
        assert (part["settled_period"].values[fixed] == 1).all()
        assert (part["settled_same"].values[fixed] == config.seq_len).all()
        assert (part["settled_distance"].values[fixed] == 0).all()
        assert (part["attractor"].values[fixed] == starts[fixed]).all()


def test_exact_ends_have_an_energy_and_the_network_has_not(run):
    """Log-odds around cycles: 0 of the two exact laws, to the rounding of their kernels."""
    config, data = run
    analysis = analyse(dataclasses.replace(config, queries=32, replicates=100), data)
    for split in ("train", "heldout", "random"):
        for name in ("empirical", "population"):
            assert (analysis.share("circulation", name, split).estimate < 1e-6).all()
        assert (analysis.share("circulation", "trained", split).estimate > 1e-3).all()
        assert (analysis.share("circulation", "pairwise", split).estimate > 1e-6).all()
