"""One model of the probe's calibration: its source, its training, and what the probe measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.sources import HiddenMarkovSource, HierarchySource, IidSource, MarkovSource
from models.sources.permutations import permutation_chain
from models.streams import stream
from models.training.config import TrainConfig
from simulations.probe.calibration.config import SOURCES, CalibrationConfig
from simulations.probe.config import ProbeConfig
from simulations.probe.judge.features import DECODER
from simulations.probe.measure.measures import measure
from simulations.trained import WEIGHT_DECAY, Network, train_network

KEPT = ("tokens", "entropy", "log_loss", "corrupted", "recovered", "repeats")


def make_source(name: str, rng: np.random.Generator) -> Any:
    """A source with `vocab_size`, `seq_len` and `sample`, drawn anew.

    markov, wide : a mixture of two random permutations (V = 8, L = 16; V = 16, L = 12).
    hmm : six hidden states, transitions and emissions from a Dirichlet law.
    iid : independent tokens with unequal frequencies.
    hierarchy : a random hierarchy of four levels, two rules a symbol.
    orderly : a chain that follows one permutation but for one token in fifty.
    """
    vocab_size, seq_len = SOURCES[name]
    if name == "hmm":
        return HiddenMarkovSource(
            rng.dirichlet(np.full(6, 0.15), size=6) * 0.98 + 0.02 / 6,
            rng.dirichlet(np.full(vocab_size, 0.1), size=6) * 0.98 + 0.02 / vocab_size,
            seq_len,
        )
    if name == "iid":
        weights = 1 / np.arange(1, vocab_size + 1)
        return IidSource(vocab_size, seq_len, rng.permutation(weights / weights.sum()))
    if name == "hierarchy":
        return HierarchySource.random(rng, vocab_size, 2, 2, 4)
    return MarkovSource(_chain(name, vocab_size, rng), seq_len)


def _chain(name: str, vocab_size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    order = rng.permutation(vocab_size)
    if name == "orderly":
        table = np.full((vocab_size, vocab_size), 0.02 / vocab_size)
        table[order, np.roll(order, -1)] += 0.98
        return table
    table = permutation_chain(vocab_size)
    return table[np.ix_(order, rng.permutation(vocab_size))]


def compute(config: CalibrationConfig, cell: dict[str, Any]) -> xr.Dataset:
    """What the probe measures of one model, trained on the first K sequences of its source (EMA
    weights), as far as the verdict reads it."""
    words = list(map(str, cell.values()))
    rng, size = stream(config.root_seed, "data", *words), cell["train_size"]
    source = make_source(cell["source"], rng)
    stored = source.sample(rng, max(config.train_sizes))  # of one shape: compiles once
    held_out = source.sample(rng, config.sequences)
    training = TrainConfig(
        steps=config.steps,
        batch=config.batch,
        learning_rate=config.learning_rate,
        warmup=min(100, config.steps // 5),
        weight_decay=WEIGHT_DECAY,
        loss=cell["loss"],
    )
    network = Network(*SOURCES[cell["source"]], cell["width"])
    rng = stream(config.root_seed, "training", *words)
    model = train_network(rng, network, stored, size, training).model
    settings = ProbeConfig(
        levels=config.levels,
        sequences=config.sequences,
        recover=0,
        generate=config.sequences,
        n_steps=config.n_steps,
        nelbo_draws=1,
    )
    data = measure(model, settings, test=held_out, train=stored[:size])
    data.attrs = {"vocab_size": data.attrs["vocab_size"], "seq_len": data.attrs["seq_len"]}
    return data[list(KEPT)].sel(decoder=[DECODER], law=["loo"])
