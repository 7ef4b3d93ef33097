"""Random streams by name: what a number depends on is written where it is drawn."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(root_seed: int, *names: object) -> np.random.Generator:
    """A generator that depends on the root seed and on names alone, never on order."""
    text = "/".join(str(name) for name in names)
    digest = hashlib.sha256(text.encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
    return np.random.default_rng(np.random.SeedSequence([root_seed, *words]))
