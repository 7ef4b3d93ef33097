"""Curves of `am_theory` alone, as labelled arrays: what the theory figures draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory import channel, dense, empirical, hopfield, linear, potts, pseudolikelihood
from simulations.theory.radii import (
    ONE_STEP,
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


def _panel(panel: str, axis: str, units: str, curves: dict[str, Floats]) -> dict[str, Any]:
    """Variables of the curves of a panel."""
    attributes = {"units": units, "panel": panel}
    return {f"{panel}: {name}": (axis, values, attributes) for name, values in curves.items()}


def capacity_curves() -> xr.Dataset:
    """log K at capacity over the number of neurons or tokens N, for binary patterns (V = 2) and
    for tokens (V = 32), each family against the Shannon bound; NaN where K would be below 1."""
    size = np.unique(np.round(np.geomspace(8, 4096, 55)))
    kept, vocab = 0.5, 32
    binary = {
        "Hopfield": np.log(hopfield.critical_load() * size),
        "pseudo-inverse": np.log(size),
        "max margin (pseudo-likelihood)": np.log(pseudolikelihood.critical_load() * size),
        **{
            f"dense, n = {n}": np.log(dense.critical_load(n).distinct) + (n - 1) * np.log(size)
            for n in (3, 4)
        },
        "exponential, b = 1, clean query": size * empirical.one_step_log_capacity(1.0, 1.0, 2),
        "Shannon bound, alpha = 0.5": size * channel.capacity(kept, 2),
        "Shannon bound, clean query": size * np.log(2),
    }
    share = 1 - channel.corruption_rate(kept, vocab)
    half = linear.convergence_size(1, vocab, kept, criterion="corrupted_recovery").train_size
    exponential = empirical.one_step_log_capacity(share, 1.0, vocab)
    tokens = {
        "Potts-Hopfield": np.log(potts.critical_load(vocab) * size),
        "linear denoiser, alpha = 0.5, half recovery": np.log(half * size),
        "exponential, b = 1, alpha = 0.5": size * exponential,
        "Shannon bound, alpha = 0.5": size * channel.capacity(kept, vocab),
        "Shannon bound, clean query": size * np.log(vocab),
    }
    variables = _panel("V = 2", "size", "nats", binary)
    variables |= _panel(f"V = {vocab}", "size", "nats", tokens)
    data = xr.Dataset(variables, {"size": ("size", size, {"units": "neurons or tokens"})})
    return data.where(data >= 0)


def _sizes(length: int, most: float) -> tuple[Floats, Floats]:
    """Numbers of patterns up to a load `most` in nats per token, denser where the power-law
    families end, and their loads."""
    sizes = np.unique(np.r_[np.geomspace(2, 1e7, 90), np.geomspace(1e7, np.exp(most * length), 40)])
    return sizes, np.log(sizes) / length


def _any_alphabet(loads: Floats, sizes: Floats, length: int, vocab: int) -> dict[str, Floats]:
    bound = empirical.basin_radius(sizes, length, vocab, THRESHOLD)
    return {
        "exponential, b = 1, one step": exponential_radius(loads, vocab, 1.0),
        "Shannon bound, L to infinity": noise_level(empirical.critical_alpha(loads, vocab)),
        f"Shannon bound, L = {length} (MAP)": bound,
        f"empirical denoiser, L = {length}": posterior_draw_radius(sizes, length, vocab),
    }


def basin_curves() -> xr.Dataset:
    """Basin radius t over ln K / L at L = 256, V = 2 and at L = 64, V = 4.

    Hopfield: Amari-Maginu dynamics, optimistic by a factor of about two in the critical overlap,
    up to the AGS capacity. Dense: the unstable solution of the saddle point. Families without a
    theory of their dynamics: largest t from which one update reaches an overlap of REPAIRED.
    """
    length, vocab = 256, 2
    sizes, loads = _sizes(length, 0.68)
    binary = {
        "Hopfield (Amari-Maginu)": hopfield_radius(sizes, length),
        f"max margin, {ONE_STEP}": repairing_radius(sizes, length, "max_margin"),
        **{f"dense, n = {n}": dense_radius(sizes, length, n) for n in (3, 4)},
        **_any_alphabet(loads, sizes, length, vocab),
    }
    variables = _panel(f"V = {vocab}, L = {length}", "log_load", "noise level", binary)
    length, vocab = 64, 4
    sizes, token_loads = _sizes(length, 1.36)
    tokens = {
        f"Potts-Hopfield, {ONE_STEP}": potts_radius(sizes, length, vocab),
        **_any_alphabet(token_loads, sizes, length, vocab),
    }
    variables |= _panel(f"V = {vocab}, L = {length}", "log_load_tokens", "noise level", tokens)
    axes = {
        name: (name, values, {"units": "nats per token"})
        for name, values in (("log_load", loads), ("log_load_tokens", token_loads))
    }
    attributes = {"threshold": THRESHOLD, "overlap_after_one_step": REPAIRED, "validity": VALIDITY}
    return xr.Dataset(variables, axes, attributes)


def linear_curves() -> xr.Dataset:
    """Train and held-out recovery and error of the linear denoiser over K, with every K*."""
    size: dict[str, Any] = {"seq_len": 64, "vocab_size": 4, "alpha": 0.5}
    place, axis, sizes = tuple(size.values()), "train_size", np.geomspace(10, 20_000, 160)
    errors = linear.errors(sizes, *place)
    data: dict[str, Any] = {}
    for tokens in ("all", "corrupted"):
        for split in ("train", "test"):
            found = linear.token_recovery(sizes, *place, tokens=tokens, split=split)
            attributes = {"units": "1", "long_name": "token recovery"}
            data[f"{tokens} {split}"] = (axis, found, attributes)
    for split in ("train", "heldout"):
        attributes = {"units": "1", "long_name": "squared error per effective dimension"}
        data[f"error {split}"] = (axis, getattr(errors, split), attributes)
    stops = {
        f"K* {criterion}": linear.convergence_size(*place, criterion=criterion).train_size
        for criterion in ("corrupted_recovery", "recovery_gap", "error_gap")
    }
    return xr.Dataset(data, {axis: (axis, sizes, {"units": "sequences"})}, {**size, **stops})


CURVES = {
    "phase-diagram": phase_diagram_curves,
    "capacity": capacity_curves,
    "basins": basin_curves,
    "linear": linear_curves,
}
