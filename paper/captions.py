"""Words that captions, tables and text share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paper import tex
from simulations.measure.bootstrap import MIN_SEEDS
from simulations.probe.calibration.fit import wilson

SOURCES = {"markov": "a chain of two permutations", "iid": "independent uniform tokens"}


def problem_words(config: Any) -> str:
    """Source and sizes of a run, as TeX."""
    source = SOURCES.get(config.source, config.source)
    return f"{source}, $V={config.vocab_size}$, $L={config.seq_len}$"


def resampling_words(config: Any) -> str:
    """What the intervals of a run resample, and how often."""
    over = "seeds and sequences" if config.seeds >= MIN_SEEDS else "sequences, seeds held fixed"
    return rf"95\,\%, {config.replicates:,} bootstrap replicates over {over}"


def share_words(hits: int, total: int) -> str:
    """A share with Wilson's interval, as TeX; a dash where there is none to judge."""
    return tex.interval(hits / total, *wilson(hits, total), 2) if total else "--"


def estimate_words(found: Sequence[Any]) -> str:
    """A value and the ends of its interval, as summaries hold them, as TeX."""
    value, low, high = map(float, found)
    return tex.interval(value, low, high, 2)


def interval_words(config: Any) -> str:
    """Seeds and sequences of a phase diagram, and what its intervals resample."""
    return (
        f"{tex.counted(config.seeds, 'seed')}, {config.queries:,} corrupted sequences a point; "
        f"intervals: {resampling_words(config)}"
    )
