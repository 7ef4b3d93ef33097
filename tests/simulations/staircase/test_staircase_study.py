"""The study of degrees: its functions and networks by hand, its analysis on theory's own curves."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from am_theory import staircase
from simulations.staircase import theory
from simulations.staircase.analysis import UNKNOWN, Ratio, analyse, log_mean
from simulations.staircase.cells import compute
from simulations.staircase.config import DEGREES, METHODS, StaircaseConfig, fit_sizes, preset
from simulations.staircase.functions import functions, random_functions
from simulations.staircase.report import report
from tests.helpers import assert_close

TINY = replace(preset("smoke"), seeds=3, times=(60.0, 60.0), widths=(32, 64))


@pytest.mark.parametrize(("vocab_size", "degree"), [(2, 1), (2, 3), (3, 2), (4, 1)])
def test_functions_are_orthonormal_and_of_their_degree(vocab_size, degree):
    every = np.array(list(itertools.product(range(vocab_size), repeat=4)))
    basis = functions(every, vocab_size, degree)
    assert basis.shape[1] == staircase.degree_size(degree, 4, vocab_size)
    assert_close(basis.T @ basis / len(every), np.eye(basis.shape[1]), atol=1e-9)
    values = random_functions(np.random.default_rng(1), every, vocab_size, degree, 5)
    assert_close((values**2).mean(0), np.ones(5))
    assert_close(basis @ (basis.T @ values) / len(every), values, atol=1e-9)


def test_gradient_descent_of_the_readout_is_that_of_its_features():
    """A few steps of one batch, by hand with the hidden layer that the gradient shows."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from simulations.staircase.networks import code, make, method_of, outputs, trained

    alpha, rate = 0.7, 0.05
    x = np.random.default_rng(2).integers(3, size=(6, 4)).astype(np.int32)
    target = np.asarray(code(x, 3), float)
    models = [make(seed, 3, 4, 8, 1) for seed in (0, 1)]
    parts = (jnp.asarray(np.stack([x, x])), jnp.asarray(np.stack([target, -target])))

    def read(model, data):
        return outputs(model, data[0], alpha)

    found = trained(
        models, method_of("readout", rate), True, parts, lambda d, key: d, read, 0, [1, 3], alpha
    )
    assert found.shape == (2, 2, 6, 4, 3)
    for model, wanted, sign in zip(models, found, (1, -1), strict=True):

        def logit(readout, model=model):
            return outputs(eqx.tree_at(lambda m: m.readout, model, readout), x, alpha)[:, 0, 0]

        hidden = np.asarray(jax.jacobian(logit)(model.readout))[:, :, 0] / (1 - 1 / 3)
        gram = (hidden @ hidden.T + 1) / len(x)
        output = np.zeros_like(target)
        for step in range(3):
            output += rate * np.einsum("ab,blv->alv", gram, sign * target - output)
            if step in (0, 2):
                assert_close(wanted[step // 2], output, rtol=1e-4, atol=1e-5)


def made(config):
    """Data that follow theory: every ratio of them is 1."""
    data = xr.Dataset(coords={"degree": list(DEGREES), "size": list(config.sizes)})
    curves = [theory.regression_theory(config, np.array(config.sizes), d) for d in DEGREES]
    data["regression_error"] = (
        ("set", "size", "degree"), np.repeat(np.array(curves).T[None], config.sets, 0)
    )  # fmt: skip
    fits = np.zeros((len(config.orders), len(config.lengths), config.sets, len(config.ratios)))
    for o, order in enumerate(config.orders):
        for k, length in enumerate(config.lengths):
            predicted = staircase.transition_size(order, length, 2, config.alpha)
            x = np.log(np.array(fit_sizes(config, order, length)) / predicted)
            fits[o, k] = (1 - config.alpha**2) / 2 + x
    data["orders_error"] = (("order", "length", "set", "ratio"), fits)
    data = data.assign_coords(order=list(config.orders), length=list(config.lengths))
    most = config.readings
    shape = len(METHODS), len(config.widths)
    degrees = np.full((*shape, config.seeds, most, 3), np.nan)
    memory = np.full((*shape, len(config.train_sizes), config.seeds, most, 2), np.nan)
    for (m, method), (w, width) in itertools.product(enumerate(METHODS), enumerate(config.widths)):
        for kind in ("degrees", "memory"):
            rate = config.learning_rate(kind, "all", width)
            steps = config.steps(kind, method, width)
            times = rate * np.array(steps)
            for k, degree in enumerate(DEGREES):
                if kind == "degrees":
                    degrees[m, w, :, : len(steps), k] = theory.degree_theory(
                        config, times, width, degree
                    )
            for k, size in enumerate(config.train_sizes):
                if kind == "memory":
                    memory[m, w, k, :, : len(steps)] = theory.memory_theory(
                        config, times, width, size
                    ).T
    data["degrees_error"] = (("method", "width", "seed", "reading_degrees", "degree"), degrees)
    data["memory_error"] = (
        ("method", "width", "train_size", "seed", "reading_memory", "split"), memory
    )  # fmt: skip
    return data


def test_curves_of_theory_agree_with_theory():
    found = analyse(TINY, made(TINY))
    for line in found.lines:
        if line.ratio.verdict == "no ratio":
            assert line.kind in ("degrees", "beyond") or line.place == (3,), line
            continue
        tolerance = 0.12 if line.kind == "degrees" or line.method == "adam" else 1e-6
        assert line.ratio.value == pytest.approx(1, abs=tolerance), line
        assert line.ratio.verdict == "agrees", line
    assert {line.ratio.verdict for line in found.of("gap", "all")} == {"agrees"}
    assert len(found.lines) == 3 + 4 + 6 * (3 + 2 * 2)
    text = "\n".join(report(found).lines)
    assert "6 of 6 (1.00 to 1.00)" in text.replace("4 of 4", "6 of 6") and not report(found).broken


def test_a_factor_in_time_is_seen():
    data = made(TINY)
    slow = data["memory_error"].values[1, :, :, :, :-3]  # what is at a step was there steps before
    data["memory_error"].values[1, :, :, :, 3:] = slow.copy()
    found = analyse(TINY, data)
    assert all(line.ratio.value > 1.3 for line in found.of("gap", "all"))
    assert {line.ratio.verdict for line in found.of("gap", "all")} == {"deviates"}


def test_times_are_read_as_said():
    steps = np.array([1, 10, 100, 1000])
    errors = np.array([[1.0, 0.7, 0.4, 0.3], [1.0, 0.8, 0.7, 0.7]])
    assert float(theory.gap_step(steps, errors)) == pytest.approx(10**1.5)
    assert float(theory.beyond_step(steps, errors, 0.55)) == pytest.approx(10**1.5)
    level = theory.linear_error(StaircaseConfig(), 256)
    assert level == pytest.approx(0.344, abs=1e-3)  # c / (1 + c kappa) at K / d = 16 / 3
    assert float(theory.first_time(steps, np.array([1.0, 0.7, 0.2, 0.9]))) == pytest.approx(10**1.2)
    assert log_mean([2.0, 0.5, 1.0]).value == pytest.approx(1.0)
    assert log_mean([2.0, math.inf, 1.0]) == UNKNOWN
    verdicts = [Ratio(1, *ends).verdict for ends in ((0.85, 1.2), (0.7, 1.2), (1.3, 2), (0.5, 0.7))]
    assert verdicts == ["agrees", "not decided", "deviates", "deviates"]
    low, high = (math.exp(x) for x in (-2.4841, 2.4841))  # t(2) of .975 times 1 / sqrt(3), s = 1
    assert_close(log_mean([math.e, 1, 1 / math.e]).low, low, rtol=1e-4)
    assert_close(log_mean([math.e, 1, 1 / math.e]).high, high, rtol=1e-4)


def test_a_cell_of_networks_follows_theory_at_first():
    """The readout of unlimited data, degree 1: the first steps fall by the rate of the kernel."""
    config = StaircaseConfig(
        degrees_size=(2, 6), widths=(512,), n_blocks=0, times=(0.02, 1.0), readings=6, rate=0.2
    )
    found = compute(config, {"kind": "degrees", "method": "readout", "width": 512})["error"]
    rate = config.learning_rate("degrees", "readout", 512)
    steps = np.array(config.steps("degrees", "readout", 512))
    wanted = theory.degree_theory(config, rate * steps, 512, 1)
    assert 0.02 < wanted[-1] < 0.9
    assert np.abs(found.values[..., 0].mean(0) - wanted).max() < 0.06
