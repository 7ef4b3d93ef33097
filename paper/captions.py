"""Words that the captions of several figures share."""

from __future__ import annotations

from typing import Any

from paper import tex
from simulations.bootstrap import MIN_SEEDS

SOURCES = {"markov": "a chain of two permutations", "iid": "independent uniform tokens"}


def problem_words(config: Any) -> str:
    """Source and sizes of a run, as TeX."""
    source = SOURCES.get(config.source, config.source)
    return f"{source}, $V={config.vocab_size}$, $L={config.seq_len}$"


def resampling_words(config: Any) -> str:
    """What the intervals of a run resample, and how often."""
    over = "seeds and sequences" if config.seeds >= MIN_SEEDS else "sequences, seeds held fixed"
    return rf"95\,\%, {config.replicates:,} bootstrap replicates over {over}"


def interval_words(config: Any) -> str:
    """Seeds and sequences of a phase diagram, and what its intervals resample."""
    return (
        f"{tex.counted(config.seeds, 'seed')}, {config.queries:,} corrupted sequences a point; "
        f"intervals: {resampling_words(config)}"
    )
