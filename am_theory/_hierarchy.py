"""Random hierarchies: samples to learn one, and how belief climbs it (private).

Depth l, branching s, v symbols a level, m rules a symbol. `am_theory.scaling` hands these names on.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from am_theory._inputs import PROBABILITY, bare, real_iv, whole_iv


def hierarchy_sample_size(
    vocab_size: int, rules: int, depth: int, *, level: int | None = None
) -> float:
    """Return how many sequences it takes to learn a random hierarchy, or one level of it.

    P* = v m^l for the class at the root, and about v m^(j + 1) for level j of a diffusion model.

    Parameters
    ----------
    vocab_size : int, v >= 2, symbols of each level.
    rules : int, m >= 1, productions of each symbol.
    depth : int, l >= 1, levels.
    level : int j in 1..l - 1, counted from the leaves; the root class when left out.

    Returns
    -------
    float, at least 2; at j = l - 1 the two laws agree.

    Raises
    ------
    ValueError for an argument out of range.

    Notes
    -----
    A scaling law: the prefactors are not known, factors O(v) included, and the exponent of the law
    for level j is [unverified]. Polynomial in the length s^l, against e^I for the empirical
    denoiser.

    Unit: training sequences, up to a prefactor

    Source: Cagnetta et al. 2024 (PRX 14, 031001) for the class; Favero et al. 2025
    (arXiv:2502.12089) for the levels [unverified].

    >>> hierarchy_sample_size(8, 4, 5)
    8192.0
    >>> hierarchy_sample_size(8, 4, 5, level=1)
    128.0
    """
    symbols = whole_iv("vocab_size", vocab_size, 2, "It counts the symbols of a level.")
    m = whole_iv("rules", rules, 1, "It counts the productions of a symbol.")
    exponent = whole_iv("depth", depth, 1, "It counts the levels.")
    if level is not None:
        j = whole_iv("level", level, 1, "Levels count from the leaves.")
        if j >= exponent:
            raise ValueError(
                f"`level` must be below `depth`; got {level!r} and {depth!r}. Leave it out for the "
                "class at the root."
            )
        exponent = j + 1
    with np.errstate(over="ignore"):
        return float(symbols * np.power(float(m), exponent))


def _grammar_iv(vocab_size: int, rules: int, branching: int) -> tuple[int, int, int]:
    """Check a hierarchy in which all v m tuples of a level are distinct."""
    v = whole_iv("vocab_size", vocab_size, 2, "It counts the symbols of a level.")
    m = whole_iv("rules", rules, 1, "It counts the productions of a symbol.")
    s = whole_iv("branching", branching, 2, "It counts the children of a node.")
    if m > v ** (s - 1):
        raise ValueError(
            f"`rules` must be at most v^(s - 1) = {v ** (s - 1)}, for all productions to differ; "
            f"got {rules!r}."
        )
    return v, m, s


def upward_map(belief: ArrayLike, vocab_size: int, rules: int, branching: int) -> Any:
    """Return the belief in the right parent symbol, from that in each of its right children.

    F(p) = [p^s + f (m - 1) / (m v - 1) (1 - p^s)] / [p^s + f (1 - p^s)],
    f = (m v - 1) / (v^s - 1).

    Parameters
    ----------
    belief : number or array, p in [0, 1].
    vocab_size, rules, branching : int; v >= 2 symbols, 1 <= m <= v^(s - 1) rules a symbol, s >= 2
        children a rule, all productions of a level distinct.

    Returns
    -------
    Shape of `belief`, in [0, 1].

    Raises
    ------
    ValueError for an argument out of range.

    Notes
    -----
    Averages over the draw of the rules and holds the belief fixed. In the real channel it is random
    which leaves are wrong, so the true class transition is smoother.

    Unit: dimensionless

    Source: Sclocchi, Favero, Wyart 2024 (arXiv:2402.16991), epsilon-process.

    >>> round(upward_map(0.75, 8, 4, 2), 12)
    0.75
    """
    v, m, s = _grammar_iv(vocab_size, rules, branching)
    right = real_iv("belief", belief, PROBABILITY, "It is a probability.") ** s
    wrong = (m * v - 1) / (v**s - 1) * (1 - right)
    return bare((right + wrong * ((m - 1) / (m * v - 1))) / (right + wrong))


@dataclass(frozen=True)
class UpwardFixedPoints:
    """Fixed points of `upward_map` in [1 / v, 1], rising, each array (2,) or (3,).

    `p` : beliefs. `slope` : F'(p). `stable` : slope < 1. `exists` : an unstable one lies between
    the ends. `residual` : largest |F(p) - p|.
    """

    p: Any
    slope: Any
    stable: Any
    exists: bool
    residual: float
    converged: bool


def upward_fixed_points(vocab_size: int, rules: int, branching: int) -> UpwardFixedPoints:
    """Return the beliefs that climb the hierarchy unchanged, and which of them are stable.

    F(p) = p at 1 / v (nothing known), at 1 (everything known), and at no more than one p* between:
    the noise level that leads to p* at the leaves is the class transition. For s = 2,
    p* = (m - 1) / (v - m). With F' at the ends

    F'(1) = s m (v - 1) / (v^s - 1),   F'(1 / v) = s v^(s - 1) (v - 1) / [m (v^s - 1)],

    p* lies inside if and only if both are below 1; then the ends are stable and p* is not.

    Parameters
    ----------
    vocab_size, rules, branching : int; v >= 2, 1 <= m <= v^(s - 1), s >= 2.

    Returns
    -------
    UpwardFixedPoints.

    Raises
    ------
    ValueError for an argument out of range.

    Notes
    -----
    The polynomial of F(p) = p has at most three positive roots by Descartes' rule; two of them are
    divided out exactly, in rational numbers. Limits of validity as for `upward_map`.

    Unit: dimensionless

    Source: Sclocchi, Favero, Wyart 2024 (arXiv:2402.16991) for the map; factors derived in
    tests/am_theory/test_scaling.py.

    >>> result = upward_fixed_points(8, 4, 2)
    >>> result.p.tolist(), result.stable.tolist()
    ([0.125, 0.75, 1.0], [True, False, True])
    """
    v, m, s = _grammar_iv(vocab_size, rules, branching)
    low_slope = Fraction(s * v ** (s - 1) * (v - 1), m * (v**s - 1))
    high_slope = Fraction(s * m * (v - 1), v**s - 1)
    exists = low_slope < 1 and high_slope < 1
    inside = [_middle_root(v, m, s)] if exists else []
    p = np.array([1 / v, *inside, 1.0])
    share = (m * v - 1) / (v**s - 1)
    pull = s * m * (v - 1) / (v**s - 1)
    middle = [pull * x ** (s - 1) / (x**s + share * (1 - x**s)) ** 2 for x in inside]
    slope = np.array([float(low_slope), *middle, float(high_slope)])
    residual = float(np.max(np.abs(upward_map(p, v, m, s) - p)))
    return UpwardFixedPoints(p, slope, slope < 1, exists, residual, residual <= 1e-12)


def _middle_root(v: int, m: int, s: int) -> float:
    """Root between 1 / v and 1 of the polynomial that is left when both ends are divided out.

    (F(p) - p) / (1 - p) has the sign of
    (v^s - m v) p^s - m (v - 1) [p + ... + p^(s - 1)] + m - 1.
    """
    quotient = [Fraction(v**s - m * v)]
    for _ in range(s - 1):
        quotient.append(quotient[-1] / v - m * (v - 1))
    scaled = [float(c / v**s) for c in quotient]
    low, high = 1 / v, 1.0
    for _ in range(80):  # bisection, as the root may lie within rounding of an end
        middle = (low + high) / 2
        low, high = (middle, high) if np.polyval(scaled, middle) < 0 else (low, middle)
    return (low + high) / 2
