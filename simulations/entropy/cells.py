"""One cell of the entropy command: entropies of trained and exact denoisers, per sequence.

All denoisers of a seed start from the same noise and share the uniform numbers of the reverse
process and of the channel, so that their differences are measured on the same draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from models.streams import stream
from models.tokens import Tokens
from simulations.entropy.checks import checks_cell
from simulations.entropy.config import BIN, CHECKS, SPLITS, STATISTICS, EntropyConfig
from simulations.entropy.readings import bin_counts, pure_noise, read, reverse_run
from simulations.measure.names import LAWS, SMALL_LEVEL
from simulations.results.cells import unfilled
from simulations.trained import Laws

Floats = NDArray[np.float64]


class Network(Laws):
    """A trained network as a denoiser of NumPy arrays."""

    def log_loo(self, x_t: Tokens, t: float) -> Floats:
        """The `loo` law log p(x_0^i | x_t without i), (n, L, V)."""
        return np.asarray(self.laws(x_t, np.full(len(x_t), t))[0], np.float64)


def compute(config: EntropyConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep."""
    if coordinates["kind"] == CHECKS:
        return checks_cell(config)
    if coordinates["kind"] == "population":
        return population_cell(config, coordinates["seed"])
    return model_cell(config, coordinates["train_size"], coordinates["seed"])


def model_cell(config: EntropyConfig, train_size: int, seed: int) -> xr.Dataset:
    """Train on K sequences as the main job does; then the network and the empirical denoiser of
    the same sequences along their own reverse run, and on noisy sequences of all splits.

    Raises models.training.train.TrainingDiverged, naming the step, when training stops being
    finite.
    """
    problem = config.problem(seed, held_out=config.sequences)
    network = Network(config.train(problem, train_size, seed).model, config.sequences)
    store = EmpiricalDenoiser(problem.stored[:train_size], config.vocab_size, network.schedule)
    index = np.arange(config.sequences) % train_size
    splits = {"train": store.patterns[index], "heldout": problem.held_out}
    out = _empty(config, ("trained", "empirical"))
    for name, denoiser in (("trained", network), ("empirical", store)):
        generated = _record(config, seed, out, name, denoiser, splits)
        out["copy_distance"].loc[{"denoiser": name}] = store.nearest(generated, generated)[1]
    out["cluster"].loc[{"split": "train"}] = index
    return out


def population_cell(config: EntropyConfig, seed: int) -> xr.Dataset:
    """The exact denoiser of the source, which knows no training set."""
    problem = config.problem(seed, held_out=config.sequences)
    source: Any = problem.source
    out = _empty(config, ("population",))
    splits = {"heldout": problem.held_out}
    _record(config, seed, out, "population", source.population_denoiser(), splits)
    return out


def _record(
    config: EntropyConfig,
    seed: int,
    out: xr.Dataset,
    name: str,
    denoiser: Any,
    splits: Mapping[str, Tokens],
) -> Tokens:
    """Record a denoiser along its own reverse run, then on sequences (n, L) of the splits and on
    those it generated, noised by the channel to every level; returns the generated ones."""
    rng = stream(config.root_seed, "reverse", seed)
    tokens = pure_noise(config, rng, config.sequences)
    run = reverse_run(denoiser, rng, tokens, config.n_steps)
    for step, (t, tokens, log_loo) in enumerate(run):
        found = read(log_loo, tokens, float(denoiser.schedule.alpha(t)))
        out["trajectory"].loc[{"denoiser": name}][..., step, :] = found.means
    for split, x_0 in {**splits, "generated": tokens}.items():
        place = {"denoiser": name, "split": split}
        for t in config.all_levels:
            rng = stream(config.root_seed, "channel", seed, split, t)
            alpha = float(denoiser.schedule.alpha(t))
            x_t = noise(rng, x_0, alpha, config.vocab_size)
            found = read(denoiser.log_loo(x_t, t), x_t, alpha)
            out["channel"].loc[{**place, "t": t}] = found.means
            if t in out["t_histogram"].values:
                counts = bin_counts(found.token_entropy, config.bins)
                out["token_counts"].loc[{**place, "t_histogram": t}] = counts
    return tokens


def _empty(config: EntropyConfig, denoisers: tuple[str, ...]) -> xr.Dataset:
    """The dataset of a cell, unfilled."""
    level = {"long_name": "noise level", "units": "1"}
    coords: dict[str, Any] = {
        "denoiser": list(denoisers),
        "law": list(LAWS),
        "statistic": list(STATISTICS),
        "split": list(SPLITS),
        "step_level": ("step", np.array(config.step_levels), {"units": "1"}),
        "t": ("t", np.array(config.all_levels), level),
        "t_histogram": ("t_histogram", np.array([SMALL_LEVEL, *config.histogram_levels]), level),
        "bin": ("bin", BIN * np.arange(config.bins), {"long_name": "lower edge", "units": "nats"}),
    }
    count = np.uint8 if config.seq_len < 256 else np.uint32
    words = "mean over tokens; the entropy in nats, the others probabilities"
    means = (np.float32, "nats or 1", words)
    counted = "denoiser law split t_histogram sample bin"
    schema: list[tuple[str, str, Any, str, str]] = [
        ("trajectory", "denoiser law statistic step sample", *means),
        ("channel", "denoiser law statistic split t sample", *means),
        ("token_counts", counted, count, "tokens", "tokens by entropy"),
        ("cluster", "split sample", np.int32, "1", "which distinct sequence was noised"),
        ("copy_distance", "denoiser sample", np.int32, "tokens", "generated to stored"),
    ]
    out = unfilled(schema, coords, sample=config.sequences)
    out["cluster"][:] = np.arange(config.sequences)
    return out
