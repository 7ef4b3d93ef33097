"""K_half of the network, from its width and steps by the theory of random features.

Said where the constants are known to hold, and nowhere else: of networks as those that they were
fitted to, up to the width and the steps at which predictions of that law came true.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.training.config import TrainConfig
from simulations.measure.feature_size import FITTED, LEVEL, REFERENCE
from simulations.measure.transition import Curve, Estimate, recovery_transition
from simulations.phase.analysis import Analysis, minus
from simulations.phase.cells import RESTORED
from simulations.phase.config import Config

# the networks of `FITTED`: K_half of the same sources and networks was measured there
SETTINGS = {"source": "iid", "vocab_size": 8, "seq_len": 16, "channel": "uniform"}
SETTINGS |= {"model": "mlp", "n_blocks": 1, "n_steps": 16}
TRAINING = TrainConfig(batch=32, learning_rate=6e-3)
WIDTHS = (16, 256)
STEPS = (1000, 64_000)


@dataclass(frozen=True)
class Foretold:
    """K_half as the theory has it, with the interval of what it misses; what was measured, where
    the run has the K that the gap is held against and a larger one."""

    value: float
    low: float
    high: float
    measured: Estimate | None

    @property
    def verdict(self) -> Literal["held", "missed", "not measured"]:
        """Whether the measured size is in the interval."""
        if self.measured is None or not np.isfinite(self.measured.value):
            return "not measured"
        return "held" if self.low <= self.measured.value <= self.high else "missed"


def elsewhere(config: Config) -> list[str]:
    """What of a run is not as the constants have it, in words: none where they are known to hold.

    >>> elsewhere(Config(source="iid", vocab_size=8, width=512, training=TRAINING))
    ['width 512 outside of 16 to 256']
    """
    pairs = [(name, getattr(config, name), value) for name, value in SETTINGS.items()]
    steps = config.training.steps
    usual = dataclasses.asdict(dataclasses.replace(TRAINING, steps=steps))
    pairs += [(name, getattr(config.training, name), value) for name, value in usual.items()]
    found = [
        f"{name.replace('_', ' ')} {ours} in place of {value}"
        for name, ours, value in pairs
        if ours != value
    ]
    for name, ours, (low, high) in (("width", config.width, WIDTHS), ("steps", steps, STEPS)):
        if not low <= ours <= high:
            found.append(f"{name} {ours:,} outside of {low:,} to {high:,}")
    return found + [f"no level t = {LEVEL:g}"] * (LEVEL not in config.levels)


def foretell(analysis: Analysis) -> Foretold | None:
    """The size of a run's networks; None where the constants are not known to hold."""
    config = analysis.config
    if elsewhere(config):
        return None
    place = (config.width, config.training.steps, config.seq_len, config.vocab_size)
    return Foretold(*FITTED.size(*place), _measured(analysis))


def _measured(analysis: Analysis) -> Estimate | None:
    """K_half against the gap at the K that the theory refers to."""
    config, sizes = analysis.config, analysis.train_sizes
    if REFERENCE not in sizes[:-1]:
        return None
    train, held_out = (
        analysis.rate("corrupted recovery", "trained", "ancestral", split) for split in RESTORED
    )
    gap, first = minus(config, train, held_out), sizes.index(REFERENCE)
    values, replicates, per_seed = (
        part[..., first:, config.levels.index(LEVEL)]
        for part in (gap.estimate, gap.replicates, gap.per_seed)
    )
    grid = np.array(sizes[first:], dtype=np.float64)
    return recovery_transition(Curve(grid, values, replicates, per_seed, gap.method))[0]
