"""Conditional entropy from noise to text, and the level at which it tells memory best.

    python -m simulations.entropy --preset smoke
    python -m simulations.entropy --check

Trains models from memorizing to generalizing as the main job does, and reads the entropies of
their `loo` and `full` laws along the reverse process and on noisy sequences, next to the two exact
denoisers; predicts and measures at which noise level the entropy of one sequence separates a
memorizer from a generalizer best. Writes data, a report and a figure to
results/entropy/<preset>/ (other sources and networks: <source>-<preset>, dit-<preset>).
Interrupted runs resume.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from simulations.entropy import config
from simulations.entropy.config import SOURCES, EntropyConfig, make_cells
from simulations.study import Study
from simulations.sweep.run import load_cells
from simulations.trained import MODELS, folder_name, over_seeds, over_sizes


def merge(out: Path, config: EntropyConfig) -> xr.Dataset:
    """All cells as one dataset: models over train_size and seed; the population denoiser's
    variables over seed, named population_...; the exact checks."""
    exact = [cell for cell in make_cells(config) if cell.coordinates["kind"] != "model"]
    *seeds, checks = load_cells(out, exact)
    population = over_seeds(seeds, seconds=True).sel(denoiser="population", drop=True)
    kept = population[["trajectory", "channel", "token_counts", "cell_seconds"]]
    renamed = kept.rename({name: f"population_{name}" for name in kept.data_vars})
    parts = [over_sizes(out, config, "model"), renamed, checks.drop_attrs(deep=False)]
    return xr.merge(parts, compat="equals", join="exact")


STUDY = Study.of(
    config,
    title="Conditional entropy from noise to text",
    about=__doc__,
    presets={"smoke": "under a minute", "small": "ten minutes", "paper": "a cluster"},
    choices={"source": SOURCES, "model": MODELS},
    refused={
        "text": "a text has no exact population law to compare with; choose --source markov or iid."
    },
    folder=folder_name,
    merge=merge,
)
