"""The frozen configuration of the sweep over released networks, its presets and its cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from models.released.files.safe_tensors import sha256_of
from models.training.config import TrainConfig
from simulations.console.settings import Settings, at_least, increasing_counts, rises
from simulations.data.corpora import file_refusals
from simulations.measure.names import SMALL_LEVEL
from simulations.released.entries import Entry, entries_of
from simulations.released.rehearsal import Rehearsal
from simulations.results.cells import Cell

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 1
FILES = ("checkpoints", "corpus", "held_out")
PARAMETERS = 1e8  # of a network whose file is not here, roughly


@dataclass(frozen=True)
class ReleasedConfig(Settings):
    """What is read, and how it is measured.

    Args:
        checkpoints: lists (.csv), folders, files, or names of the hub, as in
            `simulations/released/entries.py`; without any the sweep is rehearsed on networks that
            it trains itself.
        corpus: the rows that training subsets are taken from, token ids (n, L), a .npy file.
        held_out: rows that no network was trained on, (m, L), a .npy file.
        subset_seed: seed of the subsets, where a list does not say it (the authors': 1).
        weights: of checkpoints with both kinds: ema, or raw as the paper's scripts read.
        levels: noise levels t of recovery, increasing, in (1e-5, 1).
        queries: sequences per split; those of small training sets repeat.
        n_steps: reverse steps on the full interval; a run from t uses its share.
        replicates: bootstrap replicates.
        root_seed: every random number but the subsets follows from it.
        gpu: whether networks are read on GPUs.
        rehearsal: networks of the rehearsal.
    """

    checkpoints: tuple[str, ...] = ()
    corpus: Path | None = None
    held_out: Path | None = None
    subset_seed: int | None = None
    weights: Literal["ema", "raw"] = "ema"
    levels: tuple[float, ...] = (0.1, 0.25, 0.5)
    queries: int = 256
    n_steps: int = 100
    replicates: int = 1000
    root_seed: int = 2604
    gpu: bool = False
    rehearsal: Rehearsal = field(default_factory=Rehearsal)

    def problems(self) -> Iterator[str]:
        missing = [name for name in FILES if not getattr(self, name)]
        if missing and len(missing) < len(FILES):
            option = f"--{missing[0].replace('_', '-')}"
            yield (
                "give --checkpoints, --corpus and --held-out together, or none of them to rehearse "
                f"on networks of its own; {option} is missing."
            )
        for name in ("corpus", "held_out"):
            path = getattr(self, name)
            if path is not None and path.suffix != ".npy":
                yield (
                    f"`{name}` must be a .npy file of token ids, a sequence a row; got {path}. "
                    "Save it by numpy.save."
                )
        yield from at_least(self, queries=8, n_steps=1, replicates=100)
        levels = self.levels
        if not levels or not rises(levels) or not SMALL_LEVEL < levels[0] <= levels[-1] < 1:
            yield f"`levels` must be increasing noise levels in (1e-5, 1); got {list(levels)}."
        yield from at_least(self.rehearsal, vocab_size=2, seq_len=1, seeds=1)
        yield from increasing_counts(self.rehearsal, "train_sizes")
        for width in self.rehearsal.widths:
            if width < 4 or width % 4:
                yield f"`widths` must be multiples of 4, for two heads; got {width}."

    @property
    def rehearses(self) -> bool:
        """Whether the networks are trained here."""
        return not self.checkpoints

    @property
    def headline(self) -> float:
        """The level of the headlines: the one nearest to 0.25."""
        return min(self.levels, key=lambda t: abs(t - 0.25))

    def entries(self) -> list[Entry]:
        """What is read. Raises UserError."""
        if self.rehearses:
            return self.rehearsal.entries()
        return entries_of(self.checkpoints, self.subset_seed)

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON and hashing, without what plays no part."""
        plain = super().as_dict()
        if self.rehearses:
            unsaid: tuple[str, ...] = (*FILES, "subset_seed", "weights")
        else:
            unsaid = ("rehearsal",)
        paths = {name: str(plain[name]) for name in FILES[1:]}
        return {name: x for name, x in {**plain, **paths}.items() if name not in unsaid}


def identity(config: ReleasedConfig) -> dict[str, Any]:
    """What the numbers depend on besides a cell's coordinates, which say its network: a list may
    grow, and cells are kept. Of the files it is what they hold. Raises UserError."""
    words = {name: x for name, x in config.as_dict().items() if name not in FILES}
    words.pop("subset_seed", None)
    words.pop("replicates")
    if not config.rehearses:
        config.entries()  # what is wrong with a list is said before gigabytes are hashed
        with file_refusals():
            words |= {name: sha256_of(getattr(config, name)) for name in FILES[1:]}
    return words


def make_cells(config: ReleasedConfig) -> list[Cell]:
    """One cell per checkpoint."""
    return [Cell(entry.name, entry.as_dict(), config.gpu) for entry in config.entries()]


def forwards(config: ReleasedConfig) -> float:
    """Sequences that a network reads for one cell."""
    steps = sum(max(1.0, t * config.n_steps) for t in config.levels)
    return 2 * config.queries * (steps + 2 * len(config.levels) + 1)


def cost(config: ReleasedConfig, cell: Cell) -> float:
    """Rough seconds on one core of 20 Gflop/s, compilation apart."""
    entry = Entry(**cell.coordinates)
    if config.rehearses:
        training = config.rehearsal.training
        reads = forwards(config) + 3 * training.steps * training.batch
        return 1.0 + 2 * config.rehearsal.network(entry).work * reads / 2e10
    path = Path(entry.checkpoint)
    parameters = path.stat().st_size / 4 if path.is_file() else PARAMETERS
    return 10.0 + 2 * parameters * (entry.seq_len or 128) * forwards(config) / 2e10


def size(config: ReleasedConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return 4e4 + 100.0 * config.queries * (1 + len(config.levels))


def preset(name: str) -> ReleasedConfig:
    """The configuration of a preset: smoke, small, or paper, with the authors' numbers of queries
    and steps."""
    settings: dict[str, dict[str, Any]] = {
        "small": {},
        "smoke": {
            "queries": 64,
            "n_steps": 20,
            "rehearsal": Rehearsal(
                widths=(32,), training=TrainConfig(1500, 64, warmup=100, weight_decay=0.02)
            ),
        },
        "paper": {"queries": 2000, "n_steps": 1000, "levels": (0.1, 0.2, 0.3, 0.4, 0.5)},
    }
    return dataclasses.replace(ReleasedConfig(), **settings[name])
