"""The training set: the first K rows of an array of sequences, in memory or mapped from a file.

Which rows a step takes is a function of the key and the step alone, so a run can go on from any
step, and rows that are gathered on the host are the rows that would be gathered on the device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from models.exact.mapped import check_file, check_unchanged
from models.memory_size import physical_memory
from models.tokens import Tokens, check_tokens, token_dtype

DEVICE_SHARE = 0.1  # of a device's memory that stored sequences may take
FINGERPRINT_ROWS = 4096


def rows_of_step(key: Array, batch: int, train_size: Any) -> Int[Array, " batch"]:
    """Indices of the stored sequences of one step, drawn with replacement."""
    return jax.random.randint(key, (batch,), 0, train_size)


def check_store(stored: Any, vocab_size: int, seq_len: int | None, train_size: int) -> Any:
    """Stored tokens (K_max, L) in the smallest type; of a mapped file its first `train_size` rows,
    still mapped.

    Raises TokenRangeError for tokens out of range among these, ValueError for a `train_size` that
    the store does not have.
    """
    if not hasattr(stored, "shape"):
        stored = np.asarray(stored)
    if stored.ndim == 2 and not 1 <= train_size <= len(stored):
        raise ValueError(
            f"`train_size` must lie between 1 and the {len(stored)} stored sequences; "
            f"got {train_size}."
        )
    if not isinstance(stored, np.memmap):
        return check_tokens(stored, vocab_size, seq_len, "stored")
    check_file(stored)
    for first in range(0, train_size, 1 << 20):
        part = stored[first : min(first + (1 << 20), train_size)]
        check_tokens(part, vocab_size, seq_len, "stored")
    return stored[:train_size]


def repeated(
    rng: np.random.Generator,
    stored: Tokens,
    train_size: int,
    repeats: int,
    noise: float,
    vocab_size: int,
) -> Tokens:
    """A training set of `train_size` rows that holds each of its sequences `repeats` times.

    Rows r k to r k + r - 1 are sequence k; in all but the first of them each token is drawn anew
    with probability `noise` (near-duplicates). Training sets of different size are nested.
    Returns (train_size, L). Raises ValueError unless `repeats` divides `train_size`.
    """
    if repeats < 1 or train_size % repeats:
        raise ValueError(
            f"`repeats` must divide `train_size` = {train_size}, which counts the repeated rows; "
            f"got {repeats}."
        )
    if not 0 <= noise <= 1:
        raise ValueError(f"`repeat_noise` must lie in [0, 1]; got {noise}.")
    distinct = train_size // repeats
    if not 1 <= distinct <= len(stored):
        raise ValueError(
            f"{train_size} rows of {repeats} repeats need {distinct} sequences; "
            f"there are {len(stored)}."
        )
    rows = np.repeat(np.asarray(stored[:distinct])[:, None], repeats, axis=1)
    if noise > 0 and repeats > 1:
        copies = rows[:, 1:]
        draws = rng.random((*copies.shape, 2))  # in order of the sequences: nested
        fresh = np.floor(draws[..., 1] * vocab_size).astype(rows.dtype)
        rows[:, 1:] = np.where(draws[..., 0] < noise, fresh, copies)
    return np.ascontiguousarray(rows.reshape(train_size, -1))


def fits_on_device(stored: Any) -> bool:
    """Whether the sequences may lie in the memory of the device as a whole."""
    if isinstance(stored, np.memmap):
        check_file(stored)
    device = jax.local_devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    have = stats["bytes_limit"] if stats else physical_memory()
    return stored.nbytes <= DEVICE_SHARE * have


def fingerprint(stored: Any, train_size: int) -> str:
    """Hash of every token of a training set, whatever the type that holds them."""
    digest = hashlib.sha256(f"{train_size} {stored.shape[1]}".encode())
    for first in range(0, train_size, FINGERPRINT_ROWS):
        rows = stored[first : min(first + FINGERPRINT_ROWS, train_size)]
        digest.update(np.ascontiguousarray(rows, dtype=np.uint32).tobytes())
    return digest.hexdigest()


def gathered(
    stored: Any, vocab_size: int, indices: Iterator[Int[Array, "n batch"]]
) -> Iterator[Int[Array, "n batch L"]]:
    """For each array of row indices, the rows, gathered on the host by a second thread while the
    device computes: one block is read ahead."""
    file, dtype = check_file(stored), token_dtype(vocab_size)

    def gather(wanted: np.ndarray) -> Array:
        check_unchanged(file)
        order = np.argsort(wanted, axis=None)  # a mapped file is read from front to back
        rows = np.empty((wanted.size, stored.shape[1]), dtype)
        rows[order] = stored[wanted.reshape(-1)[order]]
        return jnp.asarray(rows.reshape(*wanted.shape, -1))

    with ThreadPoolExecutor(1) as pool:
        ahead = None
        for wanted in indices:
            following = pool.submit(gather, np.asarray(wanted))
            if ahead is not None:
                yield ahead.result()
            ahead = following
        if ahead is not None:
            yield ahead.result()
