"""Was this sequence stored? The test against a reference model, in a case that can be solved.

K sequences of independent uniform tokens, V values each, are stored by a model that draws one of
them with probability w and any sequence at all otherwise; the reference is the source. Of a
sequence n sites are visible, the others are masked, and a masked token scores

    s = log[V p(token | visible)] = log1p[(V c - N) / (N + lambda (1 - w) / w)],   lambda = K V^-n,

its log-probability less that under the reference: N stored sequences agree with the visible sites,
c of them with the token too. A block of M masked sites scores the sum. A stored sequence (split
"train") has N - 1 ~ Bin(K - 1, V^-n) and, at each site, c - 1 ~ Bin(N - 1, 1/V); any other one
("test") N ~ Bin(K, V^-n) and c ~ Bin(N, 1/V). Sites are independent given N.

The model's exact score of a whole sequence tells stored ones without error; what is graded here is
what one noise level gives away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory._inputs import bare, real_iv
from am_theory._random_patterns import Split
from am_theory._score_laws import ScoreLaw, common_grid, convolved, merged, scores_iv
from am_theory._score_normal import (
    RATE,
    auc_normal,
    d_prime,
    detection_log_size,
    tpr_at_fpr_normal,
)

__all__ = [
    "ScoreLaw",
    "auc",
    "auc_normal",
    "block_score_law",
    "d_prime",
    "detection_log_size",
    "site_score_law",
    "tpr_at_fpr",
    "tpr_at_fpr_normal",
]


def site_score_law(
    train_size: int, visible: int, vocab_size: int, weight: float, *, split: Split = "train"
) -> ScoreLaw:
    """Return the law of the score of one masked token of a stored, or of another, sequence.

    s = log1p[(V c - N) / (N + lambda (1 - w) / w)], lambda = K V^-n; "train":
    N - 1 ~ Bin(K - 1, V^-n), c - 1 ~ Bin(N - 1, 1/V); "test": N ~ Bin(K, V^-n), c ~ Bin(N, 1/V).

    Parameters
    ----------
    train_size : whole number, K >= 1, with K V^-n <= 1e4.
    visible : int, n >= 0; visible tokens.
    vocab_size : int, V >= 2.
    weight : number in (0, 1); weight w of the stored sequences in the model.
    split : "train", the sequence is stored; "test", it is drawn from the source.

    Returns
    -------
    ScoreLaw, on all values of probability above 1e-15; rounded to 2^-40 of that at N = c = 1.

    Raises
    ------
    ValueError for a size, a weight or a split out of range, and where K V^-n > 1e4.

    Notes
    -----
    The mean of e^s is 1 under "test", for which P(s >= tau) <= e^-tau follows at every tau: a
    threshold whose false alarms are bounded without any example of them.

    Unit: nats per masked token.

    Source: Neyman, Pearson 1933 for log-likelihood ratios as the best test; law derived in
    tests/am_theory/test_membership.py, by enumeration of all sets of stored sequences.

    >>> law = site_score_law(200, 4, 4, 0.5)
    >>> round(law.mean(), 6), round(law.auc(site_score_law(200, 4, 4, 0.5, split="test")), 6)
    (0.791979, 0.910356)
    """
    return merged(scores_iv(train_size, visible, vocab_size, weight, split))


def block_score_law(
    train_size: int,
    visible: int,
    masked: int,
    vocab_size: int,
    weight: float,
    *,
    split: Split = "train",
    step: float | None = None,
) -> ScoreLaw:
    """Return the law of the summed score of all masked tokens of a sequence.

    sum_N P(N) [law of s given N]^(* M), a mixture of M-fold convolutions of the law of
    `site_score_law` at fixed N, taken by Fourier transforms on a grid; N = 0 scores exactly 0.

    Parameters
    ----------
    train_size, visible, vocab_size, weight, split : as `site_score_law`.
    masked : int, M >= 1; masked tokens.
    step : number > 0, grid of the scores in nats, 0 on it; None for the range of the sum over 2^17
        points (2^14 for lambda > 100). A score is shared between its two neighbours.

    Returns
    -------
    ScoreLaw; M = 1 without a grid.

    Raises
    ------
    As `site_score_law`, and ValueError for M < 1 or a step that needs more than 2^24 points.

    Notes
    -----
    At the default step and w >= 0.05 `auc` is right to 1e-5 and `tpr_at_fpr` to 1e-3: scores come
    as atoms, and one that straddles the threshold is blurred. Small weights make near ties, which
    the grid takes for ties: 2e-4 and 3e-3 at w = 0.01, `auc` 3e-3 too low as w -> 0. A step of
    2e-3 nats costs up to 3e-4 and 3e-3 at w >= 0.05.

    Unit: nats per block of M masked tokens.

    Source: as `site_score_law`.

    >>> law = block_score_law(200, 4, 8, 4, 0.5)
    >>> round(law.mean() / 8, 6)
    0.791979
    """
    scores = scores_iv(train_size, visible, vocab_size, weight, split)
    other: Split = "test" if split == "train" else "train"
    against = scores_iv(train_size, visible, vocab_size, weight, other)
    grid = common_grid(scores + against, masked, step)
    return merged(scores) if masked == 1 else convolved(scores, masked, grid)


def auc(
    train_size: ArrayLike,
    visible: ArrayLike,
    masked: ArrayLike,
    vocab_size: int,
    weight: ArrayLike,
) -> Any:
    """Return the probability that a stored sequence scores higher than another one.

    AUC = P(S > S') + P(S = S') / 2, S of a stored and S' of another sequence, each by
    `block_score_law`.

    Parameters
    ----------
    train_size, visible, masked, weight : numbers or arrays, as `block_score_law`; they broadcast.
    vocab_size : int, V >= 2.

    Returns
    -------
    Broadcast shape, in [1/2, 1].

    Raises
    ------
    As `block_score_law`, and ValueError for shapes that do not fit.

    Notes
    -----
    As lambda -> infinity it falls to 1/2. As w -> 0 it does not, but tends to a value close to that
    of the score sum(V c - N): a monotone function of the score grades alike, however small it is.
    Only noise on the score makes the weight matter, see `d_prime`. One call takes up to a few
    seconds at lambda near 1e4.

    Unit: dimensionless, probability per pair of sequences.

    Source: as `site_score_law`.

    >>> round(auc(200, 4, 1, 4, 0.5), 6), round(auc(200, 3, 9, 4, 0.5), 4)
    (0.910356, 0.9835)
    """
    return _graded(
        lambda member, other: member.auc(other), train_size, visible, masked, vocab_size, weight
    )


def tpr_at_fpr(
    train_size: ArrayLike,
    visible: ArrayLike,
    masked: ArrayLike,
    vocab_size: int,
    weight: ArrayLike,
    *,
    fpr: float = 0.01,
) -> Any:
    """Return the share of stored sequences found when a given share of others is accused.

    P(S > tau) + g P(S = tau), with tau and g such that P(S' > tau) + g P(S' = tau) = fpr: the
    threshold is on the score of `block_score_law`, and what ties with it is drawn at random.

    Parameters
    ----------
    train_size, visible, masked, vocab_size, weight : as `auc`.
    fpr : number in (0, 1]; share of sequences that are not stored but called so.

    Returns
    -------
    Broadcast shape, in [0, 1].

    Raises
    ------
    As `auc`, and ValueError for `fpr` outside of (0, 1].

    Unit: dimensionless, share of the stored sequences.

    Source: Carlini et al. 2022 (arXiv:2112.03570) for the measure; law as `site_score_law`.

    >>> round(tpr_at_fpr(200, 4, 1, 4, 0.5), 6), round(tpr_at_fpr(200, 2, 10, 4, 0.5), 4)
    (0.102458, 0.2023)
    """
    rate = float(real_iv("fpr", fpr, RATE))
    return _graded(
        lambda member, other: member.tpr_at_fpr(other, rate),
        train_size,
        visible,
        masked,
        vocab_size,
        weight,
    )


def _graded(grade: Callable[[ScoreLaw, ScoreLaw], float], *problem: Any) -> Any:
    """A figure of two block laws over the broadcast shape of all arguments."""

    def one(size: Any, visible: Any, masked: Any, vocab: Any, weight: Any) -> float:
        member, other = (
            block_score_law(size, visible, masked, vocab, weight, split=split)
            for split in ("train", "test")
        )
        return grade(member, other)

    try:
        return bare(np.vectorize(one, otypes=[float])(*problem))
    except ValueError as error:
        if "broadcast" not in str(error):
            raise
        raise ValueError(
            "`train_size`, `visible`, `masked` and `weight` must broadcast; "
            f"got shapes {', '.join(str(np.shape(x)) for x in problem)}."
        ) from error
