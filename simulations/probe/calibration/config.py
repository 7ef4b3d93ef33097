"""The frozen configuration of the probe's calibration: models whose answer is known.

Every model has data, source and weights of its own. Which there are: `families`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import tyro

from simulations.console.settings import Settings, at_least, rises
from simulations.data.corpora import TextFile
from simulations.measure.names import SMALL_LEVEL
from simulations.probe.calibration.families import FAMILIES, RIGHT, SOURCES, Family
from simulations.results.cells import Cell
from simulations.trained import Network

# Raised whenever numbers change at fixed configuration; a results folder of another is refused.
NUMERICS = 2
DIGEST = 16  # digits of the hash of a text


@dataclass(frozen=True)
class CalibrationConfig(Settings):
    """Everything the numbers of a run depend on.

    Args:
        families: families of networks, each judged by a law fitted to the others.
        train_sizes: K, the training-set sizes, in place of those of the families.
        steps: most optimizer steps of a network.
        batch: sequences in a step.
        sequences: sequences of every split that are measured.
        truth: most sequences of either split that the truth is read from.
        levels: noise levels t of recovery and entropies, increasing.
        n_steps: reverse steps of the generated sequences.
        replicates: bootstrap replicates, of sequences and of calibration models.
        root_seed: every random number follows from it and from the names of the coordinates.
        text: the text of the family `text`, which is judged, never fitted to.
    """

    families: tuple[str, ...] = tuple(FAMILIES)
    train_sizes: tuple[int, ...] = ()
    steps: int = 1500
    batch: int = 64
    sequences: int = 256
    truth: int = 2048
    levels: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5)
    n_steps: int = 48
    replicates: int = 300
    root_seed: int = 2604
    text: tyro.conf.Suppress[TextFile | None] = None

    def as_dict(self) -> dict[str, Any]:
        """Plain containers of all but the text, for JSON and hashing."""
        plain = dataclasses.asdict(dataclasses.replace(self, text=None))
        return {name: value for name, value in plain.items() if name != "text"}

    def identity(self) -> dict[str, Any]:
        """What the numbers depend on besides a cell's coordinates, which name the text."""
        recipes = {name: FAMILIES[name].recipe for name in self.families}
        return {"config": self.as_dict(), "recipes": recipes}

    def problems(self) -> Iterator[str]:
        names = self.families
        if not names or len(set(names)) < len(names) or not set(names) <= set(FAMILIES):
            allowed = ", ".join(FAMILIES)
            yield f"`families` must hold different ones of {allowed}; got {list(names)}."
        sizes = self.train_sizes
        if len(set(sizes)) < len(sizes) or any(size < 1 for size in sizes):
            yield f"`train_sizes` must hold different counts of at least 1; got {list(sizes)}."
        if len(sizes) == 1:
            yield "`train_sizes` must hold at least two, to have models that memorize and others."
        yield from at_least(self, steps=1, batch=1, sequences=8, truth=8, n_steps=1, replicates=100)
        levels = self.levels
        if not levels or not rises(levels) or not SMALL_LEVEL < levels[0] <= levels[-1] < 1:
            yield f"`levels` must increase and lie in (1e-5, 1); got {list(levels)}."

    def sizes_of(self, family: Family) -> tuple[int, ...]:
        """K of a family's networks."""
        return self.train_sizes or family.train_sizes


def made(config: CalibrationConfig) -> dict[str, Family]:
    """The families of the configuration that can be made: text needs a text."""
    chosen = {name: FAMILIES[name] for name in config.families}
    return {n: f for n, f in chosen.items() if config.text is not None or not f.needs_text}


def make_cells(config: CalibrationConfig) -> list[Cell]:
    """One cell a model."""
    return [cell for name, family in made(config).items() for cell in _cells(config, name, family)]


def _cells(config: CalibrationConfig, name: str, family: Family) -> Iterator[Cell]:
    grid = product(
        enumerate(family.sources),
        enumerate(config.sizes_of(family)),
        range(family.seeds),
        enumerate(family.heldout),
    )
    for (i, source), (j, size), seed, (k, text) in grid:
        width = family.widths[(i + j + seed + k) % len(family.widths)]
        words = [name.replace(" ", "-"), source, f"K{size}", f"w{width}", f"s{seed}"]
        coordinates: dict[str, Any] = {
            "family": name,
            "source": source,
            "train_size": size,
            "width": width,
            "seed": seed,
            "heldout": text,
        }
        if config.text is not None and family.needs_text:
            coordinates["text"] = hashlib.sha256(config.text.raw).hexdigest()[:DIGEST]
        yield Cell("-".join(words + [text] * (text != RIGHT)), coordinates)


def cost(config: CalibrationConfig, cell: Cell) -> float:
    """Rough seconds of a cell on one core of 15 Gflop/s: training, then the readings."""
    family, shape = FAMILIES[cell.coordinates["family"]], SOURCES[cell.coordinates["source"]]
    model: Any = "dit" if family.network == "transformer" else "mlp"
    network = Network(shape.vocab_size, shape.seq_len, cell.coordinates["width"], 1, model=model)
    evaluations = 3 * min(family.steps, config.steps) * config.batch
    evaluations += 8 * config.sequences * config.n_steps
    return 3.0 + 2 * network.work * evaluations / 1.5e10


def size(config: CalibrationConfig, cell: Cell) -> float:
    """Rough bytes of a cell's file."""
    return 5e4 + 900.0 * config.sequences


def preset(name: str) -> CalibrationConfig:
    """The configuration of a preset: smoke (a minute) or small (three quarters of an hour)."""
    sizes: dict[str, dict[str, Any]] = {
        "small": {},
        "smoke": {
            "families": ("markov", "iid", "temperature 0.6"),
            "train_sizes": (16, 512, 4096),
            "steps": 500,
            "sequences": 64,
            "truth": 512,
            "n_steps": 16,
            "replicates": 100,
        },
    }
    return CalibrationConfig(**sizes[name])
