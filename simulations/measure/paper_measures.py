"""The measures of the paper's evaluation scripts, for comparison with its curves and tables.

The definitions are those of arXiv:2604.26841; ours, in `simulations.measure.counts`, stay the
default. Theirs are *macro*: a ratio is formed in every sequence, sequences where it is 0 / 0 are
left out, and the rest are averaged with equal weight, so that every mean is over another set of
sequences.
Ours are *pooled*: counts are summed over sequences before they are divided, with an interval from
resampling whole sequences. Where sequences have few changed tokens (small t, short L) the two
differ by more than their errors: macro recovery weighs a sequence with one change like one with
ten.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.released.paper_protocol import LogLaw, Uniforms, token_entropy, track

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

CLAMP = 1e-12  # least value under the root of an interaction norm, before the factor 1/2


class Masks(NamedTuple):
    """Per token (batch, L): changed by the noise; right in the output; right before, not after."""

    perturbed: Mask
    correct: Mask
    unstable: Mask


class Comparison(NamedTuple):
    """Per sequence, (batch,); NaN where there is no token to speak of.

    is_exact_match: 1 if every token of the output is right, else 0.
    perturbation_rate: share of tokens with x_t != x_0, in the mean (1 - alpha) (V - 1) / V.
    recovery_rate: share of perturbed tokens that are right in the output; NaN if none is perturbed.
        `measures.count_tokens` gives numerators, `corrupted_count` denominators, to be pooled.
    unstable_rate: share of unperturbed tokens that are wrong in the output; NaN if all are
        perturbed. The glossary's `damage`, there pooled as `broken`.
    entropy_recovered, entropy_stable, entropy_unstable, entropy_failed_rec: mean of the token
        entropy, nats, over tokens perturbed and right, unperturbed and right, unperturbed and
        wrong, perturbed and wrong; NaN for an empty class. `measures.law_statistics` has the mean
        over all tokens, at (x_t, t) and not at the output.
    """

    is_exact_match: Floats
    perturbation_rate: Floats
    recovery_rate: Floats
    unstable_rate: Floats
    entropy_recovered: Floats
    entropy_stable: Floats
    entropy_unstable: Floats
    entropy_failed_rec: Floats


class Curvature(NamedTuple):
    """Statistics of a law p, per token (batch, L), in the order of the scripts.

    entropy: -sum p log p, nats. Unlike the scripts' (NaN) it is finite where some p = 0.
    diag: sum p_i (1 - p_i); diag_norm: root of the sum of its squares. (The softmax has the matrix
        of derivatives diag(p) - p p^T; this is its diagonal.)
    interaction: -sum_{i != j} p_i p_j / (V (V - 1)) / 2, half the mean off-diagonal entry (the sum
        is over both triangles).
    interaction_norm: root of sum_{i < j} (p_i p_j)^2, not let below 7.07e-7, its value for a point
        mass.
    spectral_gap: largest p less the second; max_conf: largest p.
    """

    entropy: Floats
    diag: Floats
    diag_norm: Floats
    interaction: Floats
    interaction_norm: Floats
    spectral_gap: Floats
    max_conf: Floats


def masks(x_0: ArrayLike, x_t: ArrayLike, x_recon: ArrayLike) -> Masks:
    """Token classes of clean, noisy and restored tokens, each (batch, L)."""
    clean, noisy, restored = _tokens_iv(x_0, x_t, x_recon)
    perturbed, correct = clean != noisy, clean == restored
    return Masks(perturbed, correct, ~perturbed & ~correct)


def compare_sequences(
    x_0: ArrayLike, x_t: ArrayLike, x_recon: ArrayLike, token_entropy: ArrayLike
) -> Comparison:
    """Their measures of every sequence from clean, noisy and restored tokens, each (batch, L).

    `token_entropy` (batch, L), nats: theirs is that at the restored tokens and t = 1e-5
    (`paper_protocol.reverse_run`), of any law here. Raises ValueError for shapes that differ.
    """
    perturbed, correct, unstable = masks(x_0, x_t, x_recon)
    entropy = np.asarray(token_entropy, dtype=np.float64)
    if entropy.shape != perturbed.shape:
        raise ValueError(
            f"`token_entropy` must have the shape {perturbed.shape} of the tokens; got "
            f"{entropy.shape}."
        )
    everywhere = np.ones_like(perturbed)
    return Comparison(
        np.asarray(correct.all(1), dtype=np.float64),
        _mean_over(perturbed, everywhere),
        _mean_over(correct, perturbed),
        _mean_over(unstable, ~perturbed),
        _mean_over(entropy, perturbed & correct),
        _mean_over(entropy, ~perturbed & correct),
        _mean_over(entropy, unstable),
        _mean_over(entropy, perturbed & ~correct),
    )


def macro_means(comparison: Comparison) -> dict[str, float]:
    """Mean over sequences of every measure, without its NaN; NaN where nothing is left.

    The number of sequences behind each differs: quote `np.isfinite(column).sum()` with it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        columns = comparison._asdict().items()
        return {name: float(np.nanmean(column)) for name, column in columns}


