"""Processor seconds of the theory's calls: the limits that users of `am_theory` are promised."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from am_theory import empirical, hopfield, linear, neurodynamics, potts, pseudolikelihood
from tests.benchmarks.timing import interleaved

pytestmark = pytest.mark.benchmark


def test_calls_stay_within_their_limits():
    sizes, kept = np.geomspace(2, 1e9, 100)[:, None], np.linspace(0.01, 0.99, 100)
    loads = np.linspace(1e-3, 0.137, 100)
    rows = [
        ("T_M, T_c, T_g at 100 loads", lambda: hopfield.phase_diagram(loads), 5.0),
        (
            "retrieval_probability, 100 x 100 (K, alpha), L = 64",
            lambda: empirical.retrieval_probability(sizes, 64, 4, kept),
            2.0,
        ),
        ("basin_radius, L = 256", lambda: empirical.basin_radius(1e6, 256, 8), 0.05),
        ("true_weight, L = 256", lambda: empirical.true_weight(1e6, 256, 8, 0.4), 0.05),
        ("true_weight, L = 4096", lambda: empirical.true_weight(1e6, 4096, 8, 0.1), 2.0),
        (
            "shannon_radius, L = 256",
            lambda: empirical.shannon_radius(1e6, 256, 8),
            0.15,
        ),
        ("hopfield.saddle_point", lambda: hopfield.saddle_point(0.05, 0.5), 0.05),
        (
            "hopfield.thermodynamic_temperature",
            lambda: hopfield.thermodynamic_temperature(0.03),
            0.05,
        ),
        ("neurodynamics.critical_overlap", lambda: neurodynamics.critical_overlap(0.1), 0.05),
        ("potts.saddle_point, q = 32", lambda: potts.saddle_point(30.0, 32), 0.05),
        ("pseudolikelihood.replica", lambda: pseudolikelihood.replica(1.0, 0.1), 0.05),
        ("linear.convergence_size", lambda: linear.convergence_size(64, 4, 0.5), 0.05),
    ]
    print()
    for name, call, limit in rows:
        found = interleaved({name: call}, clock=time.process_time)[name]
        print(f"{name:55} {1e3 * found:8.2f} ms   limit {1e3 * limit:.0f} ms")
        assert found < limit, name
    code = "import time; t = time.perf_counter(); import am_theory; print(time.perf_counter() - t)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    print(f"{'import am_theory':55} {1e3 * float(loaded.stdout):8.2f} ms   limit 500 ms")
    assert float(loaded.stdout) < 0.5
