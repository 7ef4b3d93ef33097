"""Cells of the fault tests: short, and each one noted in a file when its computation begins.

The file is named by FAULTS_LOG in the environment and lies outside of the results.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from simulations.results.cells import Cell

CONFIG_HASH = "fa01fa01fa01fa01"
TRAIN_STEPS = 6000


def cells(count: int, seconds: float) -> list[Cell]:
    """`count` cells of `seconds` each."""
    return [Cell(f"c{i:04d}", {"number": i, "seconds": seconds}) for i in range(count)]


def note(name: str) -> None:
    """Add a line at one stroke: which cell, the process that begins it, and that one's group."""
    log = os.open(os.environ["FAULTS_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(log, f"{name} {os.getpid()} {os.getpgrp()}\n".encode())
    finally:
        os.close(log)


def numbers(coordinates: dict[str, Any]) -> xr.Dataset:
    """What a cell measures: numbers that depend on its coordinates alone."""
    rng = np.random.default_rng([coordinates["number"], 7])
    return xr.Dataset(
        {
            "count": (("cell", "sample"), rng.integers(0, 17, (1, 40)).astype("u1")),
            "entropy": (("cell", "t"), rng.normal(size=(1, 3)), {"units": "nats"}),
        },
        coords={"cell": [coordinates["number"]], "t": [0.1, 0.25, 0.5]},
    )


def plain(coordinates: dict[str, Any]) -> xr.Dataset:
    """A cell of so many seconds."""
    note(f"c{coordinates['number']:04d}")
    time.sleep(coordinates["seconds"])
    return numbers(coordinates)


def greedy(coordinates: dict[str, Any]) -> xr.Dataset:
    """Cell 7 asks for more memory than its process may have."""
    import resource

    if coordinates["number"] == 7:
        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (2**33, before[1]))
        try:
            note("c0007")
            np.ones(2**34, "u1")
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
    return plain(coordinates)


def deadly(coordinates: dict[str, Any]) -> xr.Dataset:
    """Cell 7 ends its process as the kernel does when memory runs out."""
    if coordinates["number"] == 7:
        note("c0007")
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(coordinates)


def training(coordinates: dict[str, Any]) -> xr.Dataset:
    """A small network trained for some seconds, its state kept five times a second."""
    note(f"c{coordinates['number']:04d}")
    import jax

    from models.networks.mlp import MLPDenoiser
    from models.training import train
    from models.training.config import TrainConfig
    from simulations.sweep import checkpoint

    checkpoint.MINUTES = 0.2 / 60
    train.load_state = _noting_the_step(train.load_state)  # type: ignore[attr-defined]
    stored = np.random.default_rng(coordinates["number"]).integers(3, size=(20, 4)).astype("u1")
    key = jax.random.key(coordinates["number"])
    settings = TrainConfig(steps=TRAIN_STEPS, batch=64, warmup=20)
    model = MLPDenoiser(key, 3, 4, width=128, n_blocks=2)
    trained = checkpoint.train_in_cell("model", key, model, stored, 20, settings)
    weights = [
        np.asarray(leaf).ravel() for leaf in jax.tree.leaves(trained.raw) if hasattr(leaf, "shape")
    ]
    return xr.Dataset({"weights": ("weight", np.concatenate(weights))})


def _noting_the_step(load_state: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the step that training goes on from to a file beside the log."""

    def load(*args: Any) -> Any:
        found = load_state(*args)
        with open(os.environ["FAULTS_LOG"] + ".steps", "a") as file:
            file.write(f"{0 if found is None else found.step}\n")
        return found

    return load


COMPUTATIONS = {f.__name__: f for f in (plain, greedy, deadly, training)}
