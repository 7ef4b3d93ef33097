"""Cheap readings of a denoiser, by which memorization is seen while it sets in.

Of a fixed set of sequences, on the same noise every time: the one-shot recovery of corrupted
tokens, the entropy and the log loss of the `loo` law p(x_0^i | x_t without i), at a few levels.
One forward pass a sequence and level. Train and held-out sequences are read alike;
`models.training.memorized` compares them.

Where the channel does not redraw, visible tokens have no law: entropies and log losses are then
those of masked sites, and as t -> 0 those of `ALONE` sites of each sequence, masked one at a time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.denoiser import Denoiser, channel_of
from models.noise import noise
from models.sampler import decode_best_change
from models.slices import joined, read_slices
from models.tokens import Tokens, check_tokens, token_dtype
from models.unmasking import read_single_masks

Floats = NDArray[np.float64]

SMALL_LEVEL = 1e-5  # t -> 0, at which too few tokens are corrupted to speak of recovery
LEVELS = (SMALL_LEVEL, 0.05, 0.1, 0.25, 0.5)
ALONE = 4
LOG_LOSS_CAP = 20.0  # nats; a law may rule the truth out
ROWS = 64  # sequences of one forward pass
BLOCK = 1 << 24  # numbers of a block of laws, where V is large


class Reading(NamedTuple):
    """Sums over the tokens of every sequence, by level, (n, levels) each: corrupted tokens, those
    of them that the best change restores, and of the `loo` law at the `sites` that were read
    entropy and log loss, nats. Ratios of their sums are means over tokens."""

    corrupted: Floats
    restored: Floats
    entropy: Floats
    log_loss: Floats
    sites: Floats


def read(
    denoiser: Denoiser,
    tokens: ArrayLike,
    levels: tuple[float, ...],
    rng: np.random.Generator,
    copies: int = 1,
) -> Reading:
    """The readings of sequences (n, L), any channel.

    levels : t, in (0, 1); at `SMALL_LEVEL` and below the laws are those as t -> 0. rng : of the
    noise, a stream of its own for every sequence, so that two denoisers of one schedule read with
    equal generators have common noise, and more sequences leave the numbers of the first unchanged.
    copies : noisy copies of each sequence and level, summed; one as t -> 0.

    The best change is the most probable token other than the present one, of any at a mask: the
    decoder that can restore a token also where staying is more probable.

    Raises TokenRangeError for tokens that the denoiser cannot take.

    >>> from models.exact.empirical import EmpiricalDenoiser
    >>> stored = np.array([[0, 0, 1, 1, 2, 2], [2, 1, 0, 2, 1, 0]])
    >>> found = read(EmpiricalDenoiser(stored, 3), stored, (0.25,), np.random.default_rng(0))
    >>> found.corrupted.sum(), found.restored.sum()
    (np.float64(3.0), np.float64(3.0))
    """
    kind = channel_of(denoiser)
    clean = check_tokens(tokens, denoiser.vocab_size, denoiser.seq_len)
    clean = clean.astype(token_dtype(denoiser.vocab_size + (kind.mask_id is not None)))
    streams, columns = rng.spawn(len(clean)), []
    for t in levels:
        if t <= SMALL_LEVEL and not kind.redraws:
            columns.append(_alone(denoiser, clean, streams))
            continue
        alpha, most = float(denoiser.schedule.alpha(t)), copies if t > SMALL_LEVEL else 1
        drawn = [np.repeat(x[None], most, axis=0) for x in clean]
        pairs = zip(streams, drawn, strict=True)
        noisy = np.concatenate([noise(each, x, alpha, kind) for each, x in pairs])
        entropy, loss, right = _laws(denoiser, np.concatenate(drawn), noisy, t)
        changed = noisy != np.concatenate(drawn)
        seen = np.ones_like(changed) if kind.redraws else changed
        parts = (changed, right & changed, entropy * seen, loss * seen, seen)
        columns.append([part.reshape(len(clean), -1).sum(1, dtype=np.float64) for part in parts])
    return Reading(*(np.stack(column, axis=1) for column in zip(*columns, strict=True)))


def _laws(denoiser: Denoiser, clean: Tokens, noisy: Tokens, t: float) -> Any:
    """Entropy, log loss and whether the best change is right, (n, L) each, in blocks of one
    shape, for JAX."""
    n, length = clean.shape
    rows = int(np.clip(BLOCK // (length * denoiser.vocab_size), 1, ROWS))
    places, found = np.arange(rows * length), []
    for first in range(0, n, rows):
        block = np.minimum(np.arange(first, first + rows), n - 1)
        x_t, x_0 = noisy[block].astype(np.int32), clean[block].astype(np.int32)
        level = np.full(rows, t, np.float32)
        made = read_slices(denoiser, x_t, level, places, _of_law, x_t.ravel(), x_0.ravel())
        found.append(jax.tree.map(lambda a, most=n - first: a.reshape(rows, -1)[:most], made))
    return joined(found)


def _of_law(law: Any, x_t: Any, x_0: Any) -> Any:
    """Of laws (rows, V) in logs: entropy, capped log loss, and whether the best change is x_0."""
    xp = law.__array_namespace__()
    terms = xp.where(law > -xp.inf, xp.exp(law) * xp.maximum(law, -1e4), 0.0)
    true = xp.take_along_axis(law, x_0[:, None], axis=-1)[:, 0]
    loss = xp.minimum(-true, LOG_LOSS_CAP)
    return -xp.sum(terms, axis=-1), loss, decode_best_change(law, x_t) == x_0


def _of_masked(law: Any, x_0: Any) -> Any:
    """`_of_law` of masked sites."""
    return _of_law(law, law.__array_namespace__().full_like(x_0, law.shape[-1]), x_0)[:2]


def _alone(denoiser: Denoiser, clean: Tokens, streams: list[np.random.Generator]) -> list[Floats]:
    """The sums as t -> 0 where visible sites have no law; nothing is corrupted."""
    few = min(ALONE, clean.shape[1])
    sites = np.stack([each.permutation(clean.shape[1])[:few] for each in streams])
    entropy, loss = read_single_masks(denoiser, clean, sites, _of_masked, rows=ROWS)
    none = np.zeros(len(clean))
    return [none, none, entropy.sum(1), loss.sum(1), np.full(len(clean), float(few))]
