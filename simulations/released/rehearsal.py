"""A sweep without files: small transformers, trained in their cells, saved, and read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.streams import stream
from models.training.config import TrainConfig
from simulations.data.problem import make_source
from simulations.released.entries import Entry
from simulations.released.material import Material, rows_of
from simulations.trained import Network, train_network


@dataclass(frozen=True)
class Rehearsal:
    """Networks of the rehearsal, on sequences of the Markov source.

    Args:
        vocab_size: V, number of tokens.
        seq_len: L, tokens in a sequence.
        train_sizes: K, the training-set sizes, increasing; the corpus has twice the largest.
        seeds: number of subsets and initializations.
        widths: of the transformers.
        training: how they are trained.
    """

    vocab_size: int = 8
    seq_len: int = 16
    train_sizes: tuple[int, ...] = (2, 8, 32, 128, 512, 2048)
    seeds: int = 2
    widths: tuple[int, ...] = (32, 64)
    training: TrainConfig = field(default_factory=lambda: TrainConfig(6000, weight_decay=0.02))

    def entries(self) -> list[Entry]:
        """The networks, without a file."""
        return [
            Entry("", f"width{width}", size, None, seed)
            for width in self.widths
            for size in self.train_sizes
            for seed in range(self.seeds)
        ]

    def network(self, entry: Entry) -> Network:
        """Kind and size of the network of an entry."""
        width = int(entry.network.removeprefix("width"))
        return Network(self.vocab_size, self.seq_len, width, 1, 2, "dit")


@lru_cache(maxsize=1)
def material_of(rehearsal: Rehearsal, n_held_out: int, root_seed: int) -> Material:
    """Corpus and held-out sequences, with their source."""
    source = make_source("markov", rehearsal.vocab_size, rehearsal.seq_len)
    n = 2 * max(rehearsal.train_sizes)
    corpus = source.sample(stream(root_seed, "corpus"), n)
    return Material(corpus, source.sample(stream(root_seed, "held-out"), n_held_out), source)


def trained(
    rehearsal: Rehearsal, entry: Entry, material: Material, root_seed: int, folder: Path
) -> Path:
    """The checkpoint of an entry, trained and saved in `folder`. Raises TrainingDiverged."""
    import jax.numpy as jnp

    from models.released.checkpoint import save_model

    most = max(rehearsal.train_sizes)
    stored = jnp.asarray(material.corpus[rows_of(len(material.corpus), entry.seed)[:most]])
    rng = stream(root_seed, "rehearsal", entry.name)
    size: Any = entry.train_size
    found = train_network(rng, rehearsal.network(entry), stored, size, rehearsal.training)
    save_model(found.model, folder / entry.name)
    return folder / entry.name
