"""One cell of the entropy command: entropies of trained and exact denoisers, per sequence.

All denoisers of a seed start from the same noise and share the uniform numbers of the reverse
process and of the channel, so that their differences are measured on the same draws.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.exact.empirical import EmpiricalDenoiser
from models.sampler import noise
from models.streams import stream
from models.tokens import Tokens
from simulations.data.problem import make_source
from simulations.entropy.config import BIN, SPLITS, STATISTICS, EntropyConfig, main_config
from simulations.entropy.readings import bin_counts, pure_noise, read, reverse_run
from simulations.phase.cells import Laws, train_model
from simulations.phase.config import LAWS, SMALL_LEVEL, problem_of

Floats = NDArray[np.float64]


class Network(Laws):
    """A trained network as a denoiser of NumPy arrays."""

    @property
    def vocab_size(self) -> int:
        return int(self.model.vocab_size)

    def log_loo(self, x_t: Tokens, t: float) -> Floats:
        """The `loo` law log p(x_0^i | x_t without i), (n, L, V)."""
        return np.asarray(self.laws(x_t, np.full(len(x_t), t))[0], np.float64)


def model_cell(config: EntropyConfig, train_size: int, seed: int) -> xr.Dataset:
    """Train on K sequences as the main job does; then the network and the empirical denoiser of
    the same sequences along their own reverse run, and on noisy sequences of all splits.

    Raises models.training.train.TrainingDiverged, naming the step, when training stops being
    finite.
    """
    main = main_config(config)
    problem = problem_of(main, seed, None)
    network = Network(train_model(main, problem, train_size, seed).model, config.sequences)
    store = EmpiricalDenoiser(problem.stored[:train_size], config.vocab_size, network.schedule)
    index = np.arange(config.sequences) % train_size
    out = _empty(config, ("trained", "empirical"))
    for name, denoiser in (("trained", network), ("empirical", store)):
        generated = _follow(config, seed, out, name, denoiser)
        splits = {"train": store.patterns[index], "heldout": problem.held_out}
        for split, x_0 in {**splits, "generated": generated}.items():
            _through_channel(config, seed, out, name, denoiser, split, x_0)
        out["copy_distance"].loc[{"denoiser": name}] = store.nearest(generated, generated)[1]
    out["cluster"].loc[{"split": "train"}] = index
    return out


def population_cell(config: EntropyConfig, seed: int) -> xr.Dataset:
    """The exact denoiser of the source, which knows no training set."""
    source = make_source(config.source, config.vocab_size, config.seq_len)
    denoiser = source.population_denoiser()
    out = _empty(config, ("population",))
    generated = _follow(config, seed, out, "population", denoiser)
    held_out = problem_of(main_config(config), seed, None).held_out
    for split, x_0 in {"heldout": held_out, "generated": generated}.items():
        _through_channel(config, seed, out, "population", denoiser, split, x_0)
    return out


def _follow(config: EntropyConfig, seed: int, out: xr.Dataset, name: str, denoiser: Any) -> Tokens:
    """Record a denoiser along its own reverse run; returns the generated sequences (n, L)."""
    rng = stream(config.root_seed, "reverse", seed)
    start = pure_noise(config, rng, config.sequences)
    tokens = start
    for step, (t, x_t, log_loo) in enumerate(reverse_run(denoiser, rng, start, config.n_steps)):
        found = read(log_loo, x_t, float(denoiser.schedule.alpha(t)))
        out["trajectory"].loc[{"denoiser": name}][..., step, :] = found.means
        tokens = x_t
    return tokens


def _through_channel(
    config: EntropyConfig,
    seed: int,
    out: xr.Dataset,
    name: str,
    denoiser: Any,
    split: str,
    x_0: Tokens,
) -> None:
    """Record a denoiser on sequences (n, L) that the channel has noised to every level."""
    for t in config.all_levels:
        rng = stream(config.root_seed, "channel", seed, split, t)
        alpha = float(denoiser.schedule.alpha(t))
        x_t = noise(rng, x_0, alpha, config.vocab_size)
        found = read(denoiser.log_loo(x_t, t), x_t, alpha)
        place = {"denoiser": name, "split": split}
        out["channel"].loc[{**place, "t": t}] = found.means
        if t in out["t_histogram"].values:
            counts = bin_counts(found.token_entropy, config.bins)
            out["token_counts"].loc[{**place, "t_histogram": t}] = counts


def _empty(config: EntropyConfig, denoisers: tuple[str, ...]) -> xr.Dataset:
    """The dataset of a cell, unfilled: NaN in reals, 0 in counts, -1 in other integers."""
    n = config.sequences
    coords: dict[str, Any] = {
        "denoiser": list(denoisers),
        "law": list(LAWS),
        "statistic": list(STATISTICS),
        "split": list(SPLITS),
        "step_level": ("step", np.array(config.step_levels), {"units": "1"}),
        "t": ("t", np.array(config.all_levels), {"long_name": "noise level", "units": "1"}),
        "t_histogram": (
            "t_histogram",
            np.array([SMALL_LEVEL, *config.histogram_levels]),
            {"long_name": "noise level", "units": "1"},
        ),
        "bin": ("bin", BIN * np.arange(config.bins), {"long_name": "lower edge", "units": "nats"}),
    }
    sizes = {
        "step": config.n_steps + 1,
        "sample": n,
        **{name: len(v[1] if isinstance(v, tuple) else v) for name, v in coords.items()},
    }
    law = ("denoiser", "law")
    mean = "mean over tokens; the entropy in nats, the others probabilities"
    count = np.uint8 if config.seq_len < 256 else np.uint32
    schema: list[tuple[str, tuple[str, ...], Any, Any, str, str]] = [
        (
            "trajectory",
            (*law, "statistic", "step", "sample"),
            np.float32,
            np.nan,
            "nats or 1",
            mean,
        ),
        (
            "channel",
            (*law, "statistic", "split", "t", "sample"),
            np.float32,
            np.nan,
            "nats or 1",
            mean,
        ),
        (
            "token_counts",
            (*law, "split", "t_histogram", "sample", "bin"),
            count,
            0,
            "tokens",
            "tokens by entropy",
        ),
        ("cluster", ("split", "sample"), np.int32, -1, "1", "which distinct sequence was noised"),
        ("copy_distance", ("denoiser", "sample"), np.int32, -1, "tokens", "generated to stored"),
    ]
    variables = {
        name: (dims, np.full([sizes[d] for d in dims], fill, dtype), {"units": u, "long_name": w})
        for name, dims, dtype, fill, u, w in schema
    }
    out = xr.Dataset(variables, coords)
    out["cluster"][:] = np.arange(n)
    return out
