"""What a network of a calibration truly does: the share of its training data that it memorizes.

    M = (R_train - R_heldout) / (1 - R_heldout)

with R the share of tokens that are the mode of the `loo` law at t -> 0, that is, that follow from
all others; every site is read, and no noise is drawn. Rows of the training data count as often as
they stand, as they do in what the network generates. A network whose softmax is the token posterior
`full` has no `loo` law there that could be known: of it R is the share of corrupted tokens that the
best change restores at t = 0.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.tokens import Tokens
from simulations.measure.bootstrap import bootstrap_ratio, interval
from simulations.measure.names import LAWS, SMALL_LEVEL
from simulations.probe.config import ProbeConfig
from simulations.probe.judge.features import DECODER
from simulations.probe.judge.verdict import ORDER_BOUNDS
from simulations.probe.measure.cells import Work, read
from simulations.probe.measure.dataset import Split
from simulations.probe.measure.law import Reader

Floats = NDArray[np.float64]

MEMORIZING, MIDDLE, GENERALIZING = "memorizing", "middle", "generalizing"
CLASSES = (GENERALIZING, MIDDLE, MEMORIZING)  # by rising share
NOISY_LEVEL = 0.1


class Truth(NamedTuple):
    """M with its 95 % interval (sequences resampled), and the two recoveries."""

    share: float
    low: float
    high: float
    train: float
    heldout: float


def truth_of(share: float) -> str:
    """The class that a share stands for.

    >>> [truth_of(share) for share in (0.05, 0.3, 0.5)]
    ['generalizing', 'middle', 'memorizing']
    """
    if share >= ORDER_BOUNDS[1]:
        return MEMORIZING
    return GENERALIZING if share <= ORDER_BOUNDS[0] else MIDDLE


def truth(
    denoiser: Any,
    config: ProbeConfig,
    train: Tokens,
    heldout: Tokens,
    rng: np.random.Generator,
    most: int,
    noisy: bool = False,
) -> Truth:
    """The truth of a denoiser, from at most `most` sequences of either split, (n, L); where `noisy`
    from so many noisy copies at t = 0.1."""
    settings = replace(config, levels=(NOISY_LEVEL,))
    work = Work(Reader(denoiser, train.shape[1], lambda: None), settings)
    drawn = []
    for name, rows in (("train", train), ("heldout", heldout)):
        order = rng.permutation(len(rows))
        if noisy:
            order = np.resize(order, most)
        split = Split(f"truth-{name}", rows[order[:most]], np.arange(min(most, len(order))))
        hits, total = _noisy(work, split) if noisy else _alone(work, split)
        sequence = np.unique(split.tokens, axis=0, return_inverse=True)[1].ravel()
        drawn.append(bootstrap_ratio(rng, hits, total, sequence, config.replicates))
    share, replicates = (recovery_gap(a, b) for a, b in zip(*drawn, strict=True))
    low, high = interval(replicates)
    return Truth(*(float(x) for x in (share, low, high, drawn[0][0], drawn[1][0])))


def recovery_gap(train: Any, heldout: Any) -> Any:
    """M of two recoveries, 0 where held-out sequences leave nothing to gain.

    >>> float(recovery_gap(0.9, 0.8)), float(recovery_gap(1.0, 1.0))
    (0.5, 0.0)
    """
    room = 1 - np.asarray(heldout, np.float64)
    return np.where(room > 0, (train - heldout) / np.where(room > 0, room, 1.0), 0.0)


def _alone(work: Work, split: Split) -> tuple[Any, Any]:
    """Tokens that follow from the others, and tokens, of every sequence."""
    part = read(work, SMALL_LEVEL, split)
    hits = part["correct"].values[:, LAWS.index("loo")]
    total = part["sites"] if "sites" in part else np.full(len(hits), split.tokens.shape[1])
    return np.asarray(hits, np.float64), np.asarray(total, np.float64)


def _noisy(work: Work, split: Split) -> tuple[Any, Any]:
    """Corrupted tokens that the best change restores, and corrupted tokens, of every sequence."""
    part = read(work, NOISY_LEVEL, split)
    place = part["shot"].values.tolist().index(DECODER)
    found = part["recovered"].values[:, place], part["corrupted"].values
    return found[0].astype(np.float64), found[1].astype(np.float64)
