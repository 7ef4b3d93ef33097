"""Networks as studies train them: one record of settings, one way to train, laws in blocks."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory.channel import Channel
from models.streams import stream
from models.tokens import Tokens
from models.training.config import TrainConfig
from simulations.console.settings import Settings, at_least, increasing_counts
from simulations.data.corpora import TextFile
from simulations.data.problem import Problem, SourceName, make_problem
from simulations.results.cells import Cell
from simulations.sweep.checkpoint import train_in_cell
from simulations.sweep.run import load_cells

Floats = NDArray[np.float64]
ModelName = Literal["mlp", "dit"]

MODELS = ("mlp", "dit")
WEIGHT_DECAY = 0.02  # keeps the tails of a small network's law from sinking too low


@dataclass(frozen=True)
class Network:
    """Kind and size of a network.

    model : mlp, or dit (the paper's transformer). n_heads : of the transformer alone. noise : the
    channel that it undoes, None for the uniform one.
    """

    vocab_size: int
    seq_len: int
    width: int
    n_blocks: int = 1
    n_heads: int = 4
    model: ModelName = "mlp"
    noise: Channel | None = None

    def make(self, key: Any) -> Any:
        """The network, untrained, from a JAX key."""
        if self.model == "dit":
            from models.networks.dit import DiT, Shape

            shape = Shape(self.width, self.n_blocks, self.n_heads, self.width)
            return DiT(key, self.vocab_size, shape, self.seq_len, channel=self.noise)
        from models.networks.mlp import MLPDenoiser

        sizes = (self.vocab_size, self.seq_len, self.width, self.n_blocks)
        return MLPDenoiser(key, *sizes, channel=self.noise)

    @property
    def n_parameters(self) -> int:
        """Weights that are trained."""
        if self.model == "dit":
            from models.networks import dit

            shape = dit.Shape(self.width, self.n_blocks, self.n_heads, self.width)
            tensors = dit.tensor_shapes(self.vocab_size, shape, 0, dit.n_masks(self.noise))
        else:
            from models.networks import mlp

            tensors = mlp.tensor_shapes(self.vocab_size, self.seq_len, self.width, self.n_blocks)
        return sum(math.prod(shape) for shape in tensors.values())

    @property
    def work(self) -> float:
        """Rough multiply-adds of one sequence, for the time that a cell will take; a transformer
        runs at half of the rate, so that its count is doubled."""
        if self.model == "dit":
            tokens = 2 * self.seq_len
            per_token = 12 * self.n_blocks * self.width + self.vocab_size
            return float(tokens * self.width * per_token)
        inputs = self.vocab_size * self.seq_len
        return float(inputs * (2 * self.width + inputs) + self.n_blocks * self.width**2)


def train_network(
    rng: np.random.Generator,
    network: Network,
    stored: Any,
    train_size: int,
    training: TrainConfig,
    name: str = "model",
) -> Any:
    """Train a network on the first `train_size` rows of `stored` (K_max, L).

    One integer of `rng` seeds weights and noise. Inside a cell the training goes on from the state
    that the cell kept under `name`. Returns `models.training.train.Trained` (EMA weights, losses).

    Raises models.training.train.TrainingDiverged.
    """
    import jax

    k_model, k_train = jax.random.split(jax.random.key(int(rng.integers(2**31))))
    return train_in_cell(name, k_train, network.make(k_model), stored, train_size, training)


@dataclass(frozen=True)
class NetworkSettings(Settings):
    """Data, networks and training of a study that trains networks on K sequences of a source.

    Studies whose settings here are equal train the same networks.

    Args:
        source: where sequences come from: markov (default), iid or, in the main job, text.
        vocab_size: V, number of tokens.
        seq_len: L, tokens in a sequence.
        train_sizes: K, the training-set sizes, increasing.
        seeds: number of independent data sets and initializations.
        root_seed: every random number follows from it and from the names of the coordinates.
        model: the network that is trained: mlp, or dit (the paper's transformer).
        width: hidden width of the network.
        n_blocks: residual blocks, or blocks of attention and MLP.
        n_heads: attention heads of the transformer.
        replicates: bootstrap replicates.
        training: how the network is trained.
    """

    source: SourceName = "markov"
    vocab_size: int = 16
    seq_len: int = 16
    train_sizes: tuple[int, ...] = (16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
    seeds: int = 5
    root_seed: int = 2604
    model: ModelName = "mlp"
    width: int = 256
    n_blocks: int = 1
    n_heads: int = 4
    replicates: int = 1000
    training: TrainConfig = field(default_factory=lambda: TrainConfig(weight_decay=WEIGHT_DECAY))

    @property
    def network(self) -> Network:
        """The kind and size of the network."""
        return Network(
            self.vocab_size, self.seq_len, self.width, self.n_blocks, self.n_heads, self.model
        )

    def problems(self) -> Iterator[str]:
        yield from at_least(
            self, seeds=1, seq_len=1, vocab_size=2, width=1, n_heads=1, replicates=100
        )
        if self.vocab_size > 65536:
            yield f"`vocab_size` must be at most 65536; got {self.vocab_size}."
        yield from increasing_counts(self, "train_sizes")
        if self.model == "dit" and self.width % (2 * self.n_heads):
            yield (
                f"`width` must be a multiple of 2 `n_heads` = {2 * self.n_heads} for model dit; "
                f"got {self.width}."
            )

    def problem(self, seed: int, held_out: int, text: TextFile | None = None) -> Problem:
        """The data of one seed, with `held_out` sequences beside the stored ones.

        Raises CorpusError where a text cannot serve.
        """
        return make_problem(
            self.source,
            self.vocab_size,
            self.seq_len,
            max(self.train_sizes),
            held_out,
            self.root_seed,
            seed,
            text,
        )

    def train(self, problem: Problem, train_size: int, seed: int) -> Any:
        """The network of one (K, seed), trained: `models.training.train.Trained`."""
        import jax.numpy as jnp

        rng = stream(self.root_seed, "training", train_size, seed)
        stored = jnp.asarray(problem.stored)
        return train_network(rng, self.network, stored, train_size, self.training)


def network_preset(name: str, source: SourceName, model: ModelName) -> dict[str, Any]:
    """Data sizes, networks and training of a preset, as `NetworkSettings` takes them.

    smoke (seconds), small (minutes) or paper (a day). With the transformer a model costs several
    times as much, so `small` has fewer K.
    """
    text, decay = source == "text", WEIGHT_DECAY
    mlp: dict[str, dict[str, Any]] = {
        "small": {"vocab_size": 32 if text else 16},
        "smoke": {
            "vocab_size": 16 if text else 8,
            "seq_len": 8,
            "train_sizes": (8, 128, 2048),
            "width": 64,
            "training": TrainConfig(steps=500, batch=64, warmup=50, weight_decay=decay),
        },
        "paper": {
            "vocab_size": 64 if text else 32,
            "seq_len": 32,
            "train_sizes": tuple(2**k for k in range(4, 14 if text else 18)),
            "width": 1024,
            "n_blocks": 2,
            "training": TrainConfig(40_000, 256, 1e-3, warmup=1000, weight_decay=decay),
        },
    }
    dit: dict[str, dict[str, Any]] = {
        "small": {
            "width": 64,
            "n_blocks": 2,
            "train_sizes": (16, 64, 256, 1024, 4096, 16384),
            "training": TrainConfig(steps=6000, learning_rate=3e-3),
        },
        "smoke": {"width": 32, "n_blocks": 1},
        "paper": {"width": 256, "n_blocks": 8, "n_heads": 8},
    }
    shape = {**mlp[name], **(dit[name] if model == "dit" else {})}
    return {"source": source, "model": model, **shape}


@functools.cache
def _compiled_laws() -> Any:
    """(model, x_t, t) -> (log_loo, log_full), one function for all cells that a worker computes:
    it compiles once."""
    import equinox as eqx

    from models.denoiser import log_full

    return eqx.filter_jit(lambda model, x_t, t: (model.log_loo(x_t, t), log_full(model, x_t, t)))


class Laws:
    """The trained model, its laws computed in blocks of one size: one shape to compile."""

    def __init__(self, model: Any, block: int) -> None:
        self.model = model
        self.schedule = model.schedule
        self.block = block

    def laws(self, x_t: Tokens, t: Floats) -> tuple[Any, Any]:
        """log_loo and log_full, (n, L, V), of inputs (n, L) at levels (n,)."""
        import jax.numpy as jnp

        missing = -len(x_t) % self.block
        tokens = jnp.asarray(np.pad(x_t, ((0, missing), (0, 0))), jnp.int32)
        levels = jnp.asarray(np.pad(t, (0, missing), constant_values=1.0), jnp.float32)
        blocks = [
            _compiled_laws()(self.model, tokens[rows], levels[rows])
            for rows in np.split(np.arange(len(tokens)), len(tokens) // self.block)
        ]
        log_loo, log_full = (
            np.concatenate([np.asarray(law) for law in laws])[: len(x_t)]
            for laws in zip(*blocks, strict=True)
        )
        return log_loo, log_full


def cells_over(config: NetworkSettings, kind: str, gpu: bool = False) -> list[Cell]:
    """One cell per training-set size and seed, K outermost."""
    digits = len(str(max(config.train_sizes)))
    return [
        Cell(f"K{k:0{digits}d}-seed{s}", {"kind": kind, "train_size": k, "seed": s}, gpu)
        for k in config.train_sizes
        for s in range(config.seeds)
    ]


def over_seeds(cells: Sequence[xr.Dataset], seconds: bool = False) -> xr.Dataset:
    """Cells of one kind, a seed each, along the dimension seed; with `seconds` their times too."""
    row = xr.concat(
        [cell.drop_attrs(deep=False) for cell in cells], xr.Variable("seed", range(len(cells)))
    )
    if seconds:
        times = [cell.attrs["wall_time_s"] for cell in cells]
        row = row.assign(cell_seconds=("seed", times, {"units": "s"}))
    return row


def over_sizes(out: Path, config: NetworkSettings, kind: str, seconds: bool = True) -> xr.Dataset:
    """The cells of `cells_over` as one dataset, dimensions train_size and seed in front."""
    cells = cells_over(config, kind)
    rows = [
        load_cells(out, [cell for cell in cells if cell.coordinates["train_size"] == size])
        for size in config.train_sizes
    ]
    sizes = xr.Variable("train_size", list(config.train_sizes), {"units": "sequences"})
    return xr.concat([over_seeds(row, seconds) for row in rows], sizes)


def folder_name(config: NetworkSettings, preset: str) -> str:
    """Name of a results folder: the preset's, behind the source and the model if not default."""
    words = [config.source] * (config.source != "markov") + [config.model] * (config.model != "mlp")
    return "-".join([*words, preset])
