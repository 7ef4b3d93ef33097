"""Smoothing of hidden Markov models against dynamax and hmmlearn; trees; what compiling costs.

Results are checked equal before anything is timed; peers and ours take turns. Numba runs in two
threads, hmmlearn in one; XLA uses the cores it finds.
"""

from __future__ import annotations

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.denoiser import log_full
from models.noise import noise
from models.sources import HiddenMarkovSource, HierarchySource
from tests.benchmarks.timing import interleaved, seconds, show
from tests.helpers import ROOT
from tests.peers.forms import dynamax_smoother, full_law, hmmlearn_smoother

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # inside dynamax
]
pytest.importorskip("dynamax")
pytest.importorskip("hmmlearn")

N_STATES, VOCAB, SEQ_LEN, BATCH, LEVEL = 32, 32, 128, 256, 0.3


def test_smoothing_against_dynamax_and_hmmlearn():
    """Ours give the `loo` law of every token, (B, L, V); the peers the laws of the states alone."""
    rng = np.random.default_rng(0)
    transition = rng.dirichlet(np.full(N_STATES, 0.3), N_STATES)
    emission = rng.dirichlet(np.full(VOCAB, 0.3), N_STATES)
    source = HiddenMarkovSource(transition, emission, SEQ_LEN)
    denoiser = source.population_denoiser()
    alpha = float(denoiser.schedule.alpha(LEVEL))
    x_t = noise(rng, source.sample(rng, BATCH), alpha, VOCAB)
    device = jnp.asarray(x_t, jnp.int32)
    twin, theirs = denoiser.jax(), dynamax_smoother(source, alpha)
    compiled = jax.jit(lambda x: twin.log_loo(x, LEVEL))
    c_plus_plus = hmmlearn_smoother(source, alpha)
    print()
    for name, call in (("JAX twin", compiled), ("dynamax", theirs)):
        first = seconds(lambda call=call: call(device).block_until_ready())
        print(f"{name}: first call, with compilation, {first:.1f} s")

    expected = np.exp(log_full(denoiser, x_t, LEVEL))
    for states in (theirs(device), c_plus_plus(x_t)):
        found = full_law(np.asarray(states), x_t, source, alpha)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    loo = np.exp(denoiser.log_loo(x_t, LEVEL))
    np.testing.assert_allclose(np.exp(np.asarray(compiled(device))), loo, atol=1e-5)
    name = "numba, float64: loo law of every token"
    times = interleaved(
        {
            name: lambda: denoiser.log_loo(x_t, LEVEL),
            "JAX twin, float32: the same": lambda: compiled(device).block_until_ready(),
            "dynamax, jit and vmap, float32: laws of states": lambda: theirs(
                device
            ).block_until_ready(),
            "hmmlearn, scaling, float64, one thread: laws of states": lambda: c_plus_plus(x_t),
        },
        repeats=7,
    )
    show(f"HMM smoothing, {N_STATES} states, V = {VOCAB}, L = {SEQ_LEN}, B = {BATCH}", times, name)


def test_belief_propagation_is_linear_in_the_length():
    """Random hierarchies v = 32, m = 8, s = 2: the `loo` law of every leaf, numba, float64."""
    rng = np.random.default_rng(1)
    calls = {}
    for depth in (6, 7, 8):
        source = HierarchySource.random(rng, 32, 8, 2, depth)
        denoiser = source.population_denoiser()
        alpha = float(denoiser.schedule.alpha(LEVEL))
        x_t = noise(rng, source.sample(rng, BATCH), alpha, 32)
        calls[f"L = {source.seq_len}"] = lambda d=denoiser, x=x_t: d.log_loo(x, LEVEL)
    times = interleaved(calls, repeats=9)
    show(f"belief propagation, v = 32, m = 8, B = {BATCH}", times, "L = 256")
    print(f"  L = 256 over 4 times L = 64: {times['L = 256'] / times['L = 64'] / 4:.2f}")


COMPILE = """
import numpy as np
from tests.benchmarks.timing import seconds
from models.exact.empirical import EmpiricalDenoiser
from models.exact.hamming import HammingStore
from models.sources import HiddenMarkovSource, HierarchySource

rng = np.random.default_rng(0)
x = rng.integers(8, size=(20, 8)).astype(np.uint8)
store, memory = HammingStore.of(x, 8), EmpiricalDenoiser(x, 8)
hidden = HiddenMarkovSource(np.full((8, 8), 1 / 8), np.full((8, 8), 1 / 8), 8)
chain = hidden.population_denoiser()
tree = HierarchySource.random(rng, 8, 2, 2, 3).population_denoiser()
for name, call in (
    ("Hamming distances", lambda: store.distances(x)),
    ("nearest", lambda: store.nearest(x)),
    ("empirical posterior", lambda: memory.posterior(x, 0.5, rng)),
    ("HMM smoothing", lambda: chain.log_loo(x, 0.5)),
    ("hierarchy", lambda: tree.log_loo(x, 0.5)),
):
    print(f"  {name:24} {seconds(call):6.1f} s, then {1e3 * seconds(call):.1f} ms")
"""


def test_compile_time_of_the_numba_kernels(tmp_path):
    """First calls in a fresh process with an empty cache; later processes load from it."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    for note in ("empty cache", "cache filled"):
        ran = subprocess.run(
            [sys.executable, "-c", COMPILE],
            cwd=ROOT,
            env={**environment, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        print(f"\nnumba, first call of each kernel, {note}\n{ran.stdout}", end="")
