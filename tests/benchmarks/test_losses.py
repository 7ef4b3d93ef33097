"""The three losses at equal training time: which one learns both recovery and `loo` entropy."""

import dataclasses
import time

import numpy as np
import pytest

from models.denoiser import log_full
from models.noise import noise
from models.sampler import ancestral
from models.streams import stream
from models.training.loss import LOSSES
from simulations.data.problem import make_problem
from simulations.measure.counts import law_statistics
from simulations.measure.names import SMALL_LEVEL
from simulations.phase.config import preset

SECONDS_EACH = 25.0
pytestmark = pytest.mark.benchmark


def trained(config, problem, train_size, loss):
    """Train for about SECONDS_EACH: the number of steps follows from the speed of the loss."""
    short = dataclasses.replace(config.training, loss=loss, steps=500)
    probe = dataclasses.replace(config, training=short)
    probe.train(problem, train_size, 0)  # compiles
    begun = time.perf_counter()
    probe.train(problem, train_size, 0)
    per_step = (time.perf_counter() - begun) / 500
    steps = int(SECONDS_EACH / per_step) // 250 * 250
    full = dataclasses.replace(config, training=dataclasses.replace(short, steps=steps))
    return full.train(problem, train_size, 0).model, steps


@pytest.mark.parametrize("train_size", [16, 16384])
def test_losses_at_equal_time(train_size):
    config = preset("small")
    problem = make_problem("markov", 16, 16, max(config.train_sizes), 2048, config.root_seed, 0)
    exact = problem.source.loo_entropy()
    rng = stream(0, "benchmark losses")
    population = problem.source.population_denoiser()
    print(f"\nK = {train_size}; exact loo entropy {exact:.3f} nats")
    print(
        "loss   steps  held-out recovery t=.1 .25 .5   train t=.25   H(1e-5) train held-out  -log"
    )
    rows = [("exact", population, 0)]
    rows += [(name, *trained(config, problem, train_size, name)) for name in LOSSES]
    train = problem.stored[np.arange(2048) % train_size]
    for name, model, steps in rows:
        recovery = []
        for x_0, t in (
            (problem.held_out, 0.1),
            (problem.held_out, 0.25),
            (problem.held_out, 0.5),
            (train, 0.25),
        ):
            x_t = noise(rng, x_0, float(model.schedule.alpha(t)), 16)
            if name == "exact":
                out = population.posterior_draw(rng, x_t, t)
            else:
                out = ancestral(model, rng, x_t, t, config.n_steps)
            recovery.append((out == x_0)[x_t != x_0].mean())
        laws = [
            law_statistics(np.asarray(model.log_loo(x.astype(int), SMALL_LEVEL)), x)
            for x in (train, problem.held_out)
        ]
        print(
            f"{name:6} {steps:5}  {recovery[0]:.3f} {recovery[1]:.3f} {recovery[2]:.3f}"
            f"{'':18}{recovery[3]:.3f}         {laws[0].entropy.mean():.3f} "
            f"{laws[1].entropy.mean():.3f}     {laws[1].log_loss.mean():.3f}"
        )
        assert np.isfinite(np.asarray(log_full(model, train[:4].astype(int), 0.5))).any()
