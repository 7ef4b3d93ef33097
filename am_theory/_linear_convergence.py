"""Where the train and held-out curves of the linear denoiser meet (private).

`am_theory.linear` hands these names on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from am_theory._inputs import Interval, bare, broadcast_iv, real_iv
from am_theory._linear_ridge import dimension_iv, error_gap, recovery
from am_theory._random_patterns import choice_iv
from am_theory._roots import brentq

Criterion = Literal["corrupted_recovery", "recovery_gap", "error_gap"]


@dataclass(frozen=True)
class ConvergenceSize:
    """Size at which the train and held-out curves of the linear denoiser have met.

    `train_size` : K*. `ratio` : K* / (L (V - 1)). `residual` : of the criterion at K*.
    """

    train_size: Any
    ratio: Any
    residual: Any
    converged: Any


_USUAL_GAP = {"corrupted_recovery": 0.5, "recovery_gap": 0.01, "error_gap": 0.05}


def convergence_size(
    seq_len: int,
    vocab_size: int,
    alpha: ArrayLike,
    *,
    criterion: Criterion = "recovery_gap",
    gap: ArrayLike | None = None,
) -> ConvergenceSize:
    """Return the number of training sequences at which the linear denoiser stops memorizing.

    K* = x L (V - 1), where x depends on V, alpha, the criterion and its level alone; it is the root
    of corrupted train recovery = level, R_train - R_test = gap, or E_heldout - E_train = gap.

    Parameters
    ----------
    seq_len, vocab_size : int; L >= 1, V >= 2.
    alpha : number or array in [1e-12, 1); probability that a token is kept.
    criterion : "corrupted_recovery" (train split), "recovery_gap" (all tokens) or "error_gap".
    gap : number or array inside (0, 1), for "recovery_gap" inside (0, 1 - 1/V), and 1e-12 away from
        the ends; the level of the criterion. When left out 1/2, 0.01 and 0.05, in this order.

    Returns
    -------
    ConvergenceSize of the broadcast shape. A K* below 1 means that a single sequence is already
    beyond the criterion.

    Raises
    ------
    ValueError for an argument out of range, shapes that do not fit, or an unknown criterion.

    Notes
    -----
    Iid uniform source, infinitely many noise draws. All three criteria fall from their upper bound
    to 0 with K. Small error gaps obey K* = 2 alpha^2 (1 - alpha^2)^2 L (V - 1) / gap, largest at
    alpha^2 = 1/3. Brent's method in log K.

    Unit: training sequences

    Source: derived in tests/am_theory/test_linear.py.

    >>> round(convergence_size(1, 2, 0.5, criterion="recovery_gap").ratio, 6)
    2.817682
    >>> round(convergence_size(32, 4, 0.5, criterion="corrupted_recovery").train_size, 2)
    36.72
    """
    choice_iv("criterion", criterion, tuple(_USUAL_GAP))
    dimension, vocab = dimension_iv(seq_len, vocab_size)
    top = 1 - 1 / vocab if criterion == "recovery_gap" else 1.0
    kept, level = broadcast_iv(
        alpha=real_iv("alpha", alpha, Interval(1e-12, 1.0, open_high=True)),
        gap=real_iv(
            "gap",
            _USUAL_GAP[criterion] if gap is None else gap,
            Interval(1e-12, top - 1e-12),
            "It is the level that the criterion falls to.",
        ),
    )

    def excess(log_ratio: float, a: float, goal: float) -> float:
        gamma, kept_ = np.exp(np.array(-log_ratio)), np.array(a)
        if criterion == "error_gap":
            value = error_gap(gamma, kept_)
        elif criterion == "corrupted_recovery":
            value = recovery(gamma, kept_, vocab, "corrupted", "train")
        else:
            value = recovery(gamma, kept_, vocab, "all", "train") - recovery(
                gamma, kept_, vocab, "all", "test"
            )
        return float(value) - goal

    def solve(a: float, goal: float) -> tuple[float, float, bool]:
        root, info = brentq(
            excess, -100.0, 100.0, args=(a, goal), xtol=1e-16, full_output=True, disp=False
        )
        return np.exp(root), abs(excess(root, a, goal)), info.converged

    ratio, residual, converged = np.vectorize(solve, otypes=[float, float, bool])(kept, level)
    return ConvergenceSize(bare(ratio * dimension), bare(ratio), bare(residual), bare(converged))
