"""One model of the probe's calibration: its data, its training, and what the probe measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from models.streams import stream
from models.tokens import Tokens
from models.training.config import TrainConfig
from simulations.probe.calibration.config import CalibrationConfig
from simulations.probe.calibration.families import FAMILIES, FOREIGN, SOURCES, SYNTHETIC, Family
from simulations.probe.calibration.networks import make_network
from simulations.probe.calibration.sources import Sequences, make_source
from simulations.probe.calibration.truth import truth
from simulations.probe.config import ProbeConfig
from simulations.probe.measure.measures import measure

LARGE = ("entropy_histogram", "bin_edge_low")  # of what is measured: not kept
BLOCK = 1 << 14  # rows of a training set of one shape: compiles once
UNSEEN = 2048  # held-out sequences of a model


def compute(config: CalibrationConfig, cell: dict[str, Any]) -> xr.Dataset:
    """What the probe measures of one model, and the fields of its truth as `memorized_...`."""
    family, shape = FAMILIES[cell["family"]], SOURCES[cell["source"]]
    words = [str(value) for name, value in cell.items() if name != "text"]
    rng = stream(config.root_seed, "data", *words)
    source = make_source(cell["source"], rng, config.text)
    other = make_source(other_source(cell["source"]), rng, config.text)
    rows = training_rows(rng, family, source, other, cell["train_size"])
    unseen = source.heldout(rng, UNSEEN)
    steps = min(family.steps, config.steps)
    training = TrainConfig(
        steps=steps,
        batch=config.batch,
        learning_rate=family.learning_rate,
        warmup=min(100, steps // 5),
        weight_decay=family.weight_decay,
        loss=family.loss,
    )
    stored = np.concatenate([rows, np.repeat(rows[:1], -len(rows) % BLOCK, axis=0)])
    rng = stream(config.root_seed, "training", *words)
    model = make_network(rng, family, shape, cell["width"], stored, len(rows), training)
    settings = ProbeConfig(
        levels=config.levels,
        sequences=config.sequences,
        recover=0,
        generate=config.sequences,
        n_steps=config.n_steps,
        nelbo_draws=1,
        replicates=config.replicates,
    )
    rng = stream(config.root_seed, "truth", *words)
    noisy = family.loss == "full"
    found = truth(model, settings, rows, unseen, rng, config.truth, noisy)
    text = shown_text(rng, cell["heldout"], unseen[: config.sequences], other)
    data = measure(model, settings, test=text, train=rows)
    data = data.drop_vars([name for name in LARGE if name in data.variables])
    return data.assign({f"memorized_{name}": value for name, value in found._asdict().items()})


def other_source(name: str) -> str:
    """A source of the same V and L and of another kind, the first in order; itself where there is
    none, which is then drawn anew."""
    mine = SOURCES[name]
    for other in SYNTHETIC:
        shape = SOURCES[other]
        same = (shape.vocab_size, shape.seq_len) == (mine.vocab_size, mine.seq_len)
        if same and shape.kind != mine.kind:
            return other
    return name


def training_rows(
    rng: np.random.Generator, family: Family, source: Sequences, other: Sequences, size: int
) -> Tokens:
    """The rows (n, L) that a network of the family is trained on, `size` sequences of the source
    among them, some of them several times or with others, as the family says."""
    rows = source.stored(rng, size)
    if family.copies > 1:
        rows = np.concatenate([rows, np.tile(rows[: size // 10], (family.copies - 1, 1))])
    if family.foreign:
        times = max(1, round(family.foreign / (1 - family.foreign) * size / FOREIGN))
        rows = np.concatenate([rows, np.tile(other.stored(rng, FOREIGN), (times, 1))])
    return rows


def shown_text(rng: np.random.Generator, kind: str, right: Tokens, other: Sequences) -> Tokens:
    """The held-out text (n, L) that the probe is given: right, other, or half of it."""
    if kind == "right":
        return right
    wrong = other.heldout(rng, len(right)).astype(right.dtype)
    return wrong if kind == "other" else np.concatenate([right[::2], wrong[1::2]])
