"""Tokens that a denoiser of Gaussian outputs puts right (private).

Its output is memory u + gain u_t + noise on training sequences and gain u_t + noise on unseen ones,
and a site decodes to its largest entry.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from am_theory._feature_contour import FlowState
from am_theory._feature_ridge import State
from am_theory._inputs import Floats
from am_theory._linear_ridge import first, not_first
from am_theory.channel import corruption_rate


class Outputs(NamedTuple):
    """Weights of the clean and the noisy code, and the deviation of the noise by split."""

    memory: Floats
    gain: Floats
    train_width: Floats
    heldout_width: Floats


def outputs_of(state: State | FlowState) -> Outputs:
    """The outputs that ridge regression or gradient flow leads to."""
    widths = np.sqrt(state.train_spread), np.sqrt(state.heldout_spread)
    return Outputs(np.array(state.memory), np.array(state.gain), *widths)


def recovery(outputs: Outputs, alpha: Floats, vocab: int, tokens: str, split: str) -> Floats:
    """Expected fraction of the tokens put right: all, clean or corrupted; train or test."""
    train = split == "train"
    width = np.maximum(outputs.train_width if train else outputs.heldout_width, 1e-100)
    pattern = np.sqrt(vocab) * (outputs.memory if train else 0 * width) / width
    query = np.sqrt(vocab) * outputs.gain / width
    clean = first(pattern + query, pattern + query, vocab)
    if tokens == "clean":
        return clean
    if train:
        corrupted = first(pattern - query, pattern, vocab)
    else:
        corrupted = not_first(query, vocab) / (vocab - 1)
    changed = np.asarray(corruption_rate(alpha, vocab))
    return corrupted if tokens == "corrupted" else (1 - changed) * clean + changed * corrupted
