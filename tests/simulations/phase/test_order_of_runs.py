"""Order parameters of a run: the exact ends measure themselves as 0 and 1, and seeds pair."""

import dataclasses

import numpy as np
import pytest

from simulations.measure.names import DENOISERS, SMALL_LEVEL
from simulations.phase.analysis import analyse
from simulations.phase.config import preset
from simulations.phase.order import READINGS, curve_of, make_orders, order_of
from simulations.phase.study import merge

SIZES = (4, 64)


@pytest.fixture(scope="module")
def analysis(tiny_run):
    config = dataclasses.replace(preset("smoke"), train_sizes=SIZES, replicates=200)
    return analyse(config, merge(tiny_run("phase_diagram"), config))


@pytest.mark.parametrize("reading", READINGS)
def test_the_exact_ends_are_1_and_0_of_memory_0_and_1_of_generalization(analysis, reading):
    t = analysis.config.levels[0] if READINGS[reading][1] else SMALL_LEVEL
    for name, memory, generalization in (("empirical", 1, 0), ("population", 0, 1)):
        order = order_of(analysis, name, reading, t)
        for found, wanted in (
            (order.memory, memory),
            (order.generalization, generalization),
        ):
            known = ~np.isnan(found.estimate)
            assert np.allclose(found.estimate[known], wanted)
            replicates = found.replicates[:, known]
            # of few sequences, resampled, both ends may be one
            assert np.count_nonzero(np.isnan(replicates)) <= 0.05 * replicates.size
            assert np.allclose(replicates[~np.isnan(replicates)], wanted)


def test_every_denoiser_that_is_trained_has_its_order_parameters(analysis):
    orders = make_orders(analysis)
    names = {name for name, _, _ in orders.orders}
    assert names == {"trained", "pairwise"}  # the NELBO's sizes are none of these
    for t in analysis.config.levels:
        for reading in ("recovery", "all-token recovery", "entropy", "log loss"):
            assert ("trained", reading, t) in orders.orders
    assert set(orders.limits) == names


def test_a_companion_is_held_against_the_ends_of_its_own_seed(analysis):
    """Two seeds in the data, the companion measured on the first: the second plays no part."""
    data = analysis.data
    other = data.copy(deep=True)
    for variable in ("entropy", "log_loss", "own"):
        other[variable] += 0.5
        other[variable].loc[{"denoiser": "pairwise"}] = np.nan
    import xarray as xr

    both = xr.concat([data, other.assign_coords(seed=[1])], "seed")
    config = dataclasses.replace(analysis.config, seeds=2)
    found = analyse(config, both)
    ours = order_of(found, "pairwise", "entropy", SMALL_LEVEL)
    alone = order_of(analysis, "pairwise", "entropy", SMALL_LEVEL)
    assert np.allclose(ours.memory.estimate, alone.memory.estimate, equal_nan=True)
    assert len(curve_of(found, "entropy", "trained", "train", SMALL_LEVEL).per_seed) == 2


def test_without_a_law_the_largest_size_stands_for_it(analysis):
    data = analysis.data.copy(deep=True)
    where = {"denoiser": "population"}
    for name, variable in data.data_vars.items():
        if "denoiser" in variable.dims:
            data[name].loc[where] = np.nan if variable.dtype.kind == "f" else -1
    config = dataclasses.replace(analysis.config, source="text")
    found = dataclasses.replace(analyse(analysis.config, data), config=config)
    assert found.denoisers == [d for d in DENOISERS if d not in ("population", "nelbo")]
    order = order_of(found, "trained", "entropy", SMALL_LEVEL)
    assert order.k_memory.relative
    assert order.memory.estimate[-1] == pytest.approx(0)