def curvature(log_p: ArrayLike) -> Curvature:
    """Their statistics of a law in logs (..., V), -inf allowed; per token (...), in float64.

    Their numbers are means of these over all tokens of a batch (`curvature_means`); in float32 the
    scripts lose digits of diag_norm and interaction_norm to cancellation. Raises ValueError for
    fewer than two values.
    """
    logs = np.asarray(log_p, dtype=np.float64)
    if logs.ndim < 1 or logs.shape[-1] < 2:
        raise ValueError(f"`log_p` must be (..., V) with V at least 2; got shape {logs.shape}.")
    size = logs.shape[-1]
    p = np.exp(logs)
    spread = p * (1 - p)
    total, squares = p.sum(-1), (p * p).sum(-1)
    pairs = squares**2 - (p**4).sum(-1)  # sum over i != j of (p_i p_j)^2
    second, first = np.moveaxis(np.partition(p, size - 2, axis=-1)[..., -2:], -1, 0)
    return Curvature(
        token_entropy(logs),
        spread.sum(-1),
        np.sqrt((spread**2).sum(-1)),
        -(total**2 - squares) / (size * (size - 1)) / 2,
        np.sqrt(np.maximum(pairs, CLAMP) / 2),
        first - second,
        first,
    )


def curvature_means(log_p: ArrayLike) -> dict[str, float]:
    """Means of `curvature` over all tokens of a batch, by name."""
    return {name: float(values.mean()) for name, values in curvature(log_p)._asdict().items()}


def trajectory(
    log_law: LogLaw,
    x_t: ArrayLike,
    start_t: float,
    n_steps: int,
    uniforms: Uniforms = None,
    deterministic: bool = False,
    **settings: Any,
) -> dict[str, Floats]:
    """Columns of `curvature_means` and `t` along a reverse run: before every update, and at 1e-5.

    Arguments, `settings` and errors as `models.released.paper_protocol.track`. The entropy is that
    of the states of one run at their own level, not of x_t drawn anew from the channel at that
    level.
    """
    run = track(
        log_law, x_t, start_t, n_steps, curvature_means, uniforms, deterministic, **settings
    )
    rows = [{**means, "t": t} for t, means in run]
    return {name: np.array([row[name] for row in rows]) for name in (*Curvature._fields, "t")}


def _mean_over(values: NDArray[Any], chosen: Mask) -> Floats:
    """Mean of values (batch, L) over the chosen tokens of each sequence, NaN if there are none."""
    count = chosen.sum(1)
    total = np.where(chosen, values, 0.0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _tokens_iv(*arrays: ArrayLike) -> list[NDArray[Any]]:
    tokens = [np.asarray(a) for a in arrays]
    shapes = [a.shape for a in tokens]
    if len(set(shapes)) > 1 or tokens[0].ndim != 2:
        raise ValueError(f"tokens must all have one shape (batch, L); got {shapes}.")
    return tokens
