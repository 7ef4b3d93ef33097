"""Curves of `am_theory` alone, as labelled arrays: what the theory figures draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import (
    channel,
    dense,
    empirical,
    hopfield,
    linear,
    potts,
    pseudolikelihood,
)
from simulations.theory.radii import (
    REPAIRED,
    dense_radius,
    exponential_radius,
    hopfield_radius,
    noise_level,
    posterior_draw_radius,
    potts_radius,
    repairing_radius,
)

Floats = NDArray[np.float64]
THRESHOLD = 0.5  # of exact retrieval, for every finite-size radius
VALIDITY = (
    "Hopfield and dense theories hold for many neurons and are drawn where the edge of their basin "
    "exceeds the overlap sqrt(2 ln K / L) of competing patterns;\nHopfield: Amari-Maginu, whose "
    "basins are too large by a factor of about two in overlap."
)


def phase_diagram_curves() -> xr.Dataset:
    """T_M, T_c and T_g of the Hopfield network over the load."""
    loads = np.concatenate([np.geomspace(1e-4, 0.02, 30), np.linspace(0.0215, 0.1379, 70)])
    found = hopfield.phase_diagram(loads)
    units = {"units": "1", "long_name": "temperature"}
    return xr.Dataset(
        {name: ("load", getattr(found, name), units) for name in ("T_M", "T_c", "T_g")},
        {"load": ("load", loads, {"units": "patterns per neuron"})},
        {
            "critical_load": hopfield.critical_load(),
            "ground_state_load": hopfield.ground_state_load(),
        },
    )


def capacity_curves() -> xr.Dataset:
    """log K at capacity over the number of neurons or tokens N, for binary patterns (V = 2) and
    for tokens (V = 32), each family against the Shannon bound; NaN where K would be below 1."""
    size = np.unique(np.round(np.geomspace(8, 4096, 55)))
    kept = 0.5
    polynomial = {
        f"dense, n = {n}": np.log(dense.critical_load(n).distinct) + (n - 1) * np.log(size)
        for n in (3, 4)
    }
    binary = {
        "Hopfield": np.log(hopfield.critical_load() * size),
        "pseudo-inverse": np.log(size),
        "max margin (pseudo-likelihood)": np.log(pseudolikelihood.critical_load() * size),
        **polynomial,
        "exponential, b = 1, clean query": size * empirical.one_step_log_capacity(1.0, 1.0, 2),
        "Shannon bound, alpha = 0.5": size * channel.capacity(kept, 2),
        "Shannon bound, clean query": size * np.log(2),
    }
    vocab = 32
    share = 1 - channel.corruption_rate(kept, vocab)
    half = linear.convergence_size(1, vocab, kept, criterion="corrupted_recovery").train_size
    tokens = {
        "Potts-Hopfield": np.log(potts.critical_load(vocab) * size),
        "linear denoiser, alpha = 0.5, half recovery": np.log(half * size),
        "exponential, b = 1, alpha = 0.5": size
        * empirical.one_step_log_capacity(share, 1.0, vocab),
        "Shannon bound, alpha = 0.5": size * channel.capacity(kept, vocab),
        "Shannon bound, clean query": size * np.log(vocab),
    }
    variables = {
        name: ("size", np.where(values >= 0, values, np.nan), {"units": "nats", "panel": panel})
        for panel, curves in (("V = 2", binary), (f"V = {vocab}", tokens))
        for name, values in ((f"{panel}: {key}", value) for key, value in curves.items())
    }
    return xr.Dataset(variables, {"size": ("size", size, {"units": "neurons or tokens"})})


def _sizes(largest: float) -> Floats:
    """Numbers of patterns up to `largest`, denser where the power-law families end."""
    return np.unique(np.r_[np.geomspace(2, 1e7, 90), np.geomspace(1e7, largest, 40)])


def _shannon(log_loads: Floats, sizes: Floats, length: int, vocab: int) -> dict[str, Floats]:
    return {
        "Shannon bound, L to infinity": noise_level(empirical.critical_alpha(log_loads, vocab)),
        f"Shannon bound, L = {length} (MAP)": empirical.basin_radius(
            sizes, length, vocab, THRESHOLD
        ),
        f"empirical denoiser, L = {length}": posterior_draw_radius(sizes, length, vocab),
    }


def basin_curves() -> xr.Dataset:
    """Basin radius t over ln K / L at L = 256, V = 2 and at L = 64, V = 4.

    Hopfield: Amari-Maginu dynamics, optimistic by a factor of about two in the critical overlap,
    up to the AGS capacity. Dense: the unstable solution of the saddle point. Families without a
    theory of their dynamics: largest t from which one update reaches an overlap of REPAIRED.
    """
    length = 256
    sizes = _sizes(np.exp(0.68 * length))
    log_loads = np.log(sizes) / length
    binary = {
        "Hopfield (Amari-Maginu)": hopfield_radius(sizes, length),
        f"max margin, one step to overlap {REPAIRED}": repairing_radius(
            sizes, length, "max_margin"
        ),
    }
    for n in (3, 4):
        binary[f"dense, n = {n}"] = dense_radius(sizes, length, n)
    binary["exponential, b = 1, one step"] = exponential_radius(log_loads, 2, 1.0)
    binary |= _shannon(log_loads, sizes, length, 2)

    length_4, vocab = 64, 4
    sizes_4 = _sizes(np.exp(1.36 * length_4))
    log_loads_4 = np.log(sizes_4) / length_4

    tokens = {
        f"Potts-Hopfield, one step to overlap {REPAIRED}": potts_radius(sizes_4, length_4, vocab),
        "exponential, b = 1, one step": exponential_radius(log_loads_4, vocab, 1.0),
        **_shannon(log_loads_4, sizes_4, length_4, vocab),
    }
    variables = {}
    for panel, axis, curves in (
        (f"V = 2, L = {length}", "log_load", binary),
        (f"V = {vocab}, L = {length_4}", "log_load_tokens", tokens),
    ):
        for name, values in curves.items():
            variables[f"{panel}: {name}"] = (axis, values, {"units": "noise level", "panel": panel})
    units = {"units": "nats per token"}
    return xr.Dataset(
        variables,
        {
            "log_load": ("log_load", log_loads, units),
            "log_load_tokens": ("log_load_tokens", log_loads_4, units),
        },
        {"threshold": THRESHOLD, "overlap_after_one_step": REPAIRED, "validity": VALIDITY},
    )


def linear_curves() -> xr.Dataset:
    """Train and held-out recovery and error of the linear denoiser over K, with every K*."""
    length, vocab, kept = 64, 4, 0.5
    sizes = np.geomspace(10, 20_000, 160)
    data: dict[str, Any] = {}
    for tokens in ("all", "corrupted"):
        for split in ("train", "test"):
            data[f"{tokens} {split}"] = (
                "train_size",
                linear.token_recovery(sizes, length, vocab, kept, tokens=tokens, split=split),
                {"units": "1", "long_name": "token recovery"},
            )
    found = linear.errors(sizes, length, vocab, kept)
    for split in ("train", "heldout"):
        data[f"error {split}"] = (
            "train_size",
            getattr(found, split),
            {"units": "1", "long_name": "squared error per effective dimension"},
        )
    stops = {
        f"K* {criterion}": linear.convergence_size(
            length, vocab, kept, criterion=criterion
        ).train_size
        for criterion in ("corrupted_recovery", "recovery_gap", "error_gap")
    }
    constants = {"seq_len": length, "vocab_size": vocab, "alpha": kept}
    axis = ("train_size", sizes, {"units": "sequences"})
    return xr.Dataset(data, {"train_size": axis}, {**constants, **stops})


CURVES = {
    "phase-diagram": phase_diagram_curves,
    "capacity": capacity_curves,
    "basins": basin_curves,
    "linear": linear_curves,
}
