"""The corpus that networks were trained on, and which of its rows each one saw.

The training set of a network is `rows_of(n, seed)[:K]`: the first K rows of the corpus after one
shuffle, so that those of one seed are nested. It is what the package datasets makes of
`shuffle(seed=seed).select(range(K))` (held against it in tests/peers), and what the authors of
arXiv:2604.26841 train on: dataloader.py of their code (900aeee) takes K = int(n * data.subset) and
the seed of config.yaml, 1. They read held-out rows by the same shuffle of the test split.

The shuffle depends on n, so that a corpus with one row more has other subsets altogether. Theirs is
LM1B in rows of 128 tokens, packed a thousand texts at a time within parts, one for every CPU, the
rest of every thousand dropped: n and the rows depend on the number of CPUs, which their code does
not say. What is wanted is the file that they trained on, or one packed by as many CPUs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulations.data.corpora import CorpusError
from simulations.data.sequences import read_sequences
from simulations.probe.inputs import without_mask_id


@dataclass(frozen=True, eq=False)
class Material:
    """corpus (n, L) and held_out (m, L), tokens; the source that they are of, where it is known."""

    corpus: NDArray[np.integer]
    held_out: NDArray[np.integer]
    source: Any = None


def rows_of(n: int, seed: int) -> NDArray[np.int64]:
    """The rows of a corpus in the order of the shuffle, (n,).

    >>> rows_of(5, 1).tolist()
    [4, 0, 1, 2, 3]
    """
    return np.random.default_rng(seed).permutation(n)


def size_of(n: int, train_size: int | None, fraction: float | None) -> int:
    """K of n rows. Raises CorpusError where there are not as many, or none.

    >>> size_of(1000, None, 0.0137)
    13
    """
    size = int(n * fraction) if train_size is None and fraction is not None else train_size
    if not size or size > n:
        raise CorpusError(
            f"a training set of {fraction or size} was asked for; the corpus has {n} rows."
        )
    return size


@lru_cache(maxsize=1)
def read_material(
    corpus: Path, held_out: Path, vocab_size: int, seq_len: int | None, mask_id: int | None = None
) -> Material:
    """The two files for a network of V and L, one row a sequence; `mask_id`: an id among theirs
    that is no value, which is taken out. Raises CorpusError."""
    ids = vocab_size + (mask_id is not None)
    stored, held = (
        read_sequences(file, seq_len=seq_len, vocab_size=ids) for file in (corpus, held_out)
    )
    if mask_id is not None:
        try:
            stored, held = (without_mask_id(one, mask_id) for one in (stored, held))
        except ValueError as error:
            raise CorpusError(str(error)) from error
    lengths = [one.tokens.shape[1] for one in (stored, held)]
    if lengths[0] != lengths[1]:
        raise CorpusError(
            f"{corpus} has rows of {lengths[0]} tokens and {held_out} of {lengths[1]}; they must "
            "have one length."
        )
    return Material(stored.tokens, held.tokens)
