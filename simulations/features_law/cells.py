"""What one cell computes: one network of K sequences, trained, then read on both splits.

Raw numbers per sequence: tokens corrupted at t = 0.25 and restored by the reverse process of the
network, by one exact draw of the optimal memorizer of the same K sequences, and by one of the
source's own posterior, on the same inputs; and the network's `loo` entropy as t -> 0.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from models.sampler import ancestral
from models.sources import IidSource, MarkovSource
from models.sources.permutations import permutation_chain
from models.streams import stream
from models.tokens import Tokens
from simulations.features_law.config import LEVEL, FeaturesConfig
from simulations.measure.counts import corrupted_count, count_tokens, law_statistics
from simulations.measure.names import SMALL_LEVEL
from simulations.scaling.cells import stored_among
from simulations.trained import Laws, Network, train_network

SPLITS = ("train", "heldout")
STORED = 32_768  # rows that K is counted from: one shape to compile, whatever the K


@dataclass(frozen=True)
class Plain:
    """A network without its pairwise field."""

    network: Network

    def make(self, key: Any) -> Any:
        """The network, untrained, from a JAX key."""
        from models.networks.mlp import PlainMLP

        net = self.network
        return PlainMLP(key, net.vocab_size, net.seq_len, net.width, net.n_blocks)


def make_source(name: str, vocab_size: int, seq_len: int) -> Any:
    """The source of a point."""
    if name == "iid":
        return IidSource(vocab_size, seq_len)
    return MarkovSource(permutation_chain(vocab_size), seq_len)


def compute(config: FeaturesConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep: dimensions split, sample; of a search its loss alone.

    A seed has one set of stored sequences, which all its networks take the first K of; a network of
    the search is the one that a point of the same coordinates would train. Raises
    models.training.train.TrainingDiverged, naming the step, when training stops being finite.
    """
    at = coordinates
    source = make_source(at["source"], config.vocab_size, config.seq_len)
    stored = source.sample(stream(config.root_seed, "stored", at["source"], at["seed"]), STORED)
    names = at | {"kind": "network"}
    rng = stream(config.root_seed, *(str(names[name]) for name in sorted(names)))
    network = config.network(at["width"])
    training = dataclasses.replace(
        config.training, steps=at["steps"], learning_rate=float(at["rate"])
    )
    kind: Any = network if at["pair"] else Plain(network)
    trained = train_network(rng, kind, stored, at["train_size"], training)
    if at["kind"] == "search":
        loss = float(trained.losses[-1])  # mean over the last block of steps
        return xr.Dataset({"loss": ((), loss, {"units": "nats per token"})})
    place = ("held-out", at["source"], at["seed"])
    held_out = source.sample(stream(config.root_seed, *place), config.queries)
    return readings(config, trained.model, source, stored[: at["train_size"]], held_out, rng)


def readings(
    config: FeaturesConfig,
    model: Any,
    source: Any,
    stored: Tokens,
    held_out: Tokens,
    rng: np.random.Generator,
) -> xr.Dataset:
    """Counts and entropies of a network of the sequences `stored` (K, L), on both splits.

    Held-out sequences that are stored by chance are left out of the counts (0 corrupted).
    """
    schedule, seq = model.schedule, np.arange(config.queries)
    law = source.population_denoiser(schedule)
    memorizer = EmpiricalDenoiser(stored, config.vocab_size, schedule)
    found: dict[str, list[Any]] = {name: [] for name in ("cluster", "corrupted", "entropy")}
    found |= {name: [] for name in ("recovered", "population", "memorizer")}
    laws = Laws(model, config.queries)
    for split in SPLITS:
        chosen = seq % len(stored) if split == "train" else seq
        x_0 = (stored if split == "train" else held_out)[chosen]
        known = (split == "train") | ~stored_among(x_0, stored)
        x_t = noise(rng, x_0, float(schedule.alpha(LEVEL)), config.vocab_size)
        for name, output in (
            ("recovered", ancestral(model, rng, x_t, LEVEL, config.n_steps)),
            ("population", law.posterior_draw(rng, x_t, LEVEL)),
            ("memorizer", memorizer.posterior_draw(rng, x_t, LEVEL)),
        ):
            found[name].append(known * count_tokens(x_0, x_t, output).recovered)
        log_loo = laws.laws(x_0, np.full(len(x_0), SMALL_LEVEL))[0]
        found["entropy"].append(law_statistics(log_loo, x_0).entropy)
        found["corrupted"].append(known * corrupted_count(x_0, x_t))
        found["cluster"].append(chosen)
    kinds = {"cluster": (np.int32, "1"), "entropy": (np.float32, "nats per token")}
    data = {
        name: (("split", "sample"), np.array(values, kind), {"units": units})
        for name, values in found.items()
        for kind, units in [kinds.get(name, (np.int16, "tokens"))]
    }
    return xr.Dataset(data, {"split": list(SPLITS)}, {"loo_entropy": float(source.loo_entropy())})
