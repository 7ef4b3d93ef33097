"""What is measured of a denoiser's output, as raw counts per sequence.

Token recovery counts, of the tokens that the channel changed, those restored; damage, of
those it left alone, those broken. Both are kept as counts, so that any ratio can be formed
later. Entropies are in nats, mean over the tokens of a sequence, and always name their law.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from am_theory import channel
from models.noise import noise
from models.sampler import decode_argmax, decode_best_change
from models.tokens import Tokens
from simulations.measure.names import ENTROPY_EDGES, EPSILONS, LOG_LOSS_CAP

Floats = NDArray[np.float64]
LOG_ZERO = -1e4  # stands for log 0: exp of it is exactly 0


class Counts(NamedTuple):
    """Per-sequence counts (batch,): changed tokens restored, unchanged tokens broken."""

    recovered: NDArray[np.integer]
    broken: NDArray[np.integer]


def corrupted_count(x_0: Tokens, x_t: Tokens) -> NDArray[np.integer]:
    """Number of changed tokens per sequence, (batch,)."""
    changed: NDArray[np.integer] = (x_0 != x_t).sum(1)
    return changed


def count_tokens(x_0: Tokens, x_t: Tokens, output: Tokens) -> Counts:
    """Restored and broken tokens per sequence of an output (batch, L)."""
    changed, right = x_t != x_0, output == x_0
    return Counts((right & changed).sum(1), (~right & ~changed).sum(1))


class LawStatistics(NamedTuple):
    """Of one law on one batch: mean token entropy (batch,), tokens with entropy below each of
    EPSILONS (3, batch), the mean of -log law(x_0^i), capped per token (batch,), and the mean of
    law(x_0^i), (batch,): of the `loo` law at t -> 0 the recovery of a single changed token."""

    entropy: Floats
    vanishing: NDArray[np.integer]
    log_loss: Floats
    own: Floats


def law_statistics(log_law: Any, x_0: Tokens) -> LawStatistics:
    """Entropies and log loss of a law (batch, L, V) given in logs, -inf allowed."""
    log_law = np.asarray(log_law, dtype=np.float64)
    terms = np.maximum(log_law, LOG_ZERO)  # where the law is 0 its term p log p is 0 too
    entropy = -np.einsum("blv,blv->bl", np.exp(terms), terms)
    own = np.take_along_axis(log_law, x_0[..., None].astype(np.int64), axis=-1)[..., 0]
    loss = np.minimum(-own, LOG_LOSS_CAP)
    below = np.array([(entropy < eps).sum(1) for eps in EPSILONS])
    return LawStatistics(entropy.mean(1), below, loss.mean(1), np.exp(own).mean(1))


def entropy_histogram(log_law: Any) -> NDArray[np.int64]:
    """Tokens of a law (batch, L, V) by their entropy, counts between the edges of
    ENTROPY_EDGES, those below the first and above the last included, (bins,).

    >>> int(entropy_histogram(np.log([[[0.5, 0.5], [1e-9, 1.0]]])).sum())
    2
    """
    terms = np.maximum(np.asarray(log_law, dtype=np.float64), LOG_ZERO)
    entropy = -(np.exp(terms) * terms).sum(-1)
    inner = np.searchsorted(ENTROPY_EDGES, entropy.ravel(), side="right")
    return np.bincount(inner, minlength=len(ENTROPY_EDGES) + 1)


def decode(log_full: Any, x_t: Tokens) -> dict[str, Tokens]:
    """The two one-shot decoders on the `full` law: Bayes argmax and the best change."""
    law = np.asarray(log_full)
    return {
        "argmax": decode_argmax(law).astype(x_t.dtype),
        "best_change": decode_best_change(law, x_t).astype(x_t.dtype),
    }


def stratified_levels(
    rng: np.random.Generator, start: float, n: int, draws: int
) -> NDArray[np.float64]:
    """Levels (n, draws) in [start, 1], one in each of `draws` equal strata for every row."""
    strata = (np.arange(draws) + rng.random((n, draws))) / draws
    return start + (1 - start) * strata


def noisy_inputs(
    rng: np.random.Generator,
    x_0: Tokens,
    draws: int,
    start: float,
    schedule: Any,
    kind: channel.Channel,
) -> tuple[Tokens, Tokens, Floats]:
    """Noisy copies, clean copies (draws n, L) and levels (draws n,) of x_0 (n, L) under a channel,
    at `draws` stratified levels in [start, 1] a sequence: all of one draw, then of the next."""
    strata = stratified_levels(rng, start, len(x_0), draws).astype(np.float32)
    t = strata.T.reshape(-1).astype(np.float64)
    clean = np.tile(x_0, (draws, 1))
    return noise(rng, clean, np.asarray(schedule.alpha(t))[:, None], kind), clean, t


def nelbo_rates(
    log_loo: Any,
    x_t: Tokens,
    x_0: Tokens,
    t: Floats,
    schedule: Any,
    kind: channel.Channel | None = None,
) -> Floats:
    """NELBO rate at t per sequence, mean over tokens, (batch,), nats a token per unit of t, of the
    channel `kind` (None: uniform). Where a channel does not redraw, a law that rules the truth out
    costs no more than LOG_LOSS_CAP nats in place of infinitely many."""
    law = np.asarray(log_loo, dtype=np.float64)
    if kind is not None and not kind.redraws:
        law = np.maximum(law, -LOG_LOSS_CAP)
    rate = channel.nelbo_rate(
        law,
        x_t,
        x_0,
        np.asarray(schedule.alpha(t)),
        np.asarray(schedule.alpha_rate(t)),
        kind,
    )
    mean: Floats = np.asarray(rate).mean(1)
    return mean
